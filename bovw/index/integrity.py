"""Whether an index is whole, and what can be done where it is not."""

from __future__ import annotations

from pathlib import Path

from bovw.errors import FormatError
from bovw.index import Index
from bovw.index.catalog import Catalog, no_index
from bovw.index.layout import unused
from bovw.index.sharded import changing, parts_of, read_shards, unseal
from bovw.index.snapshot import damaged_among, files_of, vocabulary_files
from bovw.vocab import Vocabulary


def find_problems(folder: Path) -> list[str]:
    """Compare an index's files with their checksums and with each other: a line for each problem.

    Reads everything. Raises FormatError where there is no index, or its catalog cannot be read.
    """
    problems = [line for part in parts_of(folder) for line in _find_problems(part)]
    if not problems and read_shards(folder):
        problems = [f"{folder / name} is damaged" for name in Index.open(folder).damaged_files()]
    return problems


def _find_problems(folder: Path) -> list[str]:
    catalog = Catalog(folder)
    try:
        if not catalog.meta:
            raise no_index(folder)
        problems = catalog.problems()
        meta, segments, rows = catalog.meta, catalog.segments(), catalog.images()
    finally:
        catalog.close()
    files = files_of(meta, segments) | vocabulary_files(meta)
    damaged = damaged_among(folder, files)
    problems += [f"{folder / name} is missing or damaged" for name in damaged]
    if damaged:
        return problems
    try:
        index = Index.open(folder)
    except FormatError as error:
        return [*problems, str(error)]
    places = {(row.segment, row.number): row for row in rows if row.segment is not None}
    if len(places) != sum(row.status == "ok" for row in rows):
        problems.append(f"{folder} has images in one place or in none")
    slots = [(row.id, number) for row in segments for number in range(row.images)]
    for image, slot in enumerate(slots):
        row = places.pop(slot, None)
        features = row.features if row else 0
        same = not row or (row.name, Path(row.folder + row.name)) == (
            index.names[image], index.path(image)
        )  # fmt: skip
        if bool(index.statistics.live[image]) != bool(row) or not same:
            problems.append(f"{folder}: image {image} is not the catalog's")
        elif index.statistics.features[image] != features:
            problems.append(f"{folder}: {index.names[image]} has not {features} features")
    problems += [f"{folder}: {row.name} is in no segment" for row in places.values()]
    return problems


def find_leftovers(folder: Path) -> list[Path]:
    """Return what an interrupted run left in an index; the next change removes it."""
    return [path for part in parts_of(folder) for path in _find_leftovers(part)]


def _find_leftovers(folder: Path) -> list[Path]:
    catalog = Catalog(folder)
    try:
        return unused(folder, catalog.meta, [row.id for row in catalog.segments()])
    finally:
        catalog.close()


def repair_index(folder: Path) -> list[str]:
    """Take damaged segments out of an index, and make again what follows from the others.

    Returns the names of the images that were in them: indexing their folder reads them again.
    Raises FormatError where the catalog or the words are damaged, which nothing can replace.
    """
    lost: list[str] = []
    with changing(folder) as writers:
        for writer in writers:
            # Fails where the words are damaged; the rest of a vocabulary is made again of them.
            Vocabulary.load(writer.vocabulary_folder).save(writer.vocabulary_folder)
            lost += [name for id in writer.damaged_segments() for name in writer.discard(id)]
            writer.commit(anew=True)
        unseal(folder)
    return sorted(lost)
