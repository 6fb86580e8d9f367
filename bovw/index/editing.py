"""Opens an index of one folder or of several for changes: one writer per folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bovw.index.decoys import Decoys
from bovw.index.graph import Graph
from bovw.index.joined import join_shards
from bovw.index.lock import WriterLock
from bovw.index.manifest import parts_of, read_manifest
from bovw.index.writer import IndexWriter


@contextmanager
def joining(folder: Path) -> Iterator[None]:
    """Lock an index of shards, and update what its shards share at the end.

    Does nothing for an index of one folder, whose writer does both.
    """
    if not read_manifest(folder):
        yield
        return
    with WriterLock(folder):
        yield
        join_shards(folder)


def commit_shared(
    folder: Path,
    writers: Sequence[IndexWriter],
    graph: Graph | None = None,
    decoys: Decoys | None = None,
) -> None:
    """Commit a graph or what decoys found to an index opened by `edit_index`; shards share it."""
    if read_manifest(folder):
        join_shards(folder, graph, decoys)
        return
    if graph:
        writers[0].put_graph(graph)
    if decoys:
        writers[0].put_decoys(decoys)
    writers[0].commit()


@contextmanager
def edit_index(folder: Path) -> Iterator[list[IndexWriter]]:
    """Open an index to change it: a writer for each shard, which the caller commits.

    An image belongs to writer `shard_of(name, len(writers))`. Raises BovwError if somebody else
    is changing it.
    """
    with joining(folder), ExitStack() as opened:
        yield [opened.enter_context(IndexWriter.open(part)) for part in parts_of(folder)]
