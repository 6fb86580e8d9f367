"""Checks that an index is complete and undamaged."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from bovw.errors import FormatError
from bovw.index.catalog import Catalog, no_index
from bovw.index.checksums import damaged_among, files_of, vocabulary_files
from bovw.index.index import Index
from bovw.index.leftovers import is_left_over, unused
from bovw.index.manifest import parts_of, read_manifest
from bovw.index.rows import ImageRow, SegmentRow
from bovw.index.snapshot import Snapshot


def find_problems(folder: Path) -> list[str]:
    """Check an index's files against their checksums and each other; return a line per problem.

    Reads everything. Raises FormatError if there is no index, or its catalog cannot be read.
    """
    problems = [line for part in parts_of(folder) for line in _find_problems(part)]
    manifest = read_manifest(folder)
    if problems or not manifest:
        return problems
    joined = manifest.get("joined", {}).get("files", {})
    problems = [f"{folder / name} is damaged" for name in damaged_among(folder, joined)]
    if not problems:
        # The shards have to fit together, too.
        Index.open(folder)
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
    damaged = damaged_among(folder, files_of(meta, segments) | vocabulary_files(meta))
    problems += [f"{folder / name} is missing or damaged" for name in damaged]
    if damaged:
        return problems
    try:
        snapshot = Snapshot(folder)
    except FormatError as error:
        return [*problems, str(error)]
    return problems + _misplaced(snapshot, segments, rows)


def _misplaced(
    snapshot: Snapshot, segments: Sequence[SegmentRow], rows: Sequence[ImageRow]
) -> list[str]:
    """Compare the catalog's images with those in the files."""
    folder, problems = snapshot.folder, []
    places = {(row.segment, row.number): row for row in rows if row.segment is not None}
    if len(places) != sum(row.status == "ok" for row in rows):
        problems.append(f"{folder} has images that share a place or have none")
    slots = [(row.id, number) for row in segments for number in range(row.images)]
    for image, slot in enumerate(slots):
        row = places.pop(slot, None)
        features = row.features if row else 0
        held = snapshot.names[image], snapshot.names.path(image)
        same = not row or (row.name, Path(row.folder + row.name)) == held
        if bool(snapshot.statistics.live[image]) != bool(row) or not same:
            problems.append(f"{folder}: image {image} differs from the catalog")
        elif snapshot.statistics.features[image] != features:
            problems.append(f"{folder}: {held[0]} does not have {features} features")
    if any(
        one > other for one, other in pairwise(snapshot.names[i] for i in snapshot.names.by_name)
    ):
        problems.append(f"{folder}: its names are not in order")
    return problems + [f"{folder}: {row.name} is in no segment" for row in places.values()]


def find_leftovers(folder: Path) -> list[Path]:
    """Return what an interrupted run left in an index; the next change removes it."""
    return [path for path in _all_unused(folder) if is_left_over(path)]


def find_strangers(folder: Path) -> list[Path]:
    """Return what has the name of a folder of the index, but was not written by bovw: it stays."""
    return [path for path in _all_unused(folder) if not is_left_over(path)]


def _all_unused(folder: Path) -> list[Path]:
    return [path for part in parts_of(folder) for path in _find_unused(part)]


def _find_unused(folder: Path) -> list[Path]:
    catalog = Catalog(folder)
    try:
        return unused(folder, catalog.meta, [row.id for row in catalog.segments()])
    finally:
        catalog.close()
