"""Joins the stages for a collection: find what changed, describe, train a vocabulary, index."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bovw.compute.isolation import Failure, run_isolated
from bovw.compute.processes import Workers
from bovw.errors import BovwError, FormatError
from bovw.features import describer_of
from bovw.images import ImageFile
from bovw.index import (
    INCOMING,
    ImageRow,
    Index,
    IndexWriter,
    check_free,
    create_shards,
    damaged_among,
    joining,
    parts_of,
    read_manifest,
    read_meta,
    remove_left_over,
    shard_names,
    shard_of,
    vocabulary_files,
)
from bovw.ingest.changes import ChangeSet, find_changes
from bovw.ingest.encode import Described, encode, skipped_row
from bovw.ingest.run import Recipe, Run
from bovw.ingest.training import sample, train_on
from bovw.ingest.worker import (
    CHUNK,
    SegmentResult,
    WorkerConfig,
    check_handshakes,
    handshake,
    write_segment,
)
from bovw.options import FeatureOptions
from bovw.vocab import Vocabulary

# Least segments per worker, so none works alone for long at the end, and least images per segment.
# The latter wins if there are too few images for both.
CHUNKS, LEAST = 4, 10

# Before the names of images that wait for another name; no file has such a one.
ASIDE = "\0"

MayVanish = Callable[[ImageRow], bool]
OnChanges = Callable[[ChangeSet], object]


def build_index(
    images: Sequence[ImageFile],
    folder: Path,
    recipe: Recipe = Recipe(),
    run: Run = Run(),
    may_vanish: MayVanish = lambda row: True,
    on_changes: OnChanges = lambda changes: None,
) -> Index:
    """Index images as `find_images` lists them; an index in `folder` is updated.

    recipe      what the index is made with
    run         how the images are read. A cluster's workers write segments into `folder`. They must
                see it and the images at the same paths
    may_vanish  tells whether to remove an indexed image that is not among `images`
    on_changes  hears of the changes, before they are made, and may raise an error to stop them

    Commits every `run.options.batch` images, so an interrupted run loses little. Raises FormatError
    if the index was made with another vocabulary or other features, BovwError if no image can be
    used.
    """
    folder = Path(folder)
    parts = _parts(folder, recipe.shards)
    recipe, known = _complete(recipe, images, parts, run)
    if recipe.shards and not read_manifest(folder):
        create_shards(folder, recipe.shards)
    with joining(folder), ExitStack() as opened:
        writers = [opened.enter_context(_open(part, recipe)) for part in parts]
        restored = [_prepare(writer, recipe, bool(known)) for writer in writers]
        rows = {name: row for writer in writers for name, row in writer.rows.items()}
        changes = find_changes(rows, images, may_vanish, run.options.retry)
        on_changes(changes)
        folders = {*(row.folder for row in changes.away), *(image.folder for image in images)}
        for number, writer in enumerate(writers):
            anew = restored[number]
            if recipe.collection:
                anew |= recipe.collection.remember(writer.meta, folders)
            own = changes.part(partial(_is_in, number, len(parts)))
            _apply(writer, own, known, run)
            if len(parts) == 1:
                _refuse_empty(writer)
            writer.commit(anew=anew)
    return Index.open(folder)


def _parts(folder: Path, shards: int | None) -> list[Path]:
    """Return the folders of an index's shards; raises FormatError if their number differs."""
    parts = parts_of(folder)
    fresh = not read_manifest(folder) and not read_meta(folder)
    if fresh:
        check_free(folder)
        return [folder / name for name in shard_names(shards)] if shards else parts
    if shards and (shards != len(parts) or not read_manifest(folder)):
        raise FormatError(
            f"{folder} has {len(parts)} shards and not {shards}: leave --shards out, or make "
            f"another index with `bovw shard {folder} --into {shards} FOLDER`"
        )
    return parts


def _complete(
    recipe: Recipe, images: Sequence[ImageFile], parts: Sequence[Path], run: Run
) -> tuple[Recipe, dict[str, Described]]:
    """Complete a recipe; return it with the images that were described to train its vocabulary."""
    made = [part for part in parts if read_meta(part)]
    known: dict[str, Described] = {}
    if made and len(made) == len(parts):
        return recipe, known
    if made:  # left by an interrupted first build
        index = Index.open(made[0])
        features = recipe.features or FeatureOptions.of(index.meta["options"])
        vocabulary = recipe.vocabulary or Vocabulary.load(index.vocabulary_folder)
    else:
        features = recipe.features or FeatureOptions()
        known, vocabulary = (
            ({}, recipe.vocabulary) if recipe.vocabulary else _train(images, features, recipe, run)
        )
    vocabulary.check_kind(describer_of(features).kind)
    return replace(recipe, vocabulary=vocabulary, features=features), known


def _open(part: Path, recipe: Recipe) -> IndexWriter:
    """Open an index to change it, or start one."""
    if read_meta(part):
        return IndexWriter.open(part)
    vocabulary = recipe.vocabulary
    assert vocabulary and recipe.features, "the recipe of a new index is complete"
    words, bits = len(vocabulary.words), vocabulary.bits
    made = IndexWriter.create(part, words, bits, vocabulary.fingerprint, asdict(recipe.features))
    if not read_meta(part):
        return made
    made.close()  # another process made the index while this one waited for the lock
    return IndexWriter.open(part)


def _prepare(writer: IndexWriter, recipe: Recipe, trained: bool) -> bool:
    """Check that the recipe fits; return whether the index's vocabulary was saved again."""
    _check_made_with(writer, recipe)
    restored = recipe.vocabulary is not None and _save_copy(recipe.vocabulary, writer)
    if trained:  # that took long: keep it
        writer.commit()
    return restored


def _is_in(shard: int, count: int, name: str) -> bool:
    return shard_of(name, count) == shard


def _refuse_empty(writer: IndexWriter) -> None:
    """Raise BovwError if no image can be used, and remove a new index."""
    if not any(row.status == "ok" for row in writer.rows.values()):
        writer.abandon()
        raise BovwError("none of these images can be used: nothing was indexed")


def _check_made_with(writer: IndexWriter, recipe: Recipe) -> None:
    """Raise FormatError if an index was made with another vocabulary or other features."""
    advice = "leave it out, or give another folder to index into"
    if recipe.vocabulary and recipe.vocabulary.fingerprint != writer.meta["fingerprint"]:
        raise FormatError(f"{writer.folder} was made with another vocabulary: {advice}")
    indexed = FeatureOptions.of(writer.meta["options"])
    if recipe.vocabulary:
        recipe.vocabulary.check_kind(describer_of(indexed).kind)
    if not recipe.features:
        return
    own = asdict(indexed)
    for name, value in asdict(recipe.features).items():
        if value != own[name]:
            raise FormatError(
                f"{writer.folder} was made with {name} {own[name]} and not {value}: {advice}"
            )


def _train(
    images: Sequence[ImageFile], features: FeatureOptions, recipe: Recipe, run: Run
) -> tuple[dict[str, Described], Vocabulary]:
    """Train a vocabulary that fits the images; return it with the images described for it."""
    known = sample(images, features, recipe.training, run)
    if not any(one.features for one in known.values()):
        for one in known.values():
            run.report(one.row)
    return known, train_on(known.values(), recipe.training, fit=True, run=run)


def _apply(writer: IndexWriter, changes: ChangeSet, known: dict[str, Described], run: Run) -> None:
    """Apply changes; the caller commits the last batch."""
    for row in changes.removed:
        writer.remove(row.name)
    _rename(writer, changes.moved)
    if changes.to_read:
        Vocabulary.load(writer.vocabulary_folder).check_made(writer.vocabulary_folder, writer.meta)
    if run.workers:
        _read_on(run.workers, writer, changes.to_read, run)
    else:
        _read(writer, changes.to_read, known, run)


def _rename(writer: IndexWriter, moved: Mapping[str, ImageRow]) -> None:
    """Rename images; one may get the name that another has until then."""
    targets = {row.name for name, row in moved.items() if row.name != name}
    for name in sorted(targets & moved.keys()):
        writer.rename(name, replace(writer.rows[name], name=ASIDE + name))
    for name, row in moved.items():
        writer.rename(ASIDE + name if name in targets else name, row)


def _read(
    writer: IndexWriter, images: Sequence[ImageFile], known: dict[str, Described], run: Run
) -> None:
    """Add images; the caller commits the last batch. `known` ones are not described again."""
    items = (known.pop(image.name, image) for image in images)
    encode_one = partial(
        encode,
        options=FeatureOptions.of(writer.meta["options"]),
        vocabulary=writer.vocabulary_folder,
    )
    answers = run_isolated(encode_one, items, run.processes, run.options.limit)
    with closing(answers), run.progress(answers, len(images), "Indexing") as results:
        for done, answer in enumerate(results, 1):
            one, words = (skipped_row(answer), None) if isinstance(answer, Failure) else answer
            run.report(one.row)
            if one.features and words:
                writer.add(one.row, one.features, words)
            else:
                _skip(writer, one.row)
            if done % run.options.batch == 0 and done < len(images):
                writer.commit()


def _read_on(workers: Workers, writer: IndexWriter, images: Sequence[ImageFile], run: Run) -> None:
    """Add images in segments that workers write; the caller commits the last batch."""
    folder = writer.folder.absolute()
    for left in folder.glob(f"{INCOMING}*"):  # by a killed run
        remove_left_over(left)
    with TemporaryDirectory(prefix=INCOMING, dir=folder) as incoming:
        config = WorkerConfig(
            FeatureOptions.of(writer.meta["options"]),
            folder / writer.vocabulary_folder.name,
            Path(incoming),
            writer.meta["words"],
            writer.meta["bits"],
            run.options.limit,
        )
        check_handshakes(workers.everywhere(partial(handshake, config.incoming)), config.incoming)
        images = [replace(image, path=image.path.absolute()) for image in images]
        size = min(CHUNK, max(LEAST, len(images) // (CHUNKS * workers.count)))
        chunks = [images[i : i + size] for i in range(0, len(images), size)]
        written = workers.map(partial(write_segment, config), chunks)
        rows = (row for result in written for row in _adopt(writer, result))
        with run.progress(rows, len(images), "Indexing") as results:
            for done, row in enumerate(results, 1):
                run.report(row)
                if done % run.options.batch == 0 and done < len(images):
                    writer.commit()


def _adopt(writer: IndexWriter, result: SegmentResult) -> list[ImageRow]:
    """Add a worker's result to the index; return the rows."""
    if result.segment:
        writer.adopt(result.segment, result.usable)
    for row in result.skipped:
        _skip(writer, row)
    return result.usable + result.skipped


def _skip(writer: IndexWriter, row: ImageRow) -> None:
    """Record an image that cannot be used; one that cannot be read now stays as it was."""
    held = writer.rows.get(row.name)
    if row.size is None and held and held.status == "ok" and held.folder == row.folder:
        return
    writer.skip(row)


def _save_copy(vocabulary: Vocabulary, writer: IndexWriter) -> bool:
    """Save the index's copy of its vocabulary if missing or damaged; return whether it was."""
    files = vocabulary_files(writer.meta)
    if files and not damaged_among(writer.folder, files):
        return False
    vocabulary.save(writer.renew_vocabulary())
    return True
