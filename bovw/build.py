"""Joins the stages for a collection: find, describe, train a vocabulary, index."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import cv2
import numpy as np

from bovw.errors import BovwError, FormatError, ImageError
from bovw.features import describe
from bovw.guard import Casualty, guarded
from bovw.images import ImageFile, sha256, size_and_time
from bovw.index import Index, IndexWriter
from bovw.index.catalog import ImageRow, read_meta
from bovw.index.reader import damaged_among, vocabulary_files
from bovw.index.shards import create_shards, parts_of, read_shards, sealing, shard_names, shard_of
from bovw.index.writer import check_free
from bovw.options import FeatureOptions, IngestOptions, VocabularyOptions
from bovw.parallel import Progress, sensible_jobs, silent
from bovw.pictures import read_picture
from bovw.plan import Plan, plan_update
from bovw.records import Features, Words
from bovw.vocab import Vocabulary

# Descriptors for each word of a vocabulary that is fitted to a collection.
FITTING = 16

NO_DESCRIPTORS = np.empty((0, 128), np.uint8)

OnSkip = Callable[[str, str], object]


@dataclass(frozen=True)
class Described:
    """One image on its way into an index: its catalog row, and its features unless skipped."""

    row: ImageRow
    features: Features | None


def describe_file(image: ImageFile, options: FeatureOptions) -> Described:
    """Read and describe one file; a file that cannot be used becomes a skipped row."""
    cv2.setNumThreads(1)
    row = ImageRow(image.name, image.folder)
    try:
        row = replace(row, sha256=sha256(image.path))
        size, mtime = size_and_time(image.path)
        row = replace(row, size=size, mtime=mtime)
        picture = read_picture(image.path, options.max_size)
        row = replace(row, width=picture.width, height=picture.height)
        features = describe(picture, options)
        if not len(features):
            raise ImageError("no features: nothing in it stands out")
    except (ImageError, MemoryError, cv2.error) as error:
        reason = " ".join(str(error).split()) or "out of memory"
        return Described(replace(row, status="skipped", reason=reason), None)
    return Described(replace(row, features=len(features)), features)


def sample(
    images: Sequence[ImageFile],
    features: FeatureOptions,
    options: VocabularyOptions,
    jobs: int,
    progress: Progress = silent,
    limit: float = IngestOptions.limit,
) -> dict[str, Described]:
    """Describe images in random order until there are `options.max_descriptors` features, by name.

    Skipped ones are among them, also those that took more than `limit` seconds.
    """
    order = np.random.default_rng(options.seed).permutation(len(images))
    shuffled = (images[i] for i in order)
    described = guarded(partial(describe_file, options=features), shuffled, jobs, limit)
    taken: dict[str, Described] = {}
    total = 0
    with closing(described), progress(described, len(images), "Reading images to train on") as each:
        for answer in each:
            one = lost(answer) if isinstance(answer, Casualty) else answer
            taken[one.row.name] = one
            total += len(one.features or ())
            if total >= options.max_descriptors:
                break
    return taken


def lost(casualty: Casualty[ImageFile | Described]) -> Described:
    """Return the skipped row of an image that brought down the process that worked on it."""
    item, reason = casualty.item, casualty.reason
    if isinstance(item, Described):
        return Described(replace(item.row, features=0, status="skipped", reason=reason), None)
    size, mtime = size_and_time(item.path)
    row = ImageRow(item.name, item.folder, size, mtime, status="skipped", reason=reason)
    return Described(row, None)


def train_on(
    described: Iterable[Described], options: VocabularyOptions, fit: bool, jobs: int
) -> Vocabulary:
    """Train a vocabulary on images already described, in name order.

    fit  lower the number of words to the largest power of two with FITTING descriptors for each

    Raises BovwError where there is not one descriptor.
    """
    usable = sorted((d for d in described if d.features), key=lambda d: d.row.name)
    if not usable:
        raise BovwError("no image has features to train on: give a folder with other images")
    descriptors = np.concatenate([d.features.descriptors for d in usable if d.features])
    descriptors = descriptors[: options.max_descriptors]
    if fit:
        fitting = 1 << max(0, (len(descriptors) // FITTING).bit_length() - 1)
        options = VocabularyOptions(**{**asdict(options), "words": min(options.words, fitting)})
    digests = [int(d.row.sha256[:16], 16) for d in usable if d.row.sha256]
    return Vocabulary.train(descriptors, options, np.array(digests, np.uint64), jobs)


def training_bytes(options: VocabularyOptions) -> int:
    """Return about how much memory training takes.

    A descriptor has 128 bytes, twice while they are gathered, its place and word, and its share of
    a cell's working copy; a word has its centre, its sum and its place in a cell.
    """
    return 600 * options.max_descriptors + 3500 * options.words


def build_vocabulary(
    images: Sequence[ImageFile],
    features: FeatureOptions = FeatureOptions(),
    options: VocabularyOptions = VocabularyOptions(),
    jobs: int | None = None,
    progress: Progress = silent,
    on_skip: OnSkip | None = None,
) -> Vocabulary:
    """Train a vocabulary on images as `find_images` lists them.

    on_skip  is told the name of each image that cannot be used, and the reason
    """
    jobs = sensible_jobs(jobs)
    described = sample(images, features, options, jobs, progress)
    for one in described.values():
        _report(one, on_skip)
    return train_on(described.values(), options, fit=False, jobs=jobs)


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

    Commits every `ingest.batch` images, so that what is done is not lost if the run is. Raises
    FormatError where the index was made with another vocabulary or other features, BovwError where
    not one image can be used.
    """
    folder, jobs = Path(folder), sensible_jobs(jobs)
    parts = _parts(folder, shards)
    made = [part for part in parts if read_meta(part)]
    known: dict[str, Described] = {}
    if not made:
        features = features or FeatureOptions()
        if vocabulary is None:
            known = sample(images, features, options, jobs, progress, ingest.limit)
            if not any(one.features for one in known.values()):
                for one in known.values():
                    _report(one, on_skip)
            vocabulary = train_on(known.values(), options, fit=True, jobs=jobs)
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
                _update(writer, plan, known, jobs, progress, on_skip, ingest)
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


def _update(
    writer: IndexWriter,
    plan: Plan,
    known: dict[str, Described],
    jobs: int,
    progress: Progress,
    on_skip: OnSkip | None,
    ingest: IngestOptions,
) -> None:
    """Do what is planned, but for the last commit; `known` images need not be described again."""
    for name in plan.removed:
        writer.remove(name)
    for name, row in plan.moved.items():
        writer.rename(name, row)
    items = (known.pop(image.name, image) for image in plan.to_read)
    encode = partial(
        _encode,
        options=FeatureOptions(**writer.meta["options"]),
        vocabulary=writer.vocabulary_folder,
    )
    answers = guarded(encode, items, jobs, ingest.limit)
    with closing(answers), progress(answers, len(plan.to_read), "Indexing") as results:
        for done, answer in enumerate(results, 1):
            one, words = (lost(answer), None) if isinstance(answer, Casualty) else answer
            _report(one, on_skip)
            if one.features and words:
                writer.add(one.row, one.features, words)
            else:
                writer.skip(one.row)
            if done % ingest.batch == 0 and done < len(plan.to_read):
                writer.commit()


def _encode(
    item: ImageFile | Described, options: FeatureOptions, vocabulary: Path
) -> tuple[Described, Words | None]:
    """Describe an image unless that is done, and find one word a feature."""
    one = item if isinstance(item, Described) else describe_file(item, options)
    if not one.features:
        return one, None
    words = _loaded(vocabulary).assign(one.features)
    # Descriptors are large, and nobody asks for them from here on.
    return replace(one, features=replace(one.features, descriptors=NO_DESCRIPTORS)), words


@lru_cache(maxsize=1)
def _loaded(folder: Path) -> Vocabulary:
    """Load a vocabulary once a process."""
    return Vocabulary.load(folder)


def _save_copy(vocabulary: Vocabulary, writer: IndexWriter) -> bool:
    """Save an index's copy of its vocabulary, unless it is there and whole; tell whether it was."""
    files = vocabulary_files(writer.meta)
    if files and not damaged_among(writer.folder, files):
        return False
    shutil.rmtree(writer.vocabulary_folder, ignore_errors=True)
    vocabulary.save(writer.vocabulary_folder)
    return True


def _report(one: Described, on_skip: OnSkip | None) -> None:
    if one.row.reason and on_skip:
        on_skip(one.row.name, one.row.reason)
