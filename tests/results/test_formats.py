"""Stage 7: what is written is read back, whatever the names are."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bovw.compute.text import printable
from bovw.records import Hit, certainty
from bovw.results.formats import (
    WRITERS,
    Answer,
    as_csv,
    as_json,
    as_jsonl,
    as_paths,
    as_spreadsheet,
    as_table,
    as_trec,
    conclusion,
    often,
)

ODD_NAMES = (
    "plain.jpg",
    "with space.jpg",
    "comma, 'single' and \"double\".jpg",
    '"quoted".jpg',
    "per%20cent.jpg",
    "back\\slash.jpg",
    "new\nline.jpg",
    "carriage\rreturn.jpg",
    "both\r\n.jpg",
    "tab\t.jpg",
    "nul-like \x01.jpg",
    "line\u2028separator.jpg",
    "next\x85line.jpg",
    "ünï/日本.jpg",
    "not utf-8 \udcff\udcfe.jpg",
    "emoji \U0001f5bc.jpg",
    "-dash.jpg",
    " leading and trailing ",
    "=1+1.jpg",
)
# What a file system can hold: any bytes but NUL, as Python decodes them.
any_name = st.binary(min_size=1, max_size=20).filter(lambda raw: 0 not in raw).map(os.fsdecode)


def verified(name: str = "found.jpg", rank: int = 1) -> Hit:
    transform = np.array([[2, 0, 10], [0, 2, 20], [0, 0, 1]], np.float64)
    box = np.array([[10, 20], [1 / 3, 20], [1e-9, 1e9], [10, 500.25]], np.float64)
    evidence = (0.9987654321, 1.5e-7, True, 34)
    return Hit(rank, name, f"/photos/{name}", 12.5, *evidence, transform, box)


def doubtful(name: str = "doubtful.jpg", rank: int = 2) -> Hit:
    """Return a hit that agrees, and that is not confirmed."""
    where = np.eye(3), np.zeros((4, 2))
    return Hit(rank, name, f"/photos/{name}", 2.0, 0.25, 0.125, False, 5, *where)


def unverified(name: str = "similar.jpg", rank: int = 2) -> Hit:
    return Hit(rank, name, f"/photos/{name}", 0.123456789)


def answers_with(name: str) -> list[Answer]:
    """Return answers in which a name is a query's, a hit's and part of a path."""
    return [
        Answer(name, [verified(name), doubtful(), unverified("other.jpg", 3)]),
        Answer("second.jpg", [unverified(name, 1)]),
        Answer("finds nothing.jpg", []),
    ]


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def unquoted(line: str) -> str:
    return str(json.loads(line)) if line.startswith('"') else line


def same(hit: Hit, record: dict[str, Any]) -> None:
    assert (record["rank"], record["name"], record["path"]) == (hit.rank, hit.name, hit.path)
    for key in ("score", "probability", "false_alarms", "confirmed", "inliers"):
        assert record[key] == getattr(hit, key)
    for key, array in (("transform", hit.transform), ("box", hit.box)):
        if array is None:
            assert record[key] is None
        else:
            np.testing.assert_array_equal(record[key], array)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_json_reads_back(name: str) -> None:
    answers = answers_with(name)
    text = "".join(as_json(answers))
    assert text.isascii() and text.endswith("\n")
    content = json.loads(text)
    assert [record["query"] for record in content] == [answer.query for answer in answers]
    for answer, record in zip(answers, content, strict=True):
        for hit, found in zip(answer.hits, record["hits"], strict=True):
            same(hit, found)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_jsonl_is_a_hit_a_line(name: str) -> None:
    answers = answers_with(name)
    lines = "".join(as_jsonl(answers)).split("\n")
    assert lines.pop() == ""
    pairs = [(answer.query, hit) for answer in answers for hit in answer.hits]
    for line, (query, hit) in zip(lines, pairs, strict=True):
        record = json.loads(line)
        assert record["query"] == query
        same(hit, record)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_csv_reads_back(name: str) -> None:
    answers = answers_with(name)
    pairs = [(answer.query, hit) for answer in answers for hit in answer.hits]
    for row, (query, hit) in zip(rows("".join(as_csv(answers))), pairs, strict=True):
        told = [unquoted(row[key]) for key in ("query", "name", "path")]
        assert told == [query, hit.name, hit.path]
        assert (int(row["rank"]), int(row["inliers"])) == (hit.rank, hit.inliers)
        assert float(row["score"]) == hit.score
        assert float(row["probability"]) == hit.probability
        alarms = row["false_alarms"]
        assert (float(alarms) if alarms else None) == hit.false_alarms
        assert row["confirmed"] == str(int(hit.confirmed))


@pytest.mark.parametrize("name", ODD_NAMES)
def test_csv_has_a_line_a_hit(name: str) -> None:
    answers = answers_with(name)
    lines = "".join(as_csv(answers)).splitlines()
    assert len(lines) == 1 + sum(len(answer.hits) for answer in answers)


@pytest.mark.parametrize("name", ["=1+1.jpg", "+a", "-2", "@SUM(A1)", "a=b", "'=1", "\t=1"])
def test_a_spreadsheet_takes_no_name_for_a_formula(name: str) -> None:
    answers = [Answer(name, [Hit(1, name, f"/{name}", 1.0)])]
    [plain], [row] = (rows("".join(form(answers))) for form in (as_csv, as_spreadsheet))
    lead = "'" if name[0] in "=+-@" else ""
    assert unquoted(plain["name"]) == name
    assert (row["name"], row["query"]) == (lead + plain["name"], lead + plain["query"])
    assert row["path"] == plain["path"]


def test_csv_has_corners_and_transform_to_the_last_digit() -> None:
    hit = verified()
    (row,) = rows("".join(as_csv([Answer("q", [hit])])))
    assert hit.box is not None and hit.transform is not None
    corners = [[float(row[f"{axis}{corner}"]) for axis in "xy"] for corner in (1, 2, 3, 4)]
    np.testing.assert_array_equal(corners, hit.box)
    transform = [[float(row[f"h{r}{column}"]) for column in (1, 2, 3)] for r in (1, 2, 3)]
    np.testing.assert_array_equal(transform, hit.transform)


def test_csv_of_an_unverified_hit_leaves_cells_empty() -> None:
    (row,) = rows("".join(as_csv([Answer("q", [unverified()])])))
    empty = {key for key, value in row.items() if value == ""}
    corners = {f"{axis}{corner}" for axis in "xy" for corner in (1, 2, 3, 4)}
    assert empty == {"false_alarms"} | corners | {
        f"h{r}{column}" for r in (1, 2, 3) for column in (1, 2, 3)
    }
    assert row["inliers"] == "0"


@pytest.mark.parametrize("name", ODD_NAMES)
def test_paths_are_a_line_each(name: str) -> None:
    answers = answers_with(name)
    text = "".join(as_paths(answers))
    lines = text.split("\n")
    assert lines.pop() == ""
    assert len(text.splitlines()) == len(lines), "a reader that splits at other marks sees more"
    paths = [hit.path for answer in answers for hit in answer.hits]
    assert [unquoted(line) for line in lines] == paths


def test_ordinary_paths_are_not_quoted() -> None:
    path = "/photos/with space, 'quotes' and ünï 日本.jpg"
    assert "".join(as_paths([Answer("q", [Hit(1, "x", path, 1.0)])])) == f"{path}\n"


@pytest.mark.parametrize("name", ODD_NAMES)
def test_trec_has_six_columns(name: str) -> None:
    answers = answers_with(name)
    text = as_trec(answers, run="mine")
    assert text.isascii()
    pairs = [(answer.query, hit) for answer in answers for hit in answer.hits]
    for line, (query, hit) in zip(text.splitlines(), pairs, strict=True):
        topic, q0, document, rank, score, run = line.split()
        assert os.fsdecode(unquote_to_bytes(topic)) == query
        assert os.fsdecode(unquote_to_bytes(document)) == hit.name
        assert (q0, int(rank), run) == ("Q0", hit.rank, "mine")
        assert float(score) == pytest.approx(hit.score, abs=1e-6)


def test_trec_percent_encodes_a_space_and_leaves_folders_legible() -> None:
    line = as_trec([Answer("q 1", [Hit(1, "a b/ü%.jpg", "/a b/ü%.jpg", 1.0)])])
    assert line.split()[:3] == ["q%201", "Q0", "a%20b/%C3%BC%25.jpg"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_table_is_a_row_a_hit(name: str) -> None:
    text = "".join(as_table(answers_with(name)))
    lines = text.split("\n")
    found = [line for line in lines if line.endswith(printable(name))]
    # A heading and a row for the first answer, a row for the second.
    assert len(found) == 3
    assert len(text.splitlines()) == len(lines) - 1
    assert printable(name) in lines[0]


def test_table_shows_what_is_verified() -> None:
    hits = [verified(), doubtful(), unverified(rank=3)]
    _, head, *lines, last = "".join(as_table([Answer("q", hits)])).splitlines()
    assert head.split() == ["rank", "match", "probability", "false", "alarms", "inliers", "name"]
    assert [line.split() for line in lines] == [
        ["1", "sure", "0.999", "<", "0.000001", "34", "found.jpg"],
        ["2", "look", "0.250", "0.12", "5", "doubtful.jpg"],
        ["3", "-", "-", "-", "-", "similar.jpg"],
    ]
    assert last == "found: 1 image"
    ends = {len(line) - len(line.split()[-1]) for line in lines}
    assert len(ends) == 1, "names stand in one column"


@pytest.mark.parametrize(
    ("hits", "line"),
    [
        ([verified(), verified("b.jpg", 2)], "found: 2 images"),
        ([doubtful(rank=1), verified()], "found: 1 image"),
        ([unverified()], "not found: nothing here agrees with it"),
        ([], "not found: nothing here agrees with it"),
        (
            [doubtful(), unverified()],
            "not found: nothing here agrees with it (the best is what chance gives in 1 of 8 "
            "queries)",
        ),
    ],
)
def test_a_table_ends_with_whether_anything_is_found(hits: list[Hit], line: str) -> None:
    assert conclusion(hits) == line
    assert "".join(as_table([Answer("q", hits)])).splitlines()[-1] == line


@pytest.mark.parametrize(
    ("false_alarms", "confirmed", "word"),
    [
        (0.0, True, "sure"),
        (1e-4, True, "sure"),
        (2e-4, True, "likely"),
        (1e-6, False, "look"),
        (0.9, False, "look"),
        (None, False, "none"),
    ],
)
def test_certainty_is_a_word(false_alarms: float | None, confirmed: bool, word: str) -> None:
    assert certainty(false_alarms, confirmed) == word
    assert Hit(1, "a", "/a", 1.0, 0.5, false_alarms, confirmed).certainty == word


@pytest.mark.parametrize(
    ("alarms", "text"),
    [
        (0.0, "1 of 1,000,000,000 queries"),
        (1e-4, "1 of 10,000 queries"),
        (0.4, "1 of 2 queries"),
        (1.0, "every query"),
        (40.0, "every query"),
    ],
)
def test_a_rate_is_told_in_queries(alarms: float, text: str) -> None:
    assert often(alarms) == text


@given(name=any_name)
def test_every_name_survives(name: str) -> None:
    answers = [Answer(name, [Hit(1, name, f"/{name}", 1.0)])]
    assert json.loads("".join(as_json(answers)))[0]["hits"][0]["name"] == name
    assert json.loads("".join(as_jsonl(answers)))["query"] == name
    assert [unquoted(row["name"]) for row in rows("".join(as_csv(answers)))] == [name]
    assert unquoted("".join(as_paths(answers)).removesuffix("\n")) == f"/{name}"
    document = as_trec(answers).split()[2]
    assert unquote_to_bytes(document) == os.fsencode(name)


@pytest.mark.parametrize("form", sorted(WRITERS))
def test_nothing_found_is_written_too(form: str) -> None:
    text = "".join(WRITERS[form]([Answer("q", [])]))
    assert {"json": '"hits": []', "table": "q\n", "csv": "query"}.get(form, "") in text
    assert text == "" or text.endswith("\n")


@pytest.mark.parametrize("form", sorted(WRITERS))
def test_an_answer_is_written_before_the_next_is_asked_for(form: str) -> None:
    def asked() -> Iterator[Answer]:
        yield Answer("a.jpg", [verified("first.jpg")])
        assert "first.jpg" in "".join(written)
        yield Answer("b.jpg", [verified("second.jpg")])
        assert "second.jpg" in "".join(written)

    written: list[str] = []
    for text in WRITERS[form](asked()):
        written += [text]
    assert len(written) >= 2


def test_json_in_parts_is_json_as_a_whole() -> None:
    answers = [answer for name in ODD_NAMES for answer in answers_with(name)]
    for some in ([], answers[:1], answers):
        text = "".join(as_json(some))
        assert text == json.dumps(json.loads(text), indent=1) + "\n"
        assert [one["query"] for one in json.loads(text)] == [answer.query for answer in some]
