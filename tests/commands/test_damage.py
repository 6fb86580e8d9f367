"""What is damaged, or too new, is named in one line that says what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bovw.demo.scenes import Collection
from bovw.index.catalog import FORMAT
from tests.commands.running import (
    FEW,
    ONE_JOB,
    failure,
    in_catalog,
    run,
    says_what_to_do,
    typed,
    vocabulary_of,
)

pytestmark = pytest.mark.slow


def test_a_newer_index_is_refused_by_name(copied: Path, image: Path, small: Collection) -> None:
    in_catalog(copied, f"UPDATE meta SET value = '{FORMAT + 1}' WHERE key = 'format'")
    before = (copied / "catalog.sqlite").read_bytes()
    for arguments in (
        ("query", image, "--index", copied),
        ("info", copied),
        ("eval", small.truth, "--images", small.root, "--index", copied),
        ("index", small.database, "--index", copied, "--vocab", vocabulary_of(copied), "-q", *FEW),
    ):
        message = failure(*arguments)
        assert f"index format {FORMAT + 1}" in message and "pip install -U bovw" in message
    assert (copied / "catalog.sqlite").read_bytes() == before


def test_a_newer_vocabulary_is_refused_by_name(
    copied: Path, image: Path, small: Collection, tmp_path: Path
) -> None:
    manifest = vocabulary_of(copied) / "manifest.json"
    content = {**json.loads(manifest.read_text()), "format": 3}
    manifest.write_text(json.dumps(content))
    options = ("--index", tmp_path / "i", "--vocab", manifest.parent)
    for arguments in (
        ("query", image, "--index", copied),
        ("info", manifest.parent),
        ("index", small.database, *options),
        ("eval", small.truth, "--images", small.root, *options),
    ):
        message = failure(*arguments)
        assert "vocabulary format 3" in message and "pip install -U bovw" in message


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE meta SET value = '\"two\"' WHERE key = 'format'",
        "DELETE FROM meta WHERE key = 'format'",
        "DELETE FROM meta WHERE key = 'options'",
        "DELETE FROM meta WHERE key = 'statistics'",
        "DELETE FROM meta WHERE key = 'statistics_files'",
        "DELETE FROM meta WHERE key = 'names'",
        "DELETE FROM meta",
        "UPDATE segments SET files = 'nothing'",
        "DELETE FROM segments",
        "DELETE FROM images",
        "DROP TABLE images",
    ],
)
def test_a_damaged_catalog_is_one_line(statement: str, copied: Path, image: Path) -> None:
    in_catalog(copied, statement)
    assert says_what_to_do(failure("info", copied))
    # A query reads neither the checksums nor the list of images.
    if "statistics_files" not in statement and "images" not in statement:
        failure("query", image, "--index", copied)


@pytest.mark.parametrize("change", ["missing", "empty", "truncated", "noise"])
@pytest.mark.parametrize(
    "name",
    [
        "segments/1/gaps.npy",
        "segments/1/offsets.npy",
        "statistics/*/features.npy",
        "names/*/ends.npy",
        "names/*/text.npy",
        "calibration/*/meanings.npy",
        "calibration/*/counts.npy",
        "vocabulary-*/words.npy",
        "vocabulary-*/projection.npy",
        "vocabulary-*/manifest.json",
    ],
)
def test_a_damaged_file_is_one_line(name: str, change: str, copied: Path, image: Path) -> None:
    (path,) = copied.glob(name)
    content = path.read_bytes()
    changes = {
        "missing": None,
        "empty": b"",
        "truncated": content[: len(content) // 2],
        "noise": np.random.default_rng(0).bytes(len(content)),
    }
    path.unlink()
    damaged = changes[change]
    if damaged is not None:
        path.write_bytes(damaged)
    assert says_what_to_do(failure("query", image, "--index", copied))
    result = run("info", copied, code=1)
    assert path.name in result.output or str(path.parent) in result.output


@pytest.mark.parametrize("change", ["missing", "empty", "truncated", "noise"])
def test_a_damaged_file_of_cells_is_made_again(change: str, copied: Path, image: Path) -> None:
    arguments = ("query", image, "--index", copied, "--format", "json")
    before = run(*arguments).stdout
    path = vocabulary_of(copied) / "cells.npz"
    content = path.read_bytes()
    path.unlink()
    if change != "missing":
        path.write_bytes({"empty": b"", "truncated": content[:-9], "noise": content[::-1]}[change])
    assert run(*arguments).stdout == before
    assert "cells.npz" in run("info", copied, code=1).stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gaps", "offsets", "places"])
def test_flipped_bytes_do_not_lead_astray(name: str, copied: Path, image: Path) -> None:
    """In a process of its own: postings that point outside would end it."""
    path = copied / "segments" / "1" / f"{name}.npy"
    content = bytearray(path.read_bytes())
    content[136:2000:8] = b"\x7f" * len(content[136:2000:8])
    content[139:2000:8] = b"\x7f" * len(content[139:2000:8])
    path.write_bytes(content)
    done = typed("query", str(image), "--index", str(copied))
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: ") and b"bovw check --repair" in done.stderr
    assert "bovw check --repair" in run("info", copied, code=1).stderr


@pytest.mark.parametrize("name", ["words.npy", "manifest.json"])
def test_a_damaged_vocabulary_is_restored(
    name: str, copied: Path, built: Path, image: Path, small: Collection
) -> None:
    """It is what the message says to do."""
    (vocabulary_of(copied) / name).write_bytes(b"damaged, in more than a line\n" * 100)
    assert "restore it with `bovw index` and --vocab" in failure("query", image, "--index", copied)
    assert name in run("check", "--index", copied, code=1).stdout
    run("index", small.database, "--vocab", vocabulary_of(built), "--index", copied, *ONE_JOB)
    first = run("query", image, "--index", built, "--format", "csv").stdout
    assert run("query", image, "--index", copied, "--format", "csv").stdout == first
    run("check", "--index", copied)


def test_a_damaged_segment_is_read_again(
    copied: Path, built: Path, image: Path, small: Collection
) -> None:
    """It is what the message says to do."""
    path = copied / "segments" / "1" / "positions.npy"
    path.write_bytes(path.read_bytes()[:-2])
    assert "bovw check --repair" in failure("query", image, "--index", copied)
    result = run("check", "--index", copied, code=1)
    assert f"{path} is missing or damaged" in result.stdout
    result = run("check", "--repair", "--index", copied)
    assert "8 images lost: `bovw index` on their folder reads them again" in result.stderr
    run("index", small.database, "--index", copied, *ONE_JOB)
    first = run("query", image, "--index", built, "--format", "csv").stdout
    assert run("query", image, "--index", copied, "--format", "csv").stdout == first
    assert "is whole" in run("check", "--index", copied).stderr


def test_a_damaged_vocabulary_is_not_indexed_with(
    small: Collection, vocab: Path, tmp_path: Path
) -> None:
    damaged = Path(shutil.copytree(vocab, tmp_path / "v"))
    content = bytearray((damaged / "words.npy").read_bytes())
    content[1000] ^= 0xFF
    (damaged / "words.npy").write_bytes(content)
    options = ("--index", tmp_path / "i", "--vocab", damaged)
    message = failure("index", small.database, *options)
    assert "bovw build-vocab" in message
    assert "words.npy" in run("info", damaged, code=1).stdout


@pytest.mark.slow
def test_a_vocabulary_of_another_index_is_refused(
    copied: Path, image: Path, small: Collection, tmp_path: Path
) -> None:
    run("build-vocab", small.database, "--out", tmp_path / "other", "--words", 100, *FEW,
        "--seed", 1)  # fmt: skip
    folder = vocabulary_of(copied)
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "other", folder)
    assert "is not the one that the index was made with" in failure(
        "query", image, "--index", copied
    )
