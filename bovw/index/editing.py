"""Opens an index of one folder or of several for changes: one writer per folder, one commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bovw.index.catalog import drop_staged, take_staged
from bovw.index.decoys import Decoys
from bovw.index.graph import MakeGraph
from bovw.index.joined import join_shards
from bovw.index.lock import WriterLock
from bovw.index.manifest import parts_of, read_manifest, write_manifest
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
        _finish(folder)
        yield
        join_shards(folder)


def commit_all(
    folder: Path,
    writers: Sequence[IndexWriter],
    graph: MakeGraph | None = None,
    decoys: Decoys | None = None,
    anew: bool = False,
) -> None:
    """Commit the changes of all writers of `edit_index` at once, and what shards share.

    graph, decoys  to keep in the index; None for those that there are
    anew           as for `IndexWriter.commit`

    Every shard writes all but its commit. The shards' manifest then tells readers to take what is
    staged; should this process be killed, the next change takes it.
    """
    if read_manifest(folder):
        for writer in writers:
            writer.commit(anew, staged=True)
        join_shards(folder, graph, decoys, staged=True)
        for writer in writers:
            writer.take_staged()
        _finish(folder)
        return
    if graph:
        writers[0].put("graph", graph)
    if decoys:
        writers[0].put("calibration", lambda names: decoys)
    writers[0].commit(anew)


@contextmanager
def edit_index(folder: Path) -> Iterator[list[IndexWriter]]:
    """Open an index to change it: a writer for each shard; see `commit_all`.

    An image belongs to writer `shard_of(name, len(writers))`. Raises BovwError if somebody else
    is changing it.
    """
    with joining(folder), ExitStack() as opened:
        yield [opened.enter_context(IndexWriter.open(part)) for part in parts_of(folder)]


def _finish(folder: Path) -> None:
    """Take what the last commit staged, if it was interrupted, or else drop what is staged."""
    manifest = read_manifest(folder)
    settle = take_staged if manifest.get("staged") else drop_staged
    for name in manifest["shards"]:
        settle(folder / name)
    if manifest.pop("staged", False):
        write_manifest(folder, manifest)
