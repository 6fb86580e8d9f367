"""Values that no writer wrote are refused by name, before anything uses them."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bovw.compute.files import file_sha256
from bovw.errors import BovwError, FormatError
from bovw.index import Index, IndexWriter
from bovw.index.archive import export_index, import_index
from bovw.index.catalog import FILE, Catalog
from bovw.index.integrity import find_problems
from bovw.index.manifest import MANIFEST, read_manifest
from bovw.index.resharding import split_index
from bovw.options import FeatureOptions
from tests.index.samples import create, fill, written

Change = Callable[[Path], object]
READERS: list[Change] = [
    lambda folder: Index.open(folder).images(),
    find_problems,
    lambda folder: IndexWriter.open(folder).close(),
]
# What JSON and SQLite can hold where a number or a name is expected.
ODD: list[Any] = [
    [], {}, [[]], "", "x", "../../x", "/etc", "a\0b", "\ud800", None, True, -1, 0.5, 1e300, 2**70,
    float("nan"), float("inf"), {"a": {"b": 1}},
]  # fmt: skip
DEEP = "[" * 100_000 + "]" * 100_000


def statement(folder: Path, sql: str, *values: object) -> None:
    """Change the catalog, with a fitting digest where it still can be computed."""
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute(sql, values)
    seal(folder)


def seal(folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        catalog = Catalog.__new__(Catalog)
        catalog.__dict__["_database"] = type("Plain", (), {"connection": connection})
        try:
            digest = json.dumps(catalog.digest())
        except (sqlite3.Error, ValueError):
            return
        connection.execute("UPDATE meta SET value = ? WHERE key = 'digest'", [digest])


def refused(folder: Path, match: str = "") -> None:
    for use in READERS:
        with pytest.raises(BovwError, match=match):
            use(folder)


@pytest.mark.parametrize("value", [json.dumps(value) for value in ODD] + [DEEP, "{", "1e999"])
@pytest.mark.parametrize("key", ["format", "words", "bits", "fingerprint", "options", "vocabulary"])
def test_a_value_of_another_kind(folder: Path, key: str, value: str) -> None:
    if (key, value) == ("options", "{}"):
        return
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = ?", [value, key])
    with pytest.raises(FormatError, match=r"is damaged|has index format"):
        Index.open(folder)


@pytest.mark.parametrize("value", [json.dumps(value) for value in ODD] + [DEEP])
@pytest.mark.parametrize("key", ["statistics", "names_files", "vocabulary_files", "graph"])
def test_a_name_that_leads_elsewhere(folder: Path, key: str, value: str) -> None:
    if key.endswith("_files") and value == "{}":
        return
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [key, value])
    with pytest.raises(FormatError, match="is damaged"):
        Index.open(folder)


@pytest.mark.parametrize(
    "name", ["../gaps.npy", "/etc/passwd", "gaps.npy\0", "a/../../gaps.npy", "", "gaps.txt", "."]
)
def test_a_file_that_lies_elsewhere(folder: Path, name: str) -> None:
    statement(folder, "UPDATE segments SET files = ?", json.dumps({name: "0" * 64}))
    refused(folder, "is damaged")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("name", b"a.jpg"),
        ("name", "a\0.jpg"),
        ("folder", "/photos\0/"),
        ("size", 1.5),
        ("mtime", "yesterday"),
        ("sha256", "zz"),
        ("width", 0),
        ("width", -5),
        ("height", 2**40),
        ("features", -1),
        ("features", "many"),
        ("status", "fine"),
        ("status", "skipped"),
        ("segment", None),
        ("segment", 7),
        ("number", 99),
        ("number", -1),
        ("number", 1),
    ],
)
def test_a_row_that_no_writer_wrote(folder: Path, column: str, value: object) -> None:
    statement(folder, f"UPDATE images SET {column} = ? WHERE name = 'a.jpg'", value)
    if (column, value) in (("segment", 7), ("number", 99), ("number", 1)):
        # Found by whoever follows the place.
        assert find_problems(folder)
        with pytest.raises(FormatError, match="is in no segment"):
            IndexWriter.open(folder)
    else:
        refused(folder, "is damaged")


def test_images_of_one_place_do_not_get_lost(folder: Path) -> None:
    statement(folder, "UPDATE images SET number = 0")
    assert find_problems(folder)
    with pytest.raises(FormatError, match="or where another is"):
        IndexWriter.open(folder)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE VIEW v AS SELECT 1",
        "CREATE TABLE more (x)",
        "CREATE INDEX i ON images (features)",
        "CREATE TRIGGER t AFTER DELETE ON images BEGIN DELETE FROM segments; END",
        "ALTER TABLE images ADD COLUMN x DEFAULT 'x'",
        "ALTER TABLE meta RENAME COLUMN value TO worth",
    ],
)
def test_another_schema(folder: Path, sql: str) -> None:
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute(sql)
    refused(folder, "is damaged .its tables are not those of an index")


@pytest.mark.parametrize(
    "query",
    [
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT 'k' || i, 1 FROM n",
        "SELECT 'format', zeroblob(1000000000)",
    ],
)
def test_a_view_in_a_tables_place_costs_nothing(folder: Path, query: str) -> None:
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute("ALTER TABLE meta RENAME TO old")
        connection.execute(f"CREATE VIEW meta (key, value) AS {query}")
    refused(folder, "is damaged .its tables are not those of an index")


def test_more_rows_than_the_file_can_hold(folder: Path) -> None:
    """Pages that are named twice make an endless table of a small file."""
    catalog = Catalog(folder)
    vars(catalog)["_database"]._most = 100
    with pytest.raises(FormatError, match="hold more than the file"):
        catalog.images()
    catalog.close()


def test_more_work_than_the_file_can_make(folder: Path) -> None:
    catalog = Catalog(folder)
    vars(catalog)["_database"]._steps = 0
    counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    with pytest.raises(FormatError, match="interrupted"):
        catalog._rows(f"{counting} WHERE i < 0")
    catalog.close()


def changed(folder: Path, kind: str, **arrays: Any) -> None:
    """Write other numbers into a component or a segment, with fitting checksums."""
    index = Index.open(folder)
    place = f"segments/{index.segment_rows[0].id}" if kind == "segments" else index.meta[kind]
    files = {}
    for path in sorted((folder / place).iterdir()):
        if path.stem in arrays:
            np.save(path, arrays[path.stem])
        files[path.name] = file_sha256(path)
    if kind == "segments":
        statement(folder, "UPDATE segments SET files = ?", json.dumps(files))
    else:
        value = json.dumps(files)
        statement(folder, "UPDATE meta SET value = ? WHERE key = ?", value, f"{kind}_files")


@pytest.mark.parametrize("weight", [np.nan, np.inf, -1.0, 1e30])
def test_weights_that_are_no_numbers(folder: Path, weight: float) -> None:
    weights = Index.open(folder).statistics.weights.copy()
    weights[3] = weight
    changed(folder, "statistics", weights=weights)
    assert find_problems(folder)
    with pytest.raises(FormatError, match="do not fit"):
        Index.open(folder)


@pytest.mark.parametrize("size", [0, -640])
def test_images_without_a_size(folder: Path, size: int) -> None:
    sizes = Index.open(folder).segments[0].sizes.copy()
    sizes[1, 0] = size
    changed(folder, "segments", sizes=sizes)
    assert find_problems(folder)
    with pytest.raises(FormatError, match="has no size"):
        Index.open(folder)


def test_counts_below_zero(folder: Path) -> None:
    changed(folder, "statistics", distinct=-Index.open(folder).statistics.distinct)
    with pytest.raises(FormatError, match="do not fit"):
        Index.open(folder)


def test_names_out_of_order(folder: Path) -> None:
    changed(folder, "names", order=Index.open(folder).names.order[::-1].copy())
    assert any("not in order" in problem for problem in find_problems(folder))


def test_what_check_finds_import_refuses(tmp_path: Path) -> None:
    folder = written(tmp_path / "index", ["a.jpg", "b.jpg", "c.jpg"]).folder
    statement(folder, "UPDATE images SET features = 1 WHERE name = 'b.jpg'")
    assert any("does not have 1 features" in problem for problem in find_problems(folder))
    export_index(folder, tmp_path / "index.zip")
    with pytest.raises(FormatError, match="does not have 1 features"):
        import_index(tmp_path / "index.zip", tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"shards": []},
        {"shards": ["../x"]},
        {"shards": [["a"]]},
        {"shards": "shard-0"},
        {"format": 1.5},
        {"format": "1"},
        {"format": [[]]},
        {"joined": {}},
        {"joined": 7},
    ],
)
def test_a_manifest_of_other_values(tmp_path: Path, change: dict[str, Any]) -> None:
    written(tmp_path / "index", ["a.jpg", "b.jpg"])
    split_index(tmp_path / "index", 2, tmp_path / "shards")
    path = tmp_path / "shards" / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(FormatError, match="is damaged"):
        read_manifest(tmp_path / "shards")


@pytest.mark.parametrize("place", ["../graph/1", "graph/../../x", "names/1", "graph/0", 7, None])
def test_a_manifest_that_names_another_folder(tmp_path: Path, place: object) -> None:
    written(tmp_path / "index", ["a.jpg", "b.jpg"])
    split_index(tmp_path / "index", 2, tmp_path / "shards")
    path = tmp_path / "shards" / MANIFEST
    manifest = json.loads(path.read_text())
    manifest["joined"]["graph"] = place
    path.write_text(json.dumps(manifest))
    with pytest.raises(FormatError, match="is damaged"):
        read_manifest(tmp_path / "shards")


@pytest.mark.parametrize("text", [DEEP, "NaN", "[1e999]", '{"format": NaN}', "7", "\ud800"])
def test_a_manifest_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(FormatError, match="is damaged"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "kept",
    [
        {"max_size": 0},
        {"max_size": 10**9},
        {"max_features": 1e300},
        {"max_features": -1},
        {"contrast": 5.0},
        {"upright": 2},
    ],
)
def test_images_described_in_an_impossible_way(kept: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="which no bovw does"):
        FeatureOptions.of(kept)


def test_a_file_that_may_not_be_read_is_not_called_damaged(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_nothing(*_: object, **__: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("os.open", open_nothing)
    with pytest.raises(BovwError, match=r"cannot read .*Too many open files") as caught:
        Index.open(folder)
    assert not isinstance(caught.value, FormatError)


def test_a_large_index_is_read_within_its_limits(tmp_path: Path) -> None:
    """What a reader may spend grows with the file: 3,000 images with names of 200 letters."""
    with create(tmp_path / "index") as writer:
        fill(writer, [f"{'x' * 200}/{number}.jpg" for number in range(3000)])
        writer.commit()
    assert len(Index.open(tmp_path / "index").images()) == 3000
    assert find_problems(tmp_path / "index") == []
    shutil.rmtree(tmp_path / "index")
