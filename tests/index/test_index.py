"""What goes into an index comes out again, and what is damaged is told."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bovw.errors import FormatError
from bovw.index import Index, merging
from bovw.index.catalog import FILE, FORMAT
from bovw.index.names import Names
from bovw.index.resharding import split_index
from bovw.index.rows import ImageRow
from bovw.index.segment import Segment
from bovw.index.statistics import Statistics
from tests.index.samples import create, fill, written

ODD_NAMES = (
    "plain.jpg",
    "a\nnew line.jpg",
    'it\'s "quoted"; --.jpg',
    "ünïcode/東京.jpg",
    "not utf-8 \udcff\udc80.jpg",
    "50% #1? & more.jpg",
)

ARRAYS = tuple(f"{name}.npy" for name in Segment.declared())

STATISTICS = tuple(f"{name}.npy" for name in Statistics.declared())


def test_index_has_what_was_added(folder: Path) -> None:
    index = Index.open(folder)
    assert list(index.names) == ["a.jpg", "b.jpg", "c.jpg"]
    assert len(index) == 3
    assert index.path(1) == Path("/photos/b.jpg")
    assert index.sizes.tolist() == [[640, 480]] * 3
    assert index.meta["options"] == {"max_size": 1024}
    assert index.features == sum(row.features for row in index.images())
    assert index.damaged_files() == []
    assert all(index.bytes().values())


def test_names_come_back_as_they_were(tmp_path: Path) -> None:
    place = tmp_path / "an odd %41 #? ü.index"
    below = "/ph\udcffotos/"
    skipped = ImageRow("bad\n\udcfe.jpg", below, status="skipped", reason="grün")
    with create(place) as started:
        fill(started, ODD_NAMES)
        started.skip(skipped)
        started.commit()
    index = Index.open(place)
    assert list(index.names) == list(ODD_NAMES)
    rows = {row.name: row for row in index.images()}
    assert rows.keys() == {*ODD_NAMES, skipped.name}
    assert rows[skipped.name] == skipped
    assert rows["plain.jpg"].segment is not None
    ordered = sorted(range(len(index)), key=index.names.order.__getitem__)
    assert [index.names[i] for i in ordered] == sorted(ODD_NAMES)


@given(st.lists(st.text("aAb/.é\udcff", min_size=1), unique=True), st.text("aAb/é", min_size=1))
def test_names_are_found_and_searched(names: list[str], part: str) -> None:
    kept = Names.of([*(("/A/b/", name) for name in names), ("", "")])
    assert [kept.find(name) for name in names] == list(range(len(names)))
    assert kept.find("") is None and kept.find("another") is None
    assert (part in names) == (kept.find(part) is not None)
    held = [os.fsencode(part).lower() in os.fsencode(name).lower() for name in names]
    assert kept.containing(part).tolist() == [*held, False]


def test_an_index_is_not_overwritten(folder: Path) -> None:
    with pytest.raises(FormatError, match="already"):
        create(folder)


def test_another_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(FormatError, match="not an index"):
        create(tmp_path)


def test_older_format_says_what_to_do(folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute("UPDATE meta SET value = '1' WHERE key = 'format'")
    with pytest.raises(FormatError, match=r"format 1.*index the images again"):
        Index.open(folder)


def test_newer_format_is_refused_by_number(folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'format'", [str(FORMAT + 1)])
    with pytest.raises(FormatError, match=f"format {FORMAT + 1}.*pip install -U bovw"):
        Index.open(folder)


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [Path.unlink, halve, empty])
@pytest.mark.parametrize("name", [*ARRAYS, *STATISTICS])
def test_damage_is_told_in_one_line(
    folder: Path, name: str, damage: Callable[[Path], object]
) -> None:
    path = next(folder.rglob(name))
    damage(path)
    with pytest.raises(FormatError, match="bovw check --repair") as caught:
        Index.open(folder)
    assert str(path.parent) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_catalog_is_told(folder: Path) -> None:
    (folder / FILE).write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    with pytest.raises(FormatError, match="damaged"):
        Index.open(folder)


def test_a_segment_of_another_index_is_told(folder: Path, tmp_path: Path) -> None:
    written(tmp_path / "other", ["x.jpg"], seed=5)
    stranger = next((tmp_path / "other").rglob("gaps.npy"))
    next(folder.rglob("gaps.npy")).write_bytes(stranger.read_bytes())
    with pytest.raises(FormatError, match="bovw check --repair"):
        Index.open(folder)


@pytest.mark.parametrize("name", [*ARRAYS, *STATISTICS])
def test_a_flipped_byte_is_found(folder: Path, name: str) -> None:
    index = Index.open(folder)
    path = next(folder.rglob(name))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert index.damaged_files() == [path.relative_to(folder).as_posix()]


def test_the_same_images_give_the_same_files(folder: Path, tmp_path: Path) -> None:
    again = written(tmp_path / "again", ["a.jpg", "b.jpg", "c.jpg"])
    assert again.files() == Index.open(folder).files()


def test_many_segments_hold_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{n}.jpg" for n in range(20)]
    whole = written(tmp_path / "whole", names)
    monkeypatch.setattr(merging, "SEGMENT_FEATURES", 50)
    parts = written(tmp_path / "parts", names)
    assert len(parts.segments) > 4
    assert list(parts.names) == list(whole.names)
    assert parts.features == whole.features
    for name in Statistics.declared():
        first, second = getattr(parts.statistics, name), getattr(whole.statistics, name)
        assert first.tobytes() == second.tobytes()
    assert (
        parts.starts.tolist()
        == np.cumsum([0, *(len(s.sizes) for s in parts.segments)])[:-1].tolist()
    )


def test_an_index_that_is_built_anew_is_another_one(folder: Path, tmp_path: Path) -> None:
    opened = Index.open(folder)
    assert not opened.outdated()
    other = written(tmp_path / "other", ["a.jpg", "b.jpg", "x.jpg"])
    assert other.meta["names"] == opened.meta["names"]
    shutil.rmtree(folder)
    other.folder.rename(folder)
    assert opened.outdated()
    with pytest.raises(FormatError, match="changed meanwhile"):
        opened.images()
    assert not Index.open(folder).outdated()


def test_shards_in_an_index_s_place_are_another_one(folder: Path, tmp_path: Path) -> None:
    opened = Index.open(folder)
    split_index(folder, 2, tmp_path / "shards")
    folder.rename(tmp_path / "old")
    (tmp_path / "shards").rename(folder)
    assert opened.outdated()
    sharded = Index.open(folder)
    folder.rename(tmp_path / "shards")
    (tmp_path / "old").rename(folder)
    assert sharded.outdated()
    assert not opened.outdated()
