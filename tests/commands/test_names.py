"""Names of any bytes: every format tells them apart, and a reader of the output finds the files."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.commands.running import BROKEN, ODD_NAMES, run, typed

pytestmark = pytest.mark.slow


def names_of(odd: Path) -> set[str]:
    return {os.fsdecode(raw) for raw in ODD_NAMES}


def unquoted(name: str) -> str:
    return str(json.loads(name)) if name.startswith('"') else name


def query_odd(odd: Path, image: Path, form: str, *more: object) -> bytes:
    result = run("query", image, "--index", odd / "index", "--format", form, *more)
    assert result.stderr == ""
    return result.stdout_bytes


def test_json_names(odd: Path, image: Path) -> None:
    (answer,) = json.loads(query_odd(odd, image, "json"))
    assert answer["query"] == str(image)
    assert {hit["name"] for hit in answer["hits"]} == names_of(odd)
    assert all(Path(hit["path"]).is_file() for hit in answer["hits"])
    first = answer["hits"][0]
    assert np.shape(first["transform"]) == (3, 3) and np.shape(first["box"]) == (4, 2)
    assert [hit["rank"] for hit in answer["hits"]] == list(range(1, len(ODD_NAMES) + 1))


def test_jsonl_names(odd: Path, image: Path) -> None:
    records = [json.loads(line) for line in query_odd(odd, image, "jsonl").splitlines()]
    assert {record["name"] for record in records} == names_of(odd)
    assert all(Path(record["path"]).is_file() for record in records)


def test_csv_names(odd: Path, image: Path) -> None:
    text = os.fsdecode(query_odd(odd, image, "csv"))
    records = list(csv.DictReader(io.StringIO(text, newline="")))
    assert {unquoted(record["name"]) for record in records} == names_of(odd)
    assert all(Path(unquoted(record["path"])).is_file() for record in records)


def test_paths_names(odd: Path, image: Path) -> None:
    lines = os.fsdecode(query_odd(odd, image, "paths")).split("\n")
    assert lines.pop() == ""
    paths = [Path(json.loads(line) if line.startswith('"') else line) for line in lines]
    assert {path.relative_to(odd / "db").as_posix() for path in paths} == names_of(odd)
    assert all(path.is_absolute() and path.is_file() for path in paths)


def test_table_names(odd: Path, image: Path) -> None:
    head, columns, *rows = os.fsdecode(query_odd(odd, image, "table")).split("\n")
    titles = ["rank", "match", "probability", "false", "alarms", "inliers", "name"]
    assert (head, columns.split()) == (str(image), titles)
    assert rows.pop() == "" and "found: " in rows.pop()
    shown = {row[columns.index("name") :] for row in rows}
    shown = {json.loads(name) if name.startswith('"') else name for name in shown}
    assert shown == names_of(odd)


def test_skipped_odd_name_is_in_one_line(odd: Path) -> None:
    content = json.loads(run("info", odd / "index", "--format", "json").stdout)
    assert content["skipped"] == {os.fsdecode(BROKEN): "empty file"}
    lines = run("info", odd / "index").stdout.splitlines()
    assert 'skipped "broken\\n\\"\\udcff.jpg": empty file' in lines


def test_eval_takes_odd_names_and_its_run_has_six_columns(odd: Path, image: Path) -> None:
    names = sorted(names_of(odd) | {os.fsdecode(BROKEN)})
    query = {"id": "a query", "image": "with space/two  spaces.jpg", "positives": [names[0]]}
    truth = odd / "truth with a space.json"
    content = {"db": names, "db_root": "", "queries": [query]}
    truth.write_text(json.dumps(content), encoding="utf-8")
    arguments = ("--images", odd / "db", "--index", odd / "index", "--run", odd / "run")
    run("eval", truth, *arguments)
    lines = (odd / "run").read_text(encoding="ascii").splitlines()
    assert all(len(line.split()) == 6 for line in lines)
    assert {line.split()[0] for line in lines} == {"a%20query"}


@pytest.mark.slow
def test_bytes_of_a_process_are_the_names(odd: Path, image: Path) -> None:
    """A stream of the operating system, unlike a tester's, may not take every character."""
    arguments = ("query", str(image), "--index", str(odd / "index"), "--format", "paths")
    done = typed(*arguments, env={"PYTHONIOENCODING": "latin-1"})
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.splitlines()
    assert os.fsencode(odd / "db") + "/ünï/日本.jpg".encode() in lines
    assert os.fsencode(odd / "db") + b"/not utf-8 \xff\xfe.jpg" in lines


# Processes


@pytest.mark.slow
def test_a_reader_that_stops_early_is_no_error(odd: Path, image: Path) -> None:
    command = [sys.executable, "-m", "bovw", "query", str(image), "--index", str(odd / "index")]
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write) as nobody_reads:
        done = subprocess.run(
            command, stdout=nobody_reads, stderr=subprocess.PIPE, timeout=120, check=False
        )
    assert done.stderr == b""
    assert done.returncode in (0, 1)


def test_a_name_forges_no_line_and_steers_no_terminal(
    tmp_path: Path, photos: tuple[bytes, bytes], photo_vocab: Path
) -> None:
    mark = "\x1b[2J\nfound: 9 images\u202e"
    folder, index = tmp_path / "db", tmp_path / "index"
    folder.mkdir()
    names = [f"{mark}good.jpg", f"{mark}bad.jpg"]
    (folder / names[0]).write_bytes(photos[0])
    (folder / names[1]).write_bytes(b"no picture")
    at = ("--index", index)
    said = [run("index", folder, *at, "--vocab", photo_vocab, "--jobs", 1, code=3)]
    said += [run("query", folder / names[0], *at, "--format", form)
             for form in ("table", "csv", "spreadsheet", "json", "jsonl", "paths")]  # fmt: skip
    said += [run("list", *at), run("info", index), run("index", folder, *at, "--dry-run", code=0)]
    said += [run("explain", folder / names[0], names[0], *at)]
    said += [run("matches", folder / names[0], folder / names[0])]
    said += [
        run("query", folder / names[1], *at, code=1),
        run("remove", names[0] + "x", *at, code=1),
    ]
    said += [run("index", folder / f"{mark}none", *at, code=2), run(f"{mark}command", code=2)]
    for result in said:
        assert "\x1b" not in result.output and "\u202e" not in result.output
        assert "found: 9 images" not in result.output.splitlines()
