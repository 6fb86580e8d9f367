"""Servers over the drawn collection: one that only reads, and ones that write."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bovw.demo.scenes import Collection
from bovw.web.setup import Setup

if TYPE_CHECKING:
    from starlette.testclient import TestClient


@pytest.fixture(scope="module")
def client(
    collection: Collection, index_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    """A server that only reads, with the collection's own truth to evaluate."""
    # The packages of bovw[web] may be missing: what imports them is skipped then.
    from starlette.testclient import TestClient

    from bovw.web.app import create_app
    from tests.web.api import SMALL

    app = create_app(
        Setup(
            index_folder,
            tmp_path_factory.mktemp("cache"),
            SMALL,
            hosts=["testserver"],
            datasets=[str(collection.truth)],
            images=collection.root,
        )
    )
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def query(collection: Collection) -> Path:
    return collection.root / collection.queries[0].name


@pytest.fixture
def writing(index_folder: Path, tmp_path: Path) -> Iterator[TestClient]:
    from starlette.testclient import TestClient

    from bovw.web.app import create_app
    from tests.web.api import SMALL, TOKEN

    folder = tmp_path / "index"
    shutil.copytree(index_folder, folder)
    app = create_app(
        Setup(folder, tmp_path / "cache", SMALL, token=TOKEN, additions=tmp_path / "added")
    )
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
