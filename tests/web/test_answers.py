"""The REST API: the same answers as in process."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bovw.demo.scenes import Collection
from bovw.index import Index
from bovw.options import SearchOptions
from bovw.records import Box, Hit
from bovw.search.searcher import Searcher

pytest.importorskip("fastapi", reason="bovw[web] is not installed")

from starlette.testclient import TestClient

from bovw.web.engine import id_of
from tests.web.api import API, give


def same(found: list[dict[str, Any]], hits: list[Hit]) -> None:
    assert [hit["name"] for hit in found] == [hit.name for hit in hits]
    for one, hit in zip(found, hits, strict=True):
        assert (one["rank"], one["inliers"], one["score"]) == (hit.rank, hit.inliers, hit.score)
        assert one["certainty"] == hit.certainty
        assert (one["probability"], one["false_alarms"]) == (hit.probability, hit.false_alarms)
        assert (one["transform"] is None) == (hit.transform is None)
        if hit.transform is not None:
            np.testing.assert_array_equal(one["transform"], hit.transform)
            assert hit.box is not None
            np.testing.assert_array_equal(one["box"], hit.box)


@pytest.mark.parametrize("options", [{}, {"scoring": "tfidf", "rerank": 3, "expand": 0}])
def test_a_search_is_the_same_as_in_process(
    client: TestClient, index: Index, query: Path, options: dict[str, Any]
) -> None:
    region = Box(40, 30, 600, 400)
    hits = Searcher(index, SearchOptions(**options)).search(query, 7, region)
    asked = options | {"topk": 7, "region": "40,30,600,400"}
    posted = client.post(f"{API}/search", params=asked, content=query.read_bytes())
    assert posted.status_code == 200, posted.text
    same(posted.json()["hits"], hits)
    got = client.get(f"{API}/search", params=asked | {"query": posted.json()["query"]["id"]})
    assert got.json()["hits"] == posted.json()["hits"]
    assert got.json()["region"] == list(region)


def test_an_indexed_image_finds_itself_by_id_and_by_name(
    client: TestClient, index: Index, collection: Collection
) -> None:
    name = collection.views[0].name
    by_name = client.get(f"{API}/search", params={"name": name}).json()
    by_id = client.get(f"{API}/search", params={"image": id_of(name)}).json()
    assert by_name["hits"] == by_id["hits"] and by_name["query"] == by_id["query"]
    assert by_name["query"]["kind"] == "image" and by_name["query"]["name"] == name
    assert by_name["hits"][0]["name"] == name
    same(by_name["hits"], Searcher(index).search(collection.database / name, 20))


def test_fewer_false_alarms_leave_fewer_matches(client: TestClient, query: Path) -> None:
    asked = {"query": give(client, query.read_bytes())}
    usual = client.get(f"{API}/search", params=asked).json()["hits"]
    strict = client.get(f"{API}/search", params=asked | {"max_false_alarms": 1e-12}).json()["hits"]
    usual_matches, strict_matches = (
        {hit["name"] for hit in hits if hit["certainty"] in ("sure", "likely")}
        for hits in (usual, strict)
    )
    least = {hit["name"] for hit in usual if (hit["false_alarms"] or 1) <= 1e-12}
    assert strict_matches == least and least <= usual_matches


def test_images_are_browsed_by_name(client: TestClient, index: Index) -> None:
    names = sorted(index.names)
    first = client.get(f"{API}/images", params={"limit": 5}).json()
    rest = client.get(f"{API}/images", params={"limit": 500, "offset": 5}).json()
    assert first["total"] == len(names) and rest["offset"] == 5
    records = first["images"] + rest["images"]
    assert [record["name"] for record in records] == names
    some = client.get(f"{API}/images", params={"contains": "SCENE_01"}).json()
    assert [r["name"] for r in some["images"]] == [n for n in names if "scene_01" in n]
    one = records[0]
    assert client.get(f"{API}/images/{one['id']}").json() == one
    assert (one["width"], one["height"]) == (640, 480) and one["features"] > 100


@pytest.mark.parametrize("kind, side", [("thumbnail", 320), ("picture", 640)])
def test_pictures_are_shown_reduced(client: TestClient, index: Index, kind: str, side: int) -> None:
    for _ in range(2):  # made, then kept
        response = client.get(f"{API}/images/{id_of(index.names[0])}/{kind}")
        assert response.headers["content-type"] == "image/jpeg"
        assert (response.headers["x-width"], response.headers["x-height"]) == ("640", "480")
        pixels = cv2.imdecode(np.frombuffer(response.content, np.uint8), cv2.IMREAD_COLOR)
        assert pixels.shape == (side * 3 // 4, side, 3)


def test_a_given_picture_is_kept(client: TestClient, query: Path) -> None:
    id = give(client, query.read_bytes())
    assert id == hashlib.sha256(query.read_bytes()).hexdigest()
    record = client.get(f"{API}/queries/{id}").json()
    assert (record["id"], record["width"], record["height"]) == (id, 640, 480)
    shown = client.get(f"{API}/queries/{id}/picture")
    assert shown.headers["content-type"] == "image/jpeg" and len(shown.content) > 1000


def test_info_health_and_metrics(client: TestClient, index: Index) -> None:
    info = client.get(f"{API}/info").json()
    assert (info["images"], info["features"]) == (len(index), index.features)
    assert not info["writable"] and info["evaluations"] == ["synthetic"]
    assert client.get(f"{API}/health").json() == {
        "status": "ok",
        "images": len(index),
        "shards": {},
    }
    text = client.get(f"{API}/metrics").text
    assert f"bovw_images {len(index)}" in text
    assert 'route="/api/v1/info",status="200"' in text


@pytest.mark.slow
def test_an_evaluation_is_that_of_the_command_line(
    client: TestClient, collection: Collection, index: Index
) -> None:
    from bovw.evaluation.datasets import load
    from bovw.evaluation.run import evaluate

    place = f"{API}/evaluations/synthetic"
    described = client.get(place).json()
    assert client.get(f"{API}/evaluations").json()[0]["query_count"] == len(described["queries"])
    run = client.post(f"{place}/runs", params={"expand": 0}).json()
    assert client.post(f"{place}/runs", params={"expand": 0}).json()["id"] == run["id"]
    run = finished(client, f"{place}/runs/{run['id']}")
    dataset = load(str(collection.truth), collection.root)
    measured = evaluate(dataset, collection.root, Searcher(index, SearchOptions(expand=0)))
    figures = run["results"]["settings"]["all"]
    assert figures["map"] == measured.mean_ap("all")
    assert figures["recall_at_1"] == measured.recall_at_1("all")
    assert [q["ap"]["all"] for q in run["results"]["queries"]] == measured.precisions("all")
    for number, outcome in enumerate(measured.outcomes):
        shown = client.get(f"{place}/runs/{run['id']}/queries/{number}?limit=9").json()
        assert [hit["name"] for hit in shown["hits"]] == outcome.ranking[:9]
        positives = outcome.query.judgements["all"].positives
        for hit in shown["hits"]:
            assert hit["label"] == ("ok" if hit["name"] in positives else "wrong")
        assert shown["positives"] == len(positives) and len(shown["curve"]) <= len(positives)
    picture = client.get(f"{place}/queries/0/picture")
    assert picture.headers["content-type"] == "image/jpeg"
    assert [one["id"] for one in client.get(f"{place}/runs").json()] == [run["id"]]


def finished(client: TestClient, place: str) -> dict[str, Any]:
    for _ in range(600):
        run: dict[str, Any] = client.get(place).json()
        if run["state"] != "running":
            break
        time.sleep(0.05)
    assert run["state"] == "done" and run["done"] == run["of"], run
    return run
