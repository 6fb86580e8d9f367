"""What a user sees of a collection that moves, shrinks, or is away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from bovw.demo.scenes import Collection
from bovw.index import Index, IndexWriter
from tests.commands.running import FEW, ONE_JOB, failure, run

pytestmark = pytest.mark.slow
TINY = ("--max-features", "50", *ONE_JOB)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of 24 small pictures, half of them in `sub`."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    for n in range(24):
        coarse = rng.integers(0, 255, (12, 12, 3), np.uint8)
        pixels = cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / "photos" / ("sub" if n % 2 else "") / f"{n:02}.png"), pixels)
    return tmp_path / "photos"


@pytest.fixture
def index(photos: Path, vocab: Path, tmp_path: Path) -> Path:
    run("index", photos, "--index", tmp_path / "index", "--vocab", vocab, *TINY)
    return tmp_path / "index"


def names(index: Path) -> list[str]:
    return run("list", "--index", index).stdout.splitlines()


def test_many_that_vanish_are_asked_about(photos: Path, index: Path) -> None:
    update = ("index", photos, "--index", index, *ONE_JOB)
    shutil.rmtree(photos / "sub")
    message = failure(*update)
    assert "12 of 24 images are gone, like" in message and "--allow-removal" in message
    assert "12 removed" in run(*update, "--dry-run").stderr
    assert len(names(index)) == 24
    (photos / "sub").mkdir()
    said = run(*update).stderr
    assert "12 unchanged" in said and "sub is empty or cannot be read: its 12 images stay" in said
    assert len(names(index)) == 24
    assert "12 removed" in run(*update, "--allow-removal").stderr
    assert len(names(index)) == 12
    (photos / "00.png").unlink()
    assert "1 removed" in run(*update).stderr


def test_a_folder_that_is_gone_can_be_taken_out(photos: Path, index: Path) -> None:
    photos.rename(photos.with_name("away"))
    message = failure("index", photos, "--index", index, code=2)
    assert f"the 24 images of {photos} stay" in message and f"bovw remove {photos}" in message
    run("remove", "sub", "--index", index)
    assert len(names(index)) == 12
    run("remove", photos, "--index", index)
    assert names(index) == []
    assert "has no" in failure("remove", photos, "--index", index)


def test_a_part_that_cannot_be_read_keeps_its_images(
    photos: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    said = run("index", photos, "--index", index, *ONE_JOB, "--allow-removal", code=3).stderr
    assert "12 unchanged" in said and "its 12 images stay in the index" in said
    assert len(names(index)) == 24


def test_a_picture_that_cannot_be_read_now_stays(
    photos: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "00.png").unlink()
    (photos / "00.png").symlink_to("nowhere")
    said = run("index", photos, "--index", index, *ONE_JOB, code=3).stderr
    assert "skipped 00.png: cannot be read" in said
    assert run("list", "--index", index, "--status", "skipped").stdout == ""
    assert "24 images" in said


def test_what_is_left_out_is_remembered(photos: Path, vocab: Path, tmp_path: Path) -> None:
    (photos / "@eaDir").mkdir()
    shutil.copy(photos / "00.png", photos / "@eaDir")
    index = tmp_path / "index"
    first = ("index", photos, "--index", index, "--vocab", vocab, "--exclude", "@eaDir", *TINY)
    run(*first)
    said = run("index", photos, "--index", index, *ONE_JOB).stderr
    assert said.startswith("leaving out @eaDir as before; --exclude changes that\n24 unchanged\n")
    said = run("index", photos, "--index", index, *ONE_JOB, "--exclude", "sub").stderr
    assert "1 new, 12 removed, 12 unchanged" in said
    said = run("index", photos, "--index", index, *ONE_JOB, "--exclude", "").stderr
    assert "12 new, 13 unchanged" in said
    assert "leaving" not in run("index", photos, "--index", index, *ONE_JOB).stderr


def test_what_is_not_there_is_not_added(photos: Path, index: Path, tmp_path: Path) -> None:
    assert "nothing was added" in run("add", "nope.jpg", "--index", index, code=1).stderr
    (tmp_path / "new.png").write_bytes((photos / "00.png").read_bytes() + b" ")
    said = run("add", "nope.jpg", photos, tmp_path / "new.png", "--index", index, *ONE_JOB, code=3)
    assert "skipped nope.jpg: cannot be read: No such file" in said.stderr
    assert f"skipped {photos}: not a regular file" in said.stderr
    assert len(names(index)) == 25 and "new.png" in names(index)
    run("add", photos / "sub" / ".." / "00.png", "--index", index, *ONE_JOB)
    assert len(names(index)) == 25


def test_all_commands_count_alike(photos: Path, index: Path) -> None:
    for number in range(3):
        (photos / f"bad{number}.jpg").write_bytes(b"no photograph")
    run("remove", "00.png", "--index", index)
    said = run("index", photos, "--index", index, *ONE_JOB, "--exclude", "02.png", code=3).stderr
    assert "\n23 images and 3 skipped, " in said
    listed = run("list", "--index", index)
    assert listed.stderr == "23 images and 3 skipped\n" and len(listed.stdout.splitlines()) == 26
    content = json.loads(run("info", index, "--format", "json").stdout)
    assert content["images"] == 23 and len(content["skipped"]) == 3
    rows = [line.split() for line in run("info", index).stdout.splitlines()]
    assert ["images", "23"] in rows and ["skipped", "3"] in rows


def test_moves_between_shards(photos: Path, vocab: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    run("index", photos / "sub", "--index", index, "--vocab", vocab, "--shards", 3, *TINY)
    run("index", photos, "--index", index, *ONE_JOB)
    assert sorted(names(index)) == sorted(
        str(path.relative_to(photos)) for path in photos.rglob("*.png")
    )
    photos.rename(tmp_path / "elsewhere")
    for path in (tmp_path / "elsewhere" / "sub").iterdir():
        path.rename(tmp_path / "elsewhere" / f"moved {path.name}")
    run("index", tmp_path / "elsewhere", "--index", index, *ONE_JOB)
    rows = Index.open(index).images()
    assert len(rows) == 24 and {row.folder for row in rows} == {f"{tmp_path}/elsewhere/"}
    assert "is whole" in run("check", "--index", index).stderr


def test_a_home_folder_is_found_after_an_equals_sign(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(index.parent))
    assert len(run("list", "--index=~/index").stdout.splitlines()) == 24
    assert "there is no index" in failure("list", "--index=~nobody-of-this-name/index")


def test_a_busy_writer_is_waited_for(index: Path) -> None:
    writer = IndexWriter.open(index)
    thread = threading.Timer(0.5, writer.close)
    assert "is being written" in failure("merge", "--index", index)
    assert "is being written" in run("merge", "--index", index, "--wait", 0.3, code=1).stderr
    thread.start()
    said = run("merge", "--index", index, "--wait", 20).stderr
    thread.join()
    assert said.startswith("waiting for process ") and "segments to 1" in said


def test_answers_are_printed_one_by_one(index: Path, photos: Path) -> None:
    """What was printed before the end stays printed."""
    pictures = sorted(map(str, photos.rglob("*.png"))) * 200
    command = [sys.executable, "-m", "bovw", "query", *pictures, "--index", str(index), "-q"]
    with subprocess.Popen(
        [*command, "--format", "jsonl"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as asked:
        assert asked.stdout
        first = json.loads(asked.stdout.readline())
        assert asked.poll() is None
        asked.kill()
    assert first["query"] == pictures[0]


def test_a_collection_that_outgrew_its_words_is_told(
    small: Collection, photos: Path, tmp_path: Path
) -> None:
    index = tmp_path / "small"
    one = tmp_path / "one"
    one.mkdir()
    shutil.copy(photos / "00.png", one)
    assert "few for" not in run("index", one, "--index", index, *FEW).stderr
    said = run("index", small.database, "--index", index, *FEW, "--time-limit", 60).stderr
    assert "words are few for 9 images" in said and "bovw build-vocab" in said
