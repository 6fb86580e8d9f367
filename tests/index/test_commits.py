"""A commit happens whole or not at all."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import pytest

from bovw.errors import FormatError
from bovw.index import Index, IndexWriter
from bovw.index import writer as index_writer
from bovw.index.catalog import Catalog
from bovw.index.graph import Graph
from bovw.index.integrity import find_problems
from bovw.index.names import Names
from bovw.index.segment import Segment
from bovw.index.snapshot import Snapshot
from bovw.index.statistics import Statistics
from tests.index.samples import assert_holds_the_same, content, create, fill


def test_without_a_commit_nothing_changes(folder: Path) -> None:
    before = Index.open(folder).files()
    with IndexWriter.open(folder) as opened:
        fill(opened, ["x.jpg", "y.jpg"], seed=1)
        opened._flush()
        opened.remove("a.jpg")
    index = Index.open(folder)
    assert list(index.names) == ["a.jpg", "b.jpg", "c.jpg"]
    assert index.files() == before
    assert index.damaged_files() == []


def fail(*_: object, **__: object) -> None:
    raise OSError("no space left on device")


STEPS: dict[str, tuple[object, str]] = {
    "segment": (Segment, "save"),
    "statistics": (Statistics, "save"),
    "names": (Names, "save"),
    "file": (os, "fsync"),
    "folder": (index_writer, "sync_folder"),
    "meta": (Catalog, "put_meta"),
    "segments": (Catalog, "put_segments"),
    "images": (Catalog, "put_images"),
    "seal": (Catalog, "write_digest"),
}


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_a_failed_commit_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = content(Index.open(folder))
    with IndexWriter.open(folder) as opened:
        fill(opened, ["b.jpg", "x.jpg"], seed=1)
        opened.remove("a.jpg")
        owner, method = STEPS[step]
        if step in ("meta", "segments", "images", "seal"):
            # It fails once it has done its part.
            done = getattr(owner, method)

            def done_and_failed(*arguments: object) -> None:
                done(*arguments)
                fail()

            monkeypatch.setattr(owner, method, done_and_failed)
        else:
            monkeypatch.setattr(owner, method, fail)
        with pytest.raises(OSError, match="no space left"):
            opened.commit()
        monkeypatch.undo()
    assert content(Index.open(folder)) == before
    assert find_problems(folder) == []
    # The next one is not disturbed by what this one left, and clears it up.
    with IndexWriter.open(folder) as opened:
        fill(opened, ["z.jpg"])
        opened.commit()
    index = Index.open(folder)
    assert set(content(index)) == {"a.jpg", "b.jpg", "c.jpg", "z.jpg"}
    kept = {path.relative_to(folder).as_posix() for path in folder.rglob("*.npy")}
    assert kept == set(index.files())


def test_a_short_write_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(file: IO[bytes], array: npt.NDArray[np.generic]) -> None:
        file.write(array.tobytes()[:-1])

    with IndexWriter.open(folder) as opened:
        fill(opened, ["x.jpg"], seed=1)
        monkeypatch.setattr(np, "save", short)
        with pytest.raises(FormatError, match="damaged"):
            opened.commit()
    monkeypatch.undo()
    assert list(Index.open(folder).names) == ["a.jpg", "b.jpg", "c.jpg"]


def test_an_opened_index_keeps_its_snapshot(folder: Path) -> None:
    old = Index.open(folder)
    before = content(old)
    with IndexWriter.open(folder) as opened:
        fill(opened, ["a.jpg", "x.jpg"], seed=1)
        opened.remove("b.jpg")
        opened.compact()
        opened.commit()
    assert content(old) == before
    assert set(content(Index.open(folder))) == {"a.jpg", "c.jpg", "x.jpg"}
    with pytest.raises(FormatError, match="changed meanwhile"):
        old.images()


def test_a_reader_that_comes_during_a_commit_reads_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Snapshot._read_catalog

    def overtaken(snapshot: Snapshot) -> None:
        read(snapshot)
        monkeypatch.setattr(Snapshot, "_read_catalog", read)
        with IndexWriter.open(folder) as opened:
            fill(opened, ["x.jpg"], seed=1)
            opened.commit()

    monkeypatch.setattr(Snapshot, "_read_catalog", overtaken)
    assert set(content(Index.open(folder))) == {"a.jpg", "b.jpg", "c.jpg", "x.jpg"}


def test_an_image_is_replaced_by_name(folder: Path, tmp_path: Path) -> None:
    with IndexWriter.open(folder) as opened:
        fill(opened, ["b.jpg"], seed=7)
        fill(opened, ["b.jpg"], seed=8)
        opened.commit()
    with create(tmp_path / "fresh") as started:
        fill(started, ["a.jpg", "b.jpg", "c.jpg"])
        fill(started, ["b.jpg"], seed=8)
        started.commit()
    assert_holds_the_same(Index.open(folder), Index.open(tmp_path / "fresh"))


def test_renaming_keeps_features_and_graph(folder: Path) -> None:
    before = content(Index.open(folder))
    with IndexWriter.open(folder) as opened:
        opened.put("graph", lambda names: Graph.of([[(1, 20.0)], [], []]))
        opened.commit()
    with IndexWriter.open(folder) as opened:
        opened.rename("a.jpg", replace(opened.rows["a.jpg"], name="d.jpg", folder="/other/"))
        opened.commit()
    index = Index.open(folder)
    after = content(index)
    assert after["d.jpg"] == ("/other/d.jpg", *before["a.jpg"][1:])
    assert index.graph and index.graph.neighbours[0, 0] == 1
    assert [row.name for row in index.images()] == ["b.jpg", "c.jpg", "d.jpg"]
    with IndexWriter.open(folder) as opened:
        opened.remove("d.jpg")
        opened.commit()
    assert Index.open(folder).graph is None
    assert find_problems(folder) == []


def test_nothing_to_do_writes_nothing(folder: Path) -> None:
    before = Index.open(folder).files()
    with IndexWriter.open(folder) as opened:
        opened.commit()
    assert Index.open(folder).files() == before
