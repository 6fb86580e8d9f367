"""The REST API: images are added and removed with a token, and names lead nowhere else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pytest

from bovw.demo.scenes import Collection
from bovw.images.find import ImageFile, find_images
from bovw.index.lock import WriterLock
from bovw.ingest.build import build_index
from bovw.ingest.run import Recipe, Run
from bovw.web.setup import Setup

pytest.importorskip("fastapi", reason="bovw[web] is not installed")

from starlette.testclient import TestClient

from bovw.web.app import create_app
from bovw.web.engine import id_of, name_of
from tests.web.api import API, FEW, SMALL, TOKEN, detail


@pytest.mark.slow
def test_images_are_added_and_removed_with_the_token(
    writing: TestClient, query: Path, tmp_path: Path
) -> None:
    key = {"Authorization": f"Bearer {TOKEN}"}
    content, name = query.read_bytes(), "shelf/new ü.jpg"
    before = writing.get(f"{API}/info").json()["images"]
    place = f"{API}/images?name={quote(name)}"
    for wrong in ({}, {"Authorization": "Bearer a secreT"}, {"Authorization": "Basic eA=="}):
        assert "token" in detail(writing.post(place, content=content, headers=wrong), 401)
    assert not (tmp_path / "added").exists()
    added = writing.post(place, content=content, headers=key)
    assert added.status_code == 201 and added.json()["name"] == name
    assert (tmp_path / "added" / name).read_bytes() == content
    assert writing.get(f"{API}/info").json()["images"] == before + 1
    hits = writing.post(f"{API}/search", content=content).json()["hits"]
    assert hits[0]["name"] == name
    assert "this name" in detail(writing.post(place, content=content, headers=key), 409)

    (tmp_path / "added" / "own.jpg").write_bytes(b"mine")
    taken = writing.post(f"{API}/images?name=own.jpg", content=content, headers=key)
    assert "file of this name" in detail(taken, 409)
    assert (tmp_path / "added" / "own.jpg").read_bytes() == b"mine"
    inside = writing.post(f"{API}/images?name=own.jpg/a.jpg", content=content, headers=key)
    assert "file of this name" in detail(inside, 409)

    removed = writing.delete(f"{API}/images/{added.json()['id']}", headers=key)
    assert removed.status_code == 204
    hits = writing.post(f"{API}/search", content=content).json()["hits"]
    assert name not in [hit["name"] for hit in hits]
    assert (tmp_path / "added" / name).exists()
    again = writing.delete(f"{API}/images/{added.json()['id']}", headers=key)
    assert "no such image" in detail(again, 404)


@pytest.mark.parametrize(
    "name", ["../a.jpg", "/a.jpg", "a/../../b.jpg", ".a.jpg", "a.exe", "", "a//b.jpg", "a\nb.jpg"]
)
def test_a_name_cannot_lead_elsewhere(writing: TestClient, tmp_path: Path, name: str) -> None:
    response = writing.post(
        f"{API}/images",
        params={"name": name},
        content=b"x",
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    assert "shelf/0012.jpg" in detail(response, 422)
    assert not (tmp_path / "added").exists()


def test_a_bad_picture_is_not_added(writing: TestClient, tmp_path: Path) -> None:
    key = {"Authorization": f"Bearer {TOKEN}"}
    response = writing.post(f"{API}/images?name=a.jpg", content=b"no picture", headers=key)
    assert "not a readable" in detail(response, 422)
    assert not (tmp_path / "added" / "a.jpg").exists()


def test_a_busy_index_is_told_without_paths(
    writing: TestClient, tmp_path: Path, query: Path
) -> None:
    key = {"Authorization": f"Bearer {TOKEN}"}
    with WriterLock(tmp_path / "index"):
        place = f"{API}/images?name=a.jpg"
        told = writing.post(place, content=query.read_bytes(), headers=key)
    assert "just now" in detail(told, 503) and not (tmp_path / "added" / "a.jpg").exists()


@pytest.mark.slow
def test_the_index_is_followed(writing: TestClient, tmp_path: Path, query: Path) -> None:
    before = writing.get(f"{API}/info").json()["images"]
    build_index(
        [ImageFile(query.name, query)],
        tmp_path / "index",
        run=Run(jobs=1),
        may_vanish=lambda row: False,
    )
    assert writing.get(f"{API}/info").json()["images"] == before + 1
    hits = writing.post(f"{API}/search", content=query.read_bytes()).json()["hits"]
    assert hits[0]["name"] == query.name


@pytest.mark.slow
def test_odd_names_are_shown_and_found(tmp_path: Path, collection: Collection) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    names = ["<script>alert(1)<img src=x>.jpg", "a b#?%41.jpg", "new\nline.jpg", "\udcff.jpg"]
    for view, name in zip(collection.views, names, strict=False):
        shutil.copyfile(collection.database / view.name, folder / name)
    build_index(find_images([folder]), tmp_path / "index", Recipe(features=FEW), Run(jobs=1))
    with TestClient(create_app(Setup(tmp_path / "index", tmp_path / "cache", SMALL))) as client:
        records = client.get(f"{API}/images").json()["images"]
        assert {name_of(record["id"]) for record in records} == set(names)
        for record in records:
            found = client.get(f"{API}/search", params={"image": record["id"]}).json()
            assert found["hits"][0]["id"] == record["id"]
            assert client.get(f"{API}/images/{record['id']}/thumbnail").status_code == 200


@pytest.mark.slow
def test_a_file_that_is_gone_is_told(tmp_path: Path, collection: Collection) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(collection.database / "scene_00", folder)
    build_index(find_images([folder]), tmp_path / "index", Recipe(features=FEW), Run(jobs=1))
    (folder / "view_0.jpg").unlink()
    with TestClient(create_app(Setup(tmp_path / "index", tmp_path / "cache", SMALL))) as client:
        for place in ("search?name=view_0.jpg", f"images/{id_of('view_0.jpg')}/picture"):
            assert "view_0.jpg" in detail(client.get(f"{API}/{place}"), 422)


def test_a_full_server_says_so(
    writing: TestClient, query: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = cast(Any, writing.app).state.server.queue
    monkeypatch.setattr(queue, "taken", 10**6)
    response = writing.post(f"{API}/search", content=query.read_bytes())
    assert "busy" in detail(response, 503) and response.headers["retry-after"] == "1"
