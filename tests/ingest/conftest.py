"""Pictures, some of them in a folder, and updates of its index."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bovw.demo.scenes import Collection
from bovw.images.find import find_images
from bovw.search.searcher import Searcher
from bovw.vocab import Vocabulary
from tests.ingest.updates import Updates


@pytest.fixture(scope="module")
def pictures(collection: Collection) -> list[Path]:
    return [image.path for image in find_images([collection.database])][:8]


@pytest.fixture(scope="module")
def vocabulary(searcher: Searcher) -> Vocabulary:
    return searcher.vocabulary


@pytest.fixture
def photos(tmp_path: Path, pictures: list[Path]) -> Path:
    """A folder with three of the pictures: 0.jpg, 1.jpg and 2.jpg."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, picture in enumerate(pictures[:3]):
        shutil.copy(picture, folder / f"{number}.jpg")
    return folder


@pytest.fixture
def update(photos: Path, vocabulary: Vocabulary) -> Updates:
    return Updates(photos, vocabulary)
