"""The REST API: the same answers as in process, and safe with whatever comes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import threading
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
import pytest

from bovw.demo.scenes import Collection
from bovw.images.find import ImageFile, find_images
from bovw.index import Index
from bovw.index.lock import WriterLock
from bovw.ingest.build import build_index
from bovw.ingest.run import Recipe, Run
from bovw.options import FeatureOptions, SearchOptions, ServeOptions
from bovw.records import Box
from bovw.search.searcher import Searcher
from bovw.web.setup import Setup

pytest.importorskip("fastapi", reason="bovw[web] is not installed")

from starlette.testclient import TestClient

from bovw.web.admission import FullError, RequestQueue
from bovw.web.app import create_app
from bovw.web.cache import Store, TooLargeError
from bovw.web.engine import id_of, name_of

API = "/api/v1"
TOKEN = "a secret"
FEW = FeatureOptions(max_features=400)
SMALL = ServeOptions(upload_bytes=2_000_000, limit=15)


@pytest.fixture(scope="module")
def client(collection: Collection, index_folder: Path, tmp_path_factory) -> Iterator[TestClient]:
    """A server that only reads, with the collection's own truth to evaluate."""
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


def detail(response, status: int) -> str:
    """Return what a problem says, which must be one, and without a traceback."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    content = response.json()
    assert content["status"] == status and content["title"]
    assert "Traceback" not in response.text and "/tmp" not in response.text
    return content["detail"]


def give(client: TestClient, content: bytes) -> str:
    response = client.post(f"{API}/queries", content=content)
    assert response.status_code == 201, response.text
    return response.json()["id"]


# ---------------------------------------------------------------- the same answers


def same(found: list[dict], hits: list) -> None:
    assert [hit["name"] for hit in found] == [hit.name for hit in hits]
    for one, hit in zip(found, hits, strict=True):
        assert (one["rank"], one["inliers"], one["score"]) == (hit.rank, hit.inliers, hit.score)
        assert (one["transform"] is None) == (hit.transform is None)
        if hit.transform is not None:
            np.testing.assert_array_equal(one["transform"], hit.transform)
            np.testing.assert_array_equal(one["box"], hit.box)


@pytest.mark.parametrize("options", [{}, {"scoring": "tfidf", "rerank": 3, "expand": 0}])
def test_a_search_is_the_same_as_in_process(
    client: TestClient, index: Index, query: Path, options: dict
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


def finished(client: TestClient, place: str) -> dict:
    for _ in range(600):
        run = client.get(place).json()
        if run["state"] != "running":
            break
        time.sleep(0.05)
    assert run["state"] == "done" and run["done"] == run["of"], run
    return run


# ---------------------------------------------------------------- safety


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
        ({"name": "NAME", "region": "9999,9999,10000,10000"}, "holds nothing"),
        ({"name": "NAME", "region": "nan,0,1,1"}, "holds nothing"),
        ({"name": "NAME", "topk": 0}, "topk"),
        ({"name": "NAME", "topk": 10**9}, "topk"),
        ({"name": "NAME", "rerank": 10**9}, "rerank"),
        ({"name": "NAME", "scoring": "guess"}, "scoring"),
    ],
)
def test_bad_requests_say_what_is_wrong(
    client: TestClient, index: Index, asked: dict, reason: str
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
    assert "only reads" in detail(added, 403)
    assert "only reads" in detail(client.delete(f"{API}/images/{id_of('a.jpg')}"), 403)


def test_an_unforeseen_error_has_no_traceback(
    client: TestClient, query: Path, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("bovw.web.engine.Engine.search", broken)
    response = client.post(f"{API}/search", content=query.read_bytes())
    assert "unexpected" in detail(response, 500) and "secret" not in response.text
    assert "secret" in caplog.text  # whoever runs the server can read it


# ---------------------------------------------------------------- changing the index


@pytest.fixture
def writing(index_folder: Path, tmp_path: Path) -> Iterator[TestClient]:
    folder = tmp_path / "index"
    shutil.copytree(index_folder, folder)
    app = create_app(
        Setup(folder, tmp_path / "cache", SMALL, token=TOKEN, additions=tmp_path / "added")
    )
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


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


def test_a_file_that_is_gone_is_told(tmp_path: Path, collection: Collection) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(collection.database / "scene_00", folder)
    build_index(find_images([folder]), tmp_path / "index", Recipe(features=FEW), Run(jobs=1))
    (folder / "view_0.jpg").unlink()
    with TestClient(create_app(Setup(tmp_path / "index", tmp_path / "cache", SMALL))) as client:
        for place in ("search?name=view_0.jpg", f"images/{id_of('view_0.jpg')}/picture"):
            assert "view_0.jpg" in detail(client.get(f"{API}/{place}"), 422)


# ---------------------------------------------------------------- parts


def test_a_gate_lets_some_work_and_some_wait() -> None:
    gate, release = RequestQueue(working=2, waiting=1), threading.Event()
    at_work: list[int] = []

    def work(number: int) -> int:
        at_work.append(number)
        assert release.wait(20)
        return number

    async def ask(number: int) -> int | str:
        try:
            async with gate.place():
                return await gate.run(lambda: work(number))
        except FullError:
            return "full"

    async def run() -> list[int | str]:
        asked = [asyncio.create_task(ask(number)) for number in range(5)]
        while len(at_work) < 2:
            await asyncio.sleep(0.01)
        assert len(at_work) == 2 and gate.taken == 3
        release.set()
        return list(await asyncio.gather(*asked))

    assert asyncio.run(run()) == [0, 1, 2, "full", "full"]
    assert gate.taken == 0


def test_a_full_server_says_so(
    writing: TestClient, query: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = writing.app.state.server.gate
    monkeypatch.setattr(gate, "taken", 10**6)
    response = writing.post(f"{API}/search", content=query.read_bytes())
    assert "busy" in detail(response, 503) and response.headers["retry-after"] == "1"


async def parts_of(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def test_a_store_makes_room(tmp_path: Path) -> None:
    store = Store(tmp_path / "s", most_bytes=1000)
    keys = []
    for number in range(5):
        keys.append(asyncio.run(store.receive(parts_of(b"%d" % number, bytes(299)), 300)))
        os.utime(store.folder / keys[-1], (number, number))
        if number == 2:
            assert store.find(keys[0])  # used: now the second is the oldest
    assert [store.find(key) is not None for key in keys] == [True, False, False, True, True]
    assert store.find("../s") is None and store.find("0" * 64) is None
    with pytest.raises(TooLargeError):
        asyncio.run(store.receive(parts_of(bytes(200), bytes(200)), 300))
    assert len(list(store.folder.iterdir())) == 3
    assert Store(store.folder, 1000).find(keys[-1])


@pytest.mark.parametrize("name", ["a.jpg", "", "ü/日本.jpg", "\udcff", "a" * 300])
def test_ids_are_names(name: str) -> None:
    assert name_of(id_of(name)) == name
    assert set(id_of(name)) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    )
