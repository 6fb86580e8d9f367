"""The REST API: a picture is compared with an indexed image, and the outcome explained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bovw.demo.scenes import Collection
from bovw.index import Index
from bovw.options import SearchOptions
from bovw.records import Box
from bovw.search import Searcher, describe_query, explain

pytest.importorskip("fastapi", reason="bovw[web] is not installed")

from starlette.testclient import TestClient

from bovw.web.engine import id_of
from tests.web.api import API, detail, give

UNRELATED = id_of("distractors/00.jpg")


def test_matches_are_those_of_the_search(client: TestClient, query: Path) -> None:
    found = client.post(f"{API}/search", content=query.read_bytes()).json()
    hit = found["hits"][0]
    asked = {"query": found["query"]["id"], "hit": hit["id"]}
    matches = client.get(f"{API}/matches", params=asked).json()
    assert matches["inliers"] == hit["inliers"] == len(matches["points"])
    assert (matches["transform"], matches["box"]) == (hit["transform"], hit["box"])
    points = np.array(matches["points"])
    carried = cv2.perspectiveTransform(points[None, :, :2], np.array(hit["transform"]))[0]
    assert np.linalg.norm(carried - points[:, 2:], axis=1).max() < 0.03 * 640
    for point, size in zip(points.T, [640, 480, 640, 480], strict=True):
        assert point.min() >= 0 and point.max() <= size


def test_nothing_agrees_with_another_scene(client: TestClient, query: Path) -> None:
    asked = {"query": give(client, query.read_bytes()), "hit": id_of("distractors/00.jpg")}
    matches = client.get(f"{API}/matches", params=asked).json()
    assert (matches["inliers"], matches["transform"], matches["points"]) == (0, None, [])


def explained(client: TestClient, **asked: Any) -> dict[str, Any]:
    response = client.get(f"{API}/explanation", params=asked)
    assert response.status_code == 200, response.text
    content: dict[str, Any] = response.json()
    return content


def test_a_match_is_explained(client: TestClient, query: Path) -> None:
    found = client.post(f"{API}/search", content=query.read_bytes()).json()
    hit, asked = found["hits"][0], {"query": found["query"]["id"]}
    why = explained(client, hit=hit["id"], **asked)
    for key in ("certainty", "probability", "false_alarms", "inliers", "transform", "box"):
        assert why[key] == hit[key], key
    assert why["confirmed"] and why["reason"].startswith("a match: ")
    assert f"{why['effective']} places agree" in why["reason"]
    assert 3 <= why["needed"] <= why["effective"] <= why["inliers"] <= why["tentative"]
    assert 1 <= why["rank"] <= why["verified"] <= why["images"]
    matches = client.get(f"{API}/matches", params=asked | {"hit": hit["id"]}).json()
    assert why["points"] == matches["points"] and len(why["points"]) == why["inliers"]
    assert (why["query"], why["hit"]) == (matches["query"], matches["hit"])


def test_an_unrelated_image_is_explained(client: TestClient, query: Path, index: Index) -> None:
    why = explained(client, query=give(client, query.read_bytes()), hit=UNRELATED)
    assert why["hit"]["name"] == "distractors/00.jpg" and why["images"] == len(index)
    assert not why["confirmed"] and why["certainty"] == "none" and why["probability"] == 0
    assert why["reason"].startswith("no match: ")
    assert len(why["points"]) == why["inliers"]


@pytest.mark.parametrize("asked", [{}, {"scoring": "tfidf"}, {"rerank": 1}])
def test_an_explanation_is_that_of_the_package(
    client: TestClient, index: Index, collection: Collection, asked: dict[str, Any]
) -> None:
    view, other = collection.views[:2]
    searcher = Searcher(index, SearchOptions(**asked))
    region = Box(100, 80, 500, 400)
    features, part = describe_query(
        collection.database / view.name, region, options=searcher.feature_options
    )
    image = index.names.find(other.name)
    assert image is not None
    found = explain(searcher, features, part, image)
    why = explained(client, name=view.name, hit=id_of(other.name), region="100,80,500,400", **asked)
    for key in ("reason", "rank", "verified", "score", "shared", "needed", "probability"):
        assert why[key] == getattr(found, key), key
    for key in ("tentative", "inliers", "effective"):
        assert why[key] == getattr(found.evidence, key), key
    np.testing.assert_array_equal(why["points"], found.points.round(1))


@pytest.mark.parametrize("route", ["matches", "explanation"])
def test_what_is_not_there_is_not_compared(client: TestClient, index: Index, route: str) -> None:
    name, place = index.names[0], f"{API}/{route}"
    for asked in (
        {"name": name, "hit": id_of("gone.jpg")},
        {"name": "gone.jpg", "hit": UNRELATED},
        {"query": "0" * 64, "hit": UNRELATED},
        {"name": name, "hit": "*"},
    ):
        detail(client.get(place, params=asked), 404)
    for asked in ({"hit": UNRELATED}, {"name": name}):
        detail(client.get(place, params=asked), 422)
    outside = {"name": name, "hit": UNRELATED, "region": "9999,9999,10000,10000"}
    assert "is empty or outside" in detail(client.get(place, params=outside), 422)
