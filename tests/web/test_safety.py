"""The REST API is safe with whatever comes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import pytest

from bovw.index import Index

pytest.importorskip("fastapi", reason="bovw[web] is not installed")

from starlette.testclient import TestClient

from bovw.web.engine import id_of
from tests.web.api import API, detail

PARTS = [
    "x",
    "..",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    id_of("../../etc/passwd"),
    id_of("/etc/passwd"),
    id_of("scene_00/../../truth.json"),
    "a" * 5000,
    quote("\0"),
]


@pytest.mark.parametrize("part", PARTS)
def test_nothing_is_read_outside_of_the_index(client: TestClient, part: str) -> None:
    for place in (
        f"{API}/images/{part}",
        f"{API}/images/{part}/picture",
        f"{API}/images/{part}/thumbnail",
        f"{API}/queries/{part}",
        f"{API}/queries/{part}/picture",
        f"{API}/evaluations/{part}",
        f"{API}/search?image={part}",
        f"{API}/search?query={part}",
        f"{API}/search?name={part}",
        f"{API}/explanation?hit={part}&name={part}",
        f"/{part}",
        f"/static/{part}",
    ):
        response = client.get(place)
        # A client may make the page's own address of "/..".
        own = response.content == client.get("/").content
        assert own or response.status_code in (404, 422), (place, response.text)


def test_a_name_that_is_removed_is_not_found(client: TestClient) -> None:
    assert "no such image" in detail(client.get(f"{API}/images/{id_of('gone.jpg')}"), 404)
    assert "no longer kept" in detail(client.get(f"{API}/queries/{'0' * 64}"), 404)


def test_too_many_bytes_are_refused(client: TestClient) -> None:
    assert "too many bytes" in detail(client.post(f"{API}/search", content=bytes(2_000_001)), 413)

    def without_a_length() -> Iterator[bytes]:
        yield from (bytes(100_000) for _ in range(30))

    assert "too many" in detail(client.post(f"{API}/search", content=without_a_length()), 413)


def test_too_many_pixels_are_refused_before_decoding(client: TestClient) -> None:
    # A PNG's header alone, of 20,000 by 20,000 pixels.
    _, small = cv2.imencode(".png", np.zeros((16, 16), np.uint8))
    bomb = bytearray(small.tobytes())
    bomb[16:24] = (20_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    assert "64 megapixels" in detail(client.post(f"{API}/search", content=bytes(bomb)), 422)


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "empty"),
        (b"no picture at all", "not a readable"),
        (b"\xff\xd8\xff\xe0 cut off", "cannot be decoded"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a readable"),
    ],
)
def test_what_is_no_picture_is_refused(client: TestClient, content: bytes, reason: str) -> None:
    for place in ("search", "queries"):
        assert reason in detail(client.post(f"{API}/{place}", content=content), 422)


def test_a_plain_picture_has_nothing_to_search_with(client: TestClient) -> None:
    _, plain = cv2.imencode(".png", np.full((100, 100), 200, np.uint8))
    assert "no features" in detail(client.post(f"{API}/search", content=plain.tobytes()), 422)


@pytest.mark.parametrize(
    "asked, reason",
    [
        ({}, "one of query, image and name"),
        ({"name": "a", "image": "b"}, "one of query, image and name"),
        ({"name": "NAME", "region": "1,2,3"}, "x1,y1,x2,y2"),
        ({"name": "NAME", "region": "9999,9999,10000,10000"}, "is empty or outside"),
        ({"name": "NAME", "region": "nan,0,1,1"}, "x1,y1,x2,y2"),
        ({"name": "NAME", "region": "-inf,0,inf,1e999"}, "x1,y1,x2,y2"),
        ({"name": "NAME", "max_false_alarms": "nan"}, "max_false_alarms"),
        ({"name": "NAME", "max_false_alarms": "inf"}, "max_false_alarms"),
        ({"name": "NAME", "top_k": 5, "topk": 5}, "top_k: no such parameter, this knows"),
        ({"name": "NAME", "topk": ["5", "6"]}, "topk: give it once"),
        ({"name": "NAME", "topk": 0}, "topk"),
        ({"name": "NAME", "topk": 10**9}, "topk"),
        ({"name": "NAME", "rerank": 10**9}, "rerank"),
        ({"name": "NAME", "scoring": "guess"}, "scoring"),
        ({"name": "NAME", "max_false_alarms": 0}, "max_false_alarms"),
        ({"name": "NAME", "max_false_alarms": 2}, "max_false_alarms"),
    ],
)
def test_bad_requests_say_what_is_wrong(
    client: TestClient, index: Index, asked: dict[str, Any], reason: str
) -> None:
    asked = {k: index.names[0] if v == "NAME" else v for k, v in asked.items()}
    assert reason in detail(client.get(f"{API}/search", params=asked), 422)


def test_headers_keep_foreign_scripts_out(client: TestClient) -> None:
    for place in ("/", f"{API}/info", f"{API}/nothing", "/docs", "/openapi.json"):
        headers = client.get(place).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in client.get("/").headers["content-security-policy"]
    assert "//cdn" not in client.get("/docs").text


def test_another_name_for_this_host_is_refused(client: TestClient) -> None:
    response = client.get(f"{API}/info", headers={"Host": "evil.example"})
    assert response.status_code == 400


def test_nothing_is_written_without_permission(client: TestClient, query: Path) -> None:
    added = client.post(f"{API}/images?name=a.jpg", content=query.read_bytes())
    assert "read-only server" in detail(added, 403)
    assert "read-only server" in detail(client.delete(f"{API}/images/{id_of('a.jpg')}"), 403)


def test_an_unforeseen_error_has_no_traceback(
    client: TestClient,
    query: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("bovw.web.engine.Engine.search", broken)
    response = client.post(f"{API}/search", content=query.read_bytes())
    assert "unexpected" in detail(response, 500) and "secret" not in response.text
    assert "secret" in caplog.text  # whoever runs the server can read it
