"""Small pictures, and the indexes that the command line has made of them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import pytest

import bovw.ingest.build
import bovw.ingest.training
from bovw.demo.scenes import Collection, draw_scene, view_of, write_collection
from tests.commands.photographs import encoded, half
from tests.commands.running import BROKEN, FEW, ODD_NAMES, run
from tests.conftest import Once


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in list(os.environ):
        if name.startswith(("BOVW_", "_BOVW_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def small(once: Once) -> Collection:
    """Write a collection whose pictures are reduced to 320 by 240 pixels."""

    def make(folder: Path) -> Collection:
        made = write_collection(folder, scenes=3, views=2, distractors=2)
        for path in made.root.rglob("*.jpg"):
            pixels = cv2.resize(cv2.imread(str(path)), (320, 240), interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(path), pixels)
        content = json.loads(made.truth.read_text(encoding="utf-8"))
        for query in content["queries"]:
            query["bbox"] = query["bbox"] and [corner / 2 for corner in query["bbox"]]
        made.truth.write_text(json.dumps(content), encoding="utf-8")
        return made

    return once("small", make)


@pytest.fixture(scope="session")
def vocab(small: Collection, once: Once) -> Path:
    def make(folder: Path) -> Path:
        run("build-vocab", small.database, "--out", folder / "vocab", "--words", 100, *FEW)
        return folder / "vocab"

    return once("small vocabulary", make)


@pytest.fixture(scope="session")
def built(small: Collection, vocab: Path, once: Once) -> Path:
    def make(folder: Path) -> Path:
        run("index", small.database, "--index", folder / "index", "--vocab", vocab, *FEW)
        return folder / "index"

    return once("small index", make)


@pytest.fixture(scope="session")
def odd(small: Collection, vocab: Path, once: Once) -> Path:
    """Index images with odd names, one of them unusable; the index lies beside the images."""

    def make(folder: Path) -> Path:
        photos = sorted(small.database.rglob("*.jpg"))
        for raw, photo in zip(ODD_NAMES, photos, strict=True):
            path = folder / "db" / os.fsdecode(raw)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copy(photo, path)
            except OSError:
                pytest.skip("this file system takes no such names")
        (folder / "db" / os.fsdecode(BROKEN)).touch()
        run("index", folder / "db", "--index", folder / "index", "--vocab", vocab, *FEW, code=3)
        return folder

    return once("odd names", make)


@pytest.fixture
def image(small: Collection) -> Path:
    return small.root / small.queries[1].name


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make sure that what is refused is refused before the images are read."""

    def read(*_: object) -> None:
        raise AssertionError("images were read first")

    monkeypatch.setattr(bovw.ingest.build, "run_isolated", read)
    monkeypatch.setattr(bovw.ingest.training, "run_isolated", read)


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "copied"))


@pytest.fixture(scope="session")
def photos() -> tuple[bytes, bytes]:
    """Two photographs of one scene."""
    scene = draw_scene(1)
    return encoded(half(view_of(scene, 1, 0.3)[0])), encoded(half(view_of(scene, 2, 0.3)[0]))


@pytest.fixture(scope="session")
def photo_vocab(photos: tuple[bytes, bytes], once: Once) -> Path:
    """A vocabulary of one of them and of another scene."""

    def make(folder: Path) -> Path:
        (folder / "photo.jpg").write_bytes(photos[0])
        (folder / "other.jpg").write_bytes(encoded(half(draw_scene(2))))
        words = ("--words", 64, "--jobs", 1, "--max-features", 600)
        run("build-vocab", folder, "--out", folder / "vocab", *words)
        return folder / "vocab"

    return once("photo vocabulary", make)
