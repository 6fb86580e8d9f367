"""`bovw build-vocab`: how many words, of what, in how much memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bovw.demo.scenes import Collection
from bovw.index import Index
from tests.commands.running import FEW, ONE_JOB, failure, run

pytestmark = pytest.mark.slow


def test_shorter_signatures_and_upright_features(small: Collection, tmp_path: Path) -> None:
    vocab, index = tmp_path / "vocab", tmp_path / "index"
    image = small.database / "scene_01" / "view_0.jpg"
    run(
        "build-vocab",
        small.database,
        "--out",
        vocab,
        "--words",
        100,
        "--bits",
        64,
        "--upright",
        *FEW,
    )
    assert json.loads(run("info", vocab, "--format", "json").stdout)["bits"] == 64
    run("index", small.database, "--index", index, "--vocab", vocab, "--upright", *FEW)
    assert Index.open(index).meta["options"]["upright"]
    (answer,) = json.loads(run("query", image, "--index", index, "--format", "json").stdout)
    assert answer["hits"][0]["name"] == "scene_01/view_0.jpg"
    assert answer["hits"][0]["inliers"] > 20
    failure("build-vocab", small.database, "--bits", 32, code=2)


def test_fewer_words_than_asked_are_said(small: Collection, tmp_path: Path) -> None:
    options = ("--words", 100_000, "--max-features", 50, *ONE_JOB)
    result = run("build-vocab", small.database, "--out", tmp_path / "v", *options)
    made = json.loads(run("info", tmp_path / "v", "--format", "json").stdout)["words"]
    assert made == 400 // 8
    assert f"100,000 words asked for, {made} made" in result.stderr
    assert "400 descriptors" in result.stderr


def test_too_few_descriptors_by_the_limit_are_said_so(small: Collection, tmp_path: Path) -> None:
    options = ("--words", 100, "--max-descriptors", 80, *FEW)
    result = run("build-vocab", small.database, "--out", tmp_path / "v", *options)
    assert "--max-descriptors" in result.stderr
    assert "give more images" not in result.stderr, "more images would not help"


def test_memory_is_said_before(small: Collection, tmp_path: Path) -> None:
    options = ("--words", 20, "--max-descriptors", 500, *FEW)
    result = run("build-vocab", small.database, "--out", tmp_path / "v", *options)
    assert "8 images" in result.stderr and "500 descriptors" in result.stderr
    assert "memory" in result.stderr.splitlines()[0]


@pytest.mark.slow
def test_one_word_is_enough_for_an_answer(small: Collection, image: Path, tmp_path: Path) -> None:
    run("build-vocab", small.database, "--out", tmp_path / "v", "--words", 1, *FEW)
    run("index", small.database, "--index", tmp_path / "i", "--vocab", tmp_path / "v", *FEW)
    lines = run("query", image, "--index", tmp_path / "i", "--format", "paths").stdout.splitlines()
    assert len(lines) == 8
