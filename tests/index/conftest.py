"""A small index of random features, and an archive of one."""

from __future__ import annotations

import zipfile
from functools import cache
from pathlib import Path

import pytest

from bovw.demo.scenes import Collection
from bovw.index import Index
from bovw.index.archive import export_index
from tests.index.answering import OfOne, answers
from tests.index.archives import Members, made
from tests.index.samples import written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written(tmp_path / "index", ["a.jpg", "b.jpg", "c.jpg"])
    return tmp_path / "index"


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("made") / "index")


@pytest.fixture(scope="session")
def exported(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("exported") / "index.zip"
    export_index(original, file)
    return file


@pytest.fixture
def members(exported: Path) -> Members:
    with zipfile.ZipFile(exported) as source:
        return {name: source.read(name) for name in source.namelist()}


@pytest.fixture(scope="session")
def of_one(index: Index, collection: Collection) -> OfOne:
    """What the one drawn index answers, asked once for each way to ask."""
    return cache(lambda options: answers(index, collection, options))
