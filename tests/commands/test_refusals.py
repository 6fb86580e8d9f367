"""Folders that are missing, empty, or something else, and what fails on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bovw.cli import cli
from bovw.demo.scenes import Collection
from tests.commands.running import FEW, failure, run


@pytest.mark.parametrize("command", ["build-vocab", "index"])
def test_no_folder_of_images(command: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.jpg").touch()
    assert "No such file" in failure(command, tmp_path / "missing", code=2)
    assert "give its folder" in failure(command, tmp_path / "file.jpg", code=2)
    assert "no image in" in failure(command, tmp_path / "empty")


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("given", [True, False], ids=["vocabulary given", "vocabulary trained"])
def test_an_index_does_not_replace_something_else(
    given: bool, small: Collection, vocab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("--vocab", vocab) if given else ()
    (tmp_path / "file").write_text("mine")
    for folder in (small.database, tmp_path, vocab):
        result = run("index", small.database, "--index", folder, *options, *FEW, code=1)
        assert "is not an index: give another folder" in result.stderr
    run("index", small.database, "--index", tmp_path / "file", *options, *FEW, code=1)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.usefixtures("cheap")
def test_a_vocabulary_does_not_replace_something_else(
    small: Collection, built: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (small.database, tmp_path, built, tmp_path / "file"):
        result = run("build-vocab", small.database, "--out", folder, *FEW, code=1)
        assert "is not a vocabulary: give another folder" in result.stderr


def test_no_index(image: Path, tmp_path: Path, small: Collection, vocab: Path) -> None:
    for folder in (tmp_path / "missing", small.database, vocab):
        message = failure("query", image, "--index", folder)
        assert f"there is no index in {folder}: make one with `bovw index" in message


def test_no_vocabulary(small: Collection, tmp_path: Path) -> None:
    options = ("--index", tmp_path / "i", "--vocab", tmp_path / "missing")
    message = failure("index", small.database, *options)
    assert "no vocabulary in" in message and "bovw build-vocab" in message


def test_info_of_nothing(tmp_path: Path, image: Path) -> None:
    for folder in (tmp_path / "missing", tmp_path, image):
        assert "neither an index nor a vocabulary" in failure("info", folder)


def test_no_such_query(built: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "missing.jpg", tmp_path):
        assert failure("query", path, "--index", built).startswith(f"{path}: ")


def test_a_full_disk_is_one_line(
    small: Collection, vocab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "i"))

    monkeypatch.setattr(np, "save", full)
    options = ("--index", tmp_path / "i", "--vocab", vocab, *FEW)
    result = run("index", small.database, *options, code=1)
    assert f"Error: {tmp_path / 'i'}: No space left on device" in result.stderr


def test_a_bug_is_one_line_unless_asked_for_more(
    built: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr("bovw.search.searcher.Searcher.search_features", broken)
    arguments = ["query", str(image), "--index", str(built)]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "ZeroDivisionError: two" in line and "BOVW_DEBUG=1" in line
    result = CliRunner().invoke(cli, arguments, env={"BOVW_DEBUG": "1"})
    assert isinstance(result.exception, ZeroDivisionError)
