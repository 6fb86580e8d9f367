"""Splits an index into shards that give the same answers."""

from __future__ import annotations

import shutil
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from bovw.compute.files import aside, open_regular
from bovw.errors import FormatError, UsageError, damaged_file
from bovw.index.building import merge
from bovw.index.checksums import damaged_among, vocabulary_files
from bovw.index.graph import Graph
from bovw.index.index import Index
from bovw.index.joined import join_shards
from bovw.index.leftovers import check_free
from bovw.index.manifest import create_shards, parts_of, shard_of
from bovw.index.names import Names
from bovw.index.rows import ImageRow
from bovw.index.snapshot import Snapshot
from bovw.index.writer import IndexWriter


def split_index(source: Path, count: int, folder: Path) -> Index:
    """Write the index in `source`, sharded or not, as `count` shards to `folder`.

    `shard_of` gives each image its shard. The graph of neighbours and the calibration are kept.
    `source` stays as it is. The shards appear all at once, complete.

    Raises UsageError for no shards, FormatError if there is no index, or `folder` is in use.
    """
    if count < 1:
        raise UsageError(f"an index cannot have {count} shards: give 1 or more")
    index = Index.open(source)
    check_free(folder)
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty: give another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with aside(folder) as beside:
        create_shards(beside, count)
        _write_shards(index, beside, count)
        if folder.exists():
            folder.rmdir()
        beside.rename(folder)
    return Index.open(folder)


def _write_shards(index: Index, folder: Path, count: int) -> None:
    """Fill the shards of a new folder."""
    meta = index.meta
    made_with = meta["words"], meta["bits"], meta["fingerprint"], meta["options"]
    with ExitStack() as opened:
        writers = [
            opened.enter_context(IndexWriter.create(part, *made_with)) for part in parts_of(folder)
        ]
        for writer in writers:
            _copy_vocabulary(index.parts[0], writer.vocabulary_folder)
            if collection := index.parts[0].meta.get("collection"):
                writer.meta["collection"] = collection
        rows = {row.name: row for row in index.images()}
        for row in rows.values():
            if row.status != "ok":
                writers[shard_of(row.name, count)].skip(row)
        _deal_out(index, rows, writers)
        for writer in writers:
            writer.commit()
    graph = partial(_renumbered, index.graph, index) if index.graph else None
    join_shards(folder, graph, index.decoys)


def _copy_vocabulary(source: Snapshot, folder: Path) -> None:
    """Copy the files of an index's vocabulary, and nothing else that is in its folder."""
    files = vocabulary_files(source.meta)
    for name in damaged_among(source.folder, files):
        raise FormatError(f"{source.folder / name} is damaged: see `bovw check` on the index")
    folder.mkdir()
    for name in files:
        path = source.folder / name
        with open_regular(path) as kept, (folder / path.name).open("xb") as copy:
            shutil.copyfileobj(kept, copy)


def _deal_out(index: Index, rows: dict[str, ImageRow], writers: list[IndexWriter]) -> None:
    """Give every image's postings to its shard's writer."""
    for segment, start in zip(index.segments, index.starts.tolist(), strict=True):
        images: dict[int, list[int]] = defaultdict(list)
        for image in np.flatnonzero(index.statistics.live[start : start + len(segment.sizes)]):
            name = index.names[start + int(image)]
            images[shard_of(name, len(writers))].append(int(image))
        for shard, own in sorted(images.items()):
            chosen = np.zeros(len(segment.sizes), np.bool_)
            chosen[own] = True
            names = [index.names[start + image] for image in own]
            if strange := [name for name in names if name not in rows]:
                raise damaged_file(index.folder, f"its catalog has no {strange[0]!a}")
            unplaced = [replace(rows[name], segment=None, number=None) for name in names]
            writers[shard].adopt(merge([segment], [chosen]), unplaced)


def _renumbered(graph: Graph, old: Index, names: Names) -> Graph:
    """Return a graph with the image numbers of another index."""
    numbers = np.full(len(old.names), -1, np.int32)
    for image in np.flatnonzero(old.statistics.live).tolist():
        found = names.find(old.names[image])
        numbers[image] = -1 if found is None else found
    own = np.flatnonzero(numbers >= 0)
    neighbours = np.full((len(names), graph.neighbours.shape[1]), -1, np.int32)
    weights = np.zeros(neighbours.shape, np.float32)
    linked = graph.neighbours[own]
    neighbours[numbers[own]] = np.where(linked >= 0, numbers[linked], -1)
    weights[numbers[own]] = graph.weights[own]
    return Graph(neighbours, weights)
