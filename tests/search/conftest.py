"""A few photos, and what indexes them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bovw.demo.scenes import Collection
from bovw.feedback import OnSkip, ignore_skip
from bovw.images.find import find_images
from bovw.index import Index
from bovw.ingest.build import build_index
from bovw.ingest.run import Recipe, Run
from bovw.options import FeatureOptions
from bovw.search.searcher import Searcher
from tests.search.hits import Build


@pytest.fixture
def build(feature_options: FeatureOptions, searcher: Searcher, tmp_path: Path) -> Build:
    """Index a folder with the shared vocabulary, which saves training one."""

    def built(folder: Path, name: str = "index", on_skip: OnSkip = ignore_skip) -> Index:
        recipe = Recipe(searcher.vocabulary, features=feature_options)
        run = Run(jobs=1, on_skip=on_skip)
        return build_index(find_images([folder]), tmp_path / name, recipe, run)

    return built


@pytest.fixture
def photos(collection: Collection, tmp_path: Path) -> Path:
    """A folder with two views of one scene and one of another."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(("scene_00/view_0", "scene_00/view_1", "scene_01/view_0")):
        shutil.copy(collection.database / f"{name}.jpg", folder / f"{number}.jpg")
    return folder
