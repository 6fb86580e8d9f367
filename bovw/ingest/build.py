"""Joins the stages for a collection: find, describe, train a vocabulary, index."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bovw.cluster.engines import Cluster
from bovw.compute.isolation import Casualty, guarded
from bovw.compute.parallel import Progress, sensible_jobs, silent
from bovw.errors import BovwError, FormatError
from bovw.images.find import ImageFile
from bovw.index import Index, IndexWriter
from bovw.index.catalog import ImageRow, read_meta
from bovw.index.layout import INCOMING, check_free
from bovw.index.sharded import create_shards, parts_of, read_shards, sealing, shard_names, shard_of
from bovw.index.snapshot import damaged_among, vocabulary_files
from bovw.ingest.changes import Plan, plan_update
from bovw.ingest.encode import Described, encode, lost
from bovw.ingest.training import OnSkip, report, sample, train_on
from bovw.ingest.worker import CHUNK, Harvest, Made, check_workers, introduce, write_segment
from bovw.options import FeatureOptions, IngestOptions, VocabularyOptions
from bovw.vocab import Vocabulary

# Segments that each worker writes at least, so that none is long alone with the last one; but none
# of fewer images, unless they are all.
CHUNKS, LEAST = 4, 10


@dataclass(frozen=True)
class _Run:
    """How images are read, and who hears of it; see `build_index`."""

    jobs: int
    progress: Progress
    on_skip: OnSkip | None
    ingest: IngestOptions
    cluster: Cluster | None


def build_index(
    images: Sequence[ImageFile],
    folder: Path,
    vocabulary: Vocabulary | None = None,
    features: FeatureOptions | None = None,
    options: VocabularyOptions = VocabularyOptions(),
    jobs: int | None = None,
    progress: Progress = silent,
    on_skip: OnSkip | None = None,
    ingest: IngestOptions = IngestOptions(),
    may_vanish: Callable[[ImageRow], bool] = lambda row: True,
    on_plan: Callable[[Plan], object] | None = None,
    shards: int | None = None,
    cluster: Cluster | None = None,
) -> Index:
    """Make an index hold images as `find_images` lists them; one in `folder` is updated.

    vocabulary  None for the one that the index has; for a new index, to train one of a fitting size
                on the same images, by `options`
    features    None for what the index was made with, or the defaults
    on_skip     is told the name of each image that cannot be used, and the reason
    may_vanish  tells of an image in the index, which is not among `images`, whether to remove it
    on_plan     is told what will be done, of every shard
    shards      how many a new index is made of, each with the images whose names fall to it; None
                for an ordinary one
    cluster     whose workers read the images, and write segments into `folder`, which they have to
                see at the same place, as they do the images; None for `jobs` processes here

    Commits every `ingest.batch` images, so that what is done is not lost if the run is. Raises
    FormatError where the index was made with another vocabulary or other features, BovwError where
    not one image can be used.
    """
    folder = Path(folder)
    run = _Run(sensible_jobs(jobs), progress, on_skip, ingest, cluster)
    parts = _parts(folder, shards)
    made = [part for part in parts if read_meta(part)]
    known: dict[str, Described] = {}
    if not made:
        features = features or FeatureOptions()
        if vocabulary is None:
            known, vocabulary = _train(images, features, options, run)
        if shards:
            create_shards(folder, shards)
    elif len(made) < len(parts):
        # The rest of an interrupted first build.
        index = Index.open(made[0])
        features = features or FeatureOptions(**index.meta["options"])
        vocabulary = vocabulary or Vocabulary.load(index.vocabulary_folder)
    with sealing(folder):
        for number, part in enumerate(parts):
            own = [one for one in images if shard_of(one.name, len(parts)) == number]
            with _opened(part, vocabulary, features) as writer:
                _check_made_with(writer, vocabulary, features)
                restored = vocabulary is not None and _save_copy(vocabulary, writer)
                if known:
                    writer.commit()
                plan = plan_update(writer.rows, own, may_vanish, ingest.retry)
                if on_plan:
                    on_plan(plan)
                _begin(writer, plan)
                if cluster:
                    _read_on(cluster, writer, plan.to_read, run)
                else:
                    _read(writer, plan.to_read, known, run)
                if len(parts) == 1:
                    _refuse_empty(writer)
                writer.commit(anew=restored)
    return Index.open(folder)


def _parts(folder: Path, shards: int | None) -> list[Path]:
    """Return the folders of an index's shards; raises FormatError where it has not so many."""
    parts = parts_of(folder)
    fresh = not read_shards(folder) and not read_meta(folder)
    if fresh:
        check_free(folder)
        return [folder / name for name in shard_names(shards)] if shards else parts
    if shards and (shards != len(parts) or not read_shards(folder)):
        raise FormatError(
            f"{folder} has {len(parts)} shards and not {shards}: leave --shards out, or make "
            f"another with `bovw shard {folder} --into {shards} FOLDER`"
        )
    return parts


def _opened(
    part: Path, vocabulary: Vocabulary | None, features: FeatureOptions | None
) -> IndexWriter:
    """Open an index to change it, or start one."""
    if read_meta(part):
        return IndexWriter.open(part)
    assert vocabulary and features, "what a new index is made with is known"
    words, bits = len(vocabulary.words), vocabulary.bits
    return IndexWriter.create(part, words, bits, vocabulary.fingerprint, asdict(features))


def _refuse_empty(writer: IndexWriter) -> None:
    """Raise BovwError where not one image can be used, and leave nothing of a new index."""
    if not any(row.status == "ok" for row in writer.rows.values()):
        writer.abandon()
        raise BovwError("not one of the images can be used: nothing was indexed")


def _check_made_with(
    writer: IndexWriter, vocabulary: Vocabulary | None, features: FeatureOptions | None
) -> None:
    """Raise FormatError where an index was made with another vocabulary or other features."""
    advice = "leave it out, or give another folder to index into"
    if vocabulary and vocabulary.fingerprint != writer.meta["fingerprint"]:
        raise FormatError(f"{writer.folder} was made with another vocabulary: {advice}")
    own = writer.meta["options"]
    other = {k: v for k, v in asdict(features).items() if v != own[k]} if features else {}
    for name, value in other.items():
        raise FormatError(
            f"{writer.folder} was made with {name} {own[name]} and not {value}: {advice}"
        )


def _train(
    images: Sequence[ImageFile], features: FeatureOptions, options: VocabularyOptions, run: _Run
) -> tuple[dict[str, Described], Vocabulary]:
    """Train a vocabulary that fits the images; return it with those that it was trained on."""
    known = sample(images, features, options, run.jobs, run.progress, run.ingest.limit, run.cluster)
    if not any(one.features for one in known.values()):
        for one in known.values():
            report(one.row, run.on_skip)
    return known, train_on(known.values(), options, fit=True, jobs=run.jobs, cluster=run.cluster)


def _read(
    writer: IndexWriter, images: Sequence[ImageFile], known: dict[str, Described], run: _Run
) -> None:
    """Add images, all but the last of them committed; `known` ones are not described again."""
    items = (known.pop(image.name, image) for image in images)
    encode_one = partial(
        encode,
        options=FeatureOptions(**writer.meta["options"]),
        vocabulary=writer.vocabulary_folder,
    )
    answers = guarded(encode_one, items, run.jobs, run.ingest.limit)
    with closing(answers), run.progress(answers, len(images), "Indexing") as results:
        for done, answer in enumerate(results, 1):
            one, words = (lost(answer), None) if isinstance(answer, Casualty) else answer
            report(one.row, run.on_skip)
            if one.features and words:
                writer.add(one.row, one.features, words)
            else:
                writer.skip(one.row)
            if done % run.ingest.batch == 0 and done < len(images):
                writer.commit()


def _read_on(cluster: Cluster, writer: IndexWriter, images: Sequence[ImageFile], run: _Run) -> None:
    """Add images, all but the last of them committed, in segments that workers write."""
    folder = writer.folder.absolute()
    for left in folder.glob(f"{INCOMING}*"):  # by a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    with TemporaryDirectory(prefix=INCOMING, dir=folder) as incoming:
        made = Made(
            FeatureOptions(**writer.meta["options"]),
            folder / writer.vocabulary_folder.name,
            Path(incoming),
            writer.meta["words"],
            writer.meta["bits"],
            run.ingest.limit,
        )
        check_workers(cluster.everywhere(partial(introduce, made.incoming)), made.incoming)
        images = [replace(image, path=image.path.absolute()) for image in images]
        size = min(CHUNK, max(LEAST, len(images) // (CHUNKS * cluster.count)))
        chunks = [images[i : i + size] for i in range(0, len(images), size)]
        harvests = cluster.map(partial(write_segment, made), chunks)
        rows = (row for harvest in harvests for row in _take_in(writer, harvest))
        with run.progress(rows, len(images), "Indexing") as results:
            for done, row in enumerate(results, 1):
                report(row, run.on_skip)
                if done % run.ingest.batch == 0 and done < len(images):
                    writer.commit()


def _take_in(writer: IndexWriter, harvest: Harvest) -> list[ImageRow]:
    """Make what a worker has read part of the index; return the rows."""
    if harvest.segment:
        writer.adopt(harvest.segment, harvest.usable)
    for row in harvest.skipped:
        writer.skip(row)
    return harvest.usable + harvest.skipped


def _begin(writer: IndexWriter, plan: Plan) -> None:
    """Do what is planned of images that need not be read."""
    for name in plan.removed:
        writer.remove(name)
    for name, row in plan.moved.items():
        writer.rename(name, row)


def _save_copy(vocabulary: Vocabulary, writer: IndexWriter) -> bool:
    """Save an index's copy of its vocabulary, unless it is there and whole; tell whether it was."""
    files = vocabulary_files(writer.meta)
    if files and not damaged_among(writer.folder, files):
        return False
    shutil.rmtree(writer.vocabulary_folder, ignore_errors=True)
    vocabulary.save(writer.vocabulary_folder)
    return True
