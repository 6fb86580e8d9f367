"""Opens an index of one folder or of several for changes: one writer per folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

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


@contextmanager
def edit_index(folder: Path) -> Iterator[list[IndexWriter]]:
    """Open an index to change it: a writer for each shard, which the caller commits.

    An image belongs to writer `shard_of(name, len(writers))`. Raises BovwError if somebody else
    is changing it.
    """
    with joining(folder), ExitStack() as opened:
        yield [opened.enter_context(IndexWriter.open(part)) for part in parts_of(folder)]
