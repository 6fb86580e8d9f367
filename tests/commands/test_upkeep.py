"""An index that lives: images come and go, it is checked, merged and goes through a file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bovw.demo.scenes import Collection
from bovw.index import IndexWriter
from tests.commands.running import FEW, ONE_JOB, failure, run

pytestmark = pytest.mark.slow


def test_an_index_is_brought_up_to_date(small: Collection, vocab: Path, tmp_path: Path) -> None:
    photos = Path(shutil.copytree(small.database, tmp_path / "photos"))
    copied = tmp_path / "index"
    run("index", photos, "--index", copied, "--vocab", vocab, *FEW)
    to_date = ("index", photos, "--index", copied, *ONE_JOB)
    assert run(*to_date).stderr.startswith("8 unchanged\n")
    (photos / "scene_01" / "view_0.jpg").rename(photos / "moved.jpg")
    (photos / "scene_01" / "view_1.jpg").unlink()
    (photos / "bad.jpg").write_bytes(b"no photograph")
    shutil.copy(small.root / small.queries[0].name, photos / "new.jpg")
    before = run("list", "--index", copied).stdout
    planned = run(*to_date, "--dry-run")
    assert planned.stdout.splitlines() == [
        "new bad.jpg",
        "new new.jpg",
        "moved scene_01/view_0.jpg to moved.jpg",
        "removed scene_01/view_1.jpg",
    ]
    assert run("list", "--index", copied).stdout == before
    done = run(*to_date, code=3).stderr.splitlines()
    assert done[0] == "2 new, 1 moved, 1 removed, 6 unchanged"
    assert done[1].startswith("skipped bad.jpg: ")
    listed = run("list", "--index", copied).stdout.splitlines()
    assert "moved.jpg" in listed and "scene_01/view_1.jpg" not in listed and len(listed) == 9
    assert run("list", "--index", copied, "--status", "skipped").stdout.startswith("bad.jpg\tnot ")
    assert run(*to_date).stderr.startswith("9 unchanged\n")
    assert "skipped bad.jpg" in run(*to_date, "--retry", code=3).stderr
    assert "is whole" in run("check", "--index", copied).stderr


def test_images_are_added_and_removed(copied: Path, small: Collection, tmp_path: Path) -> None:
    picture = tmp_path / "new.jpg"
    shutil.copy(small.root / small.queries[0].name, picture)
    assert run("add", picture, "--index", copied, *ONE_JOB).stderr.startswith("1 new\n")
    hit = run("query", picture, "--index", copied, "--format", "paths").stdout.splitlines()[0]
    assert hit == str(picture)
    assert "8 images" in run("remove", "new.jpg", "--index", copied).stderr
    assert "has no new.jpg: see `bovw list`" in failure("remove", "new.jpg", "--index", copied)
    run("remove", "distractors/00.jpg", "--index", copied)
    merged = run("merge", "--index", copied).stderr
    assert "1 segments to 1, 400 features of removed images dropped" in merged
    content = json.loads(run("info", copied, "--format", "json").stdout)
    assert (content["segments"], content["removed"], content["images"]) == (1, 0, 7)


def test_an_index_goes_through_a_file(built: Path, image: Path, tmp_path: Path) -> None:
    file = tmp_path / "kept.bovw"
    assert f"written to {file}" in run("export", file, "--index", built).stderr
    assert "8 images" in run("import", file, "--index", tmp_path / "again").stderr
    first = run("query", image, "--index", built, "--format", "csv").stdout
    assert run("query", image, "--index", tmp_path / "again", "--format", "csv").stdout == first
    assert "already exists" in failure("import", file, "--index", tmp_path / "again", code=2)
    assert "there is no archive" in failure("import", image.parent, "--index", tmp_path / "x")


def test_only_one_writes(copied: Path, small: Collection) -> None:
    with IndexWriter.open(copied):
        message = failure("index", small.database, "--index", copied, *ONE_JOB)
        assert "is being written by process" in message and "wait until it is done" in message
    run("index", small.database, "--index", copied, *ONE_JOB)


def test_options_are_those_of_the_index(copied: Path, small: Collection, vocab: Path) -> None:
    to_date = ("index", small.database, "--index", copied, *ONE_JOB)
    assert "max_features 400 and not 300" in failure(*to_date, "--max-features", 300)
    run(*to_date, "--max-features", 400)
    run(*to_date, "--vocab", vocab)
