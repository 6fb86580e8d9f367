"""Damage is found, and repaired where it follows from what is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from bovw.errors import FormatError
from bovw.index import Index, IndexWriter, merging
from bovw.index.catalog import FILE
from bovw.index.graph import Graph
from bovw.index.integrity import find_leftovers, find_problems
from bovw.ingest.repair import repair_index
from tests.ingest.updates import Updates, answers, spoil


def test_a_damaged_segment_is_read_again(
    update: Updates, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "MERGE_SHARE", 10)
    whole = answers(update(), pictures[:3])
    with IndexWriter.open(update.folder) as opened:
        row = opened.rows["1.jpg"]
        opened.remove("1.jpg")
        opened.commit()
    assert row.segment is not None
    update()
    path = update.folder / "segments" / str(row.segment) / "signatures.npy"
    spoil(path)
    (update.folder / "names" / "99").mkdir()
    problems = find_problems(update.folder)
    assert len(problems) == 1 and str(path) in problems[0]
    assert find_leftovers(update.folder) == [update.folder / "names" / "99"]
    assert repair_index(update.folder) == ["0.jpg", "2.jpg"]
    assert find_problems(update.folder) == [] and find_leftovers(update.folder) == []
    assert len(Index.open(update.folder)) == 1
    assert answers(update(), pictures[:3]) == whole


@pytest.mark.parametrize("name", ["weights.npy", "order.npy", "cells.npz", "manifest.json"])
def test_what_follows_from_the_segments_is_made_again(
    update: Updates, pictures: list[Path], name: str
) -> None:
    whole = answers(update(), pictures[:3])
    path = next(update.folder.rglob(name))
    if name == "manifest.json":
        path.write_text(path.read_text().replace('"seed"', '"Seed"'))
    else:
        spoil(path)
    assert [str(path) in problem for problem in find_problems(update.folder)] == [True]
    assert repair_index(update.folder) == []
    assert find_problems(update.folder) == []
    assert answers(Index.open(update.folder), pictures[:3]) == whole


@pytest.mark.parametrize("name", ["signatures.npy", "words.npy", FILE])
def test_damage_is_not_taken_for_content(update: Updates, name: str) -> None:
    """A merge gives new checksums, and only to what is whole."""
    update()
    if name == FILE:
        path = update.folder / FILE
        path.write_bytes(path.read_bytes().replace(b"1.jpg", b"7.jpg"))
    else:
        spoil(next(update.folder.rglob(name)))
    before = find_problems(update.folder)
    assert before
    try:
        with IndexWriter.open(update.folder) as opened:
            opened.remove("0.jpg")
            opened.compact()
            opened.commit()
    except FormatError as error:
        assert name in str(error)
    assert find_problems(update.folder) == before


def test_a_damaged_graph_is_left_out(update: Updates) -> None:
    update()
    for damaged in (False, True):
        with IndexWriter.open(update.folder) as opened:
            opened.put("graph", lambda names: Graph.of([[(1, 9.0)], [], []]))
            opened.commit()
        if damaged:
            spoil(next((update.folder / "graph").rglob("weights.npy")))
        assert bool(find_problems(update.folder)) == damaged
        assert repair_index(update.folder) == []
        assert (Index.open(update.folder).graph is None) == damaged
        assert find_problems(update.folder) == []


def test_an_empty_catalog_is_named(update: Updates) -> None:
    update()
    (update.folder / FILE).write_bytes(b"")
    with pytest.raises(FormatError, match=f"{FILE} is missing or empty"):
        find_problems(update.folder)


def test_a_damaged_list_of_columns_is_told(update: Updates) -> None:
    update()
    path = update.folder / FILE
    path.write_bytes(path.read_bytes().replace(b"folder TEXT", b"fonder TEXT"))
    with pytest.raises(FormatError, match="its tables are not those of an index"):
        find_problems(update.folder)
