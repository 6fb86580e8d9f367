"""Small collections with a truth that is not easy, and their indexes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from bovw.demo.scenes import Collection, write_collection
from bovw.evaluation.datasets import load
from bovw.evaluation.results import Evaluation
from bovw.evaluation.run import evaluate
from bovw.images.find import find_images
from bovw.ingest.build import build_index
from bovw.ingest.run import Recipe, Run
from bovw.ingest.training import build_vocabulary
from bovw.search.searcher import Searcher
from bovw.vocab import Vocabulary
from tests.conftest import Once
from tests.evaluation.drawing import OXFORD, draw
from tests.evaluation.running import AREA, FEW, GREY, TINY


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder and without the settings of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("BOVW_"):
            monkeypatch.delenv(name)


def halve(folder: Path) -> None:
    """Reduce all pictures to half of their size, which have a quarter of the features."""
    for path in folder.rglob("*.jpg"):
        small = cv2.resize(cv2.imread(str(path)), None, fx=0.5, fy=0.5, interpolation=AREA)
        cv2.imwrite(str(path), small)


@pytest.fixture(scope="session")
def mixed(once: Once) -> Path:
    """Write a collection whose truth is not easy, and return the truth's path.

    One positive has no features, as has one image that is none; one is ignored and one is unlike
    its query, so that neither AP nor recall is perfect.
    """

    def make(root: Path) -> Path:
        made = write_collection(root, scenes=3, views=2, distractors=2, seed=3)
        content = json.loads(made.truth.read_text(encoding="utf-8"))
        halve(root)
        for name in GREY:
            (root / "db" / name).parent.mkdir(exist_ok=True)
            cv2.imwrite(str(root / "db" / name), np.full((100, 100), 99, np.uint8))
        content["db"] = [*GREY[::-1], *content["db"]]
        first, second, third = content["queries"]
        first["bbox"] = [corner / 2 for corner in first["bbox"]]
        first["positives"].append(GREY[0])
        second["junk"] = [second["positives"].pop(0)]
        second["positives"].append("distractors/01.jpg")
        third["positives"] = ["distractors/00.jpg", "scene_02/view_1.jpg"]
        truth = root / "mixed.json"
        truth.write_text(json.dumps(content), encoding="utf-8")
        return truth

    return once("mixed", make)


@pytest.fixture(scope="session")
def vocab(mixed: Path, once: Once) -> Path:
    """A vocabulary trained on the collection itself."""

    def make(folder: Path) -> Path:
        images = find_images([mixed.parent / "db"])
        build_vocabulary(images, FEW, TINY, run=Run(jobs=1)).save(folder)
        return folder

    return once("mixed vocabulary", make)


@pytest.fixture(scope="session")
def independent(once: Once) -> Vocabulary:
    """A vocabulary trained on other pictures than any collection here has."""

    def make(folder: Path) -> Path:
        made = write_collection(folder / "others", 2, 1, 1, seed=77)
        vocabulary = build_vocabulary(find_images([made.database]), FEW, TINY, run=Run(jobs=1))
        vocabulary.save(folder / "vocabulary")
        return folder / "vocabulary"

    return Vocabulary.load(once("independent vocabulary", make))


@pytest.fixture(scope="session")
def indexed(mixed: Path, vocab: Path, once: Once) -> Path:
    def make(folder: Path) -> Path:
        images = find_images([mixed.parent / "db"])
        recipe = Recipe(Vocabulary.load(vocab), features=FEW)
        build_index(images, folder / "index", recipe, Run(jobs=1))
        return folder / "index"

    return once("mixed index", make)


@pytest.fixture(scope="module")
def drawn(searcher: Searcher, collection: Collection) -> Evaluation:
    return evaluate(load(str(collection.truth), collection.root), collection.root, searcher)


@pytest.fixture
def oxford(tmp_path: Path) -> Path:
    """Write the images of a tiny Oxford5k, and return their folder."""
    return draw(tmp_path / "images", *(f"{name}.jpg" for name in OXFORD))
