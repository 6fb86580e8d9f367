"""A change of several shards is one commit, wherever it is killed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bovw.index import Index, commit_all, edit_index
from bovw.index import editing as index_editing
from bovw.index.catalog import STAGED
from bovw.index.graph import Graph
from bovw.index.integrity import find_leftovers, find_problems
from bovw.index.manifest import MANIFEST, read_manifest
from bovw.index.names import Names
from bovw.index.resharding import split_index
from bovw.index.writer import IndexWriter
from tests.index.samples import written

NAMES = [f"{letter}.jpg" for letter in "abcdefghijkl"]
GONE = NAMES[::2]


class Killed(BaseException):
    """Stands for a killed process: nothing of it is caught."""


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    written(tmp_path / "index", NAMES)
    split_index(tmp_path / "index", 3, tmp_path / "shards")
    return tmp_path / "shards"


def graph_of(names: Names) -> Graph:
    return Graph.of([[(0, 5.0)] if name else [] for name in names])


def remove_and_link(folder: Path) -> None:
    with edit_index(folder) as writers:
        for writer in writers:
            for name in writer.rows.keys() & set(GONE):
                writer.remove(name)
        commit_all(folder, writers, graph=graph_of)


def state(folder: Path) -> tuple[list[str], bool]:
    index = Index.open(folder)
    return [row.name for row in index.images()], index.graph is not None


BEFORE, AFTER = (NAMES, False), (sorted(set(NAMES) - set(GONE)), True)
# Every step of the commit, and how often it is taken.
STEPS: list[tuple[object, str, int]] = [
    (IndexWriter, "commit", 3),
    (index_editing, "join_shards", 1),
    (IndexWriter, "take_staged", 3),
    (index_editing, "_finish", 2),
]


@pytest.mark.parametrize(
    ("place", "step", "number"),
    [(place, step, number) for place, step, count in STEPS for number in range(count)],
)
@pytest.mark.parametrize("late", [False, True])
def test_a_killed_change_is_whole_or_not_there(
    shards: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: object,
    step: str,
    number: int,
    late: bool,
) -> None:
    whole: Callable[..., object] = getattr(place, step)
    left = [number]

    def killed(*given: object, **named: object) -> object:
        left[0] -= 1
        if left[0] < 0 and not late:
            raise Killed
        done = whole(*given, **named)
        if left[0] < 0:
            raise Killed
        return done

    # Nothing is tidied up after a kill.
    monkeypatch.setattr(place, step, killed)
    monkeypatch.setattr(IndexWriter, "close", lambda self: self._lock.release())
    with pytest.raises(Killed):
        remove_and_link(shards)
    monkeypatch.undo()
    found = state(shards)
    assert found in (BEFORE, AFTER)
    assert find_problems(shards) == []
    # The next change goes on from there, and leaves nothing behind.
    remove_and_link(shards)
    assert state(shards) == AFTER
    assert not find_problems(shards) and not find_leftovers(shards)
    assert not list(shards.rglob(f"{STAGED}*"))
    assert "staged" not in read_manifest(shards)


def test_an_interrupted_change_does_not_lose_what_it_committed(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C after the manifest is written: writers that are closed leave what it names."""

    def interrupt(self: IndexWriter) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(IndexWriter, "take_staged", interrupt)
    with pytest.raises(KeyboardInterrupt):
        remove_and_link(shards)
    monkeypatch.undo()
    assert state(shards) == AFTER
    assert find_problems(shards) == []


def test_what_was_staged_and_not_committed_is_dropped(shards: Path) -> None:
    for part in sorted(shards.glob("shard-*")):
        (part / STAGED).write_bytes(b"half")
        (part / f"{STAGED}-journal").write_bytes(b"half")
    assert state(shards) == BEFORE
    remove_and_link(shards)
    assert state(shards) == AFTER
    assert not list(shards.rglob(f"{STAGED}*"))


def test_a_manifest_may_not_claim_anything_else(shards: Path) -> None:
    path = shards / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"staged": "yes"}))
    with pytest.raises(Exception, match="is damaged"):
        read_manifest(shards)


@pytest.mark.parametrize("number", range(4))
def test_a_killed_split_can_be_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    written(tmp_path / "index", NAMES)
    left = [number]
    commit = IndexWriter.commit

    def killed(self: IndexWriter, anew: bool = False, staged: bool = False) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        commit(self, anew, staged)

    monkeypatch.setattr(IndexWriter, "commit", killed)
    monkeypatch.setattr("bovw.compute.files._remove", lambda path: None)
    try:
        split_index(tmp_path / "index", 3, tmp_path / "shards")
    except Killed:
        assert number < 3
        assert not (tmp_path / "shards").exists()
    else:
        assert number == 3
        return
    monkeypatch.undo()
    split_index(tmp_path / "index", 3, tmp_path / "shards")
    assert state(tmp_path / "shards") == BEFORE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "shards"]
