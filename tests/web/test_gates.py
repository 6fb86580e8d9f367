"""The REST API keeps working for everybody while somebody keeps it waiting, or something breaks."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from bovw.demo.scenes import Collection
from bovw.errors import DatasetError
from bovw.images.find import find_images
from bovw.index import Index
from bovw.ingest.build import build_index
from bovw.ingest.run import Recipe, Run
from bovw.options import ServeOptions
from bovw.vocab import Vocabulary
from bovw.web.setup import Setup

pytest.importorskip("fastapi", reason="bovw[web] is not installed")

from fastapi import FastAPI
from starlette.testclient import TestClient

from bovw.web.app import create_app
from bovw.web.evaluations import Evaluations
from tests.web.api import API, FEW, TOKEN, detail

Message = dict[str, Any]
# Seconds after which a test gives up.
LONG = 60


async def asked(
    app: FastAPI, method: str, path: str, coming: Callable[[], Awaitable[Message]]
) -> tuple[int, Any]:
    """Ask an application as a server does; return the status and what the answer holds."""
    sent: list[Message] = []
    place, _, asked = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": API + place,
        "raw_path": (API + place).encode(),
        "query_string": asked.encode(),
        "headers": [(b"host", b"testserver")],
    }

    async def sending(message: Message) -> None:
        sent.append(message)

    await app(scope, coming, cast(Any, sending))
    return sent[0]["status"], json.loads(sent[1]["body"])


def whole(content: bytes = b"") -> Callable[[], Awaitable[Message]]:
    """Return a body that comes at once."""

    async def come() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    return come


class Slow:
    """A body of which a part comes, and the client then leaves when it is told to."""

    def __init__(self, part: bytes) -> None:
        self.part: bytes | None = part
        self.leave = asyncio.Event()

    async def __call__(self) -> Message:
        """Return the next message."""
        if self.part is None:
            await self.leave.wait()
            return {"type": "http.disconnect"}
        part, self.part = self.part, None
        return {"type": "http.request", "body": part, "more_body": True}


@asynccontextmanager
async def slow_uploads(app: FastAPI, count: int, part: bytes) -> AsyncIterator[None]:
    """Begin uploads that do not end; in the end their clients leave."""
    bodies = [Slow(part) for _ in range(count)]
    tasks = [asyncio.create_task(asked(app, "POST", "/search", body)) for body in bodies]
    while any(body.part is not None for body in bodies):
        await asyncio.sleep(0.01)
    yield
    for body in bodies:
        body.leave.set()
    for status, problem in await asyncio.gather(*tasks):
        assert status in (400, 503) and problem["title"]


def test_slow_uploads_keep_nobody_out(
    index_folder: Path, tmp_path: Path, query: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(Setup(index_folder, tmp_path, ServeOptions(working=1, waiting=0)))
    server = app.state.server

    async def run() -> None:
        async with slow_uploads(app, 5, query.read_bytes()[:110]):
            assert (await asked(app, "GET", "/images?contains=scene", whole()))[0] == 200
            status, given = await asked(app, "POST", "/queries", whole(query.read_bytes()))
            assert status == 201 and given["features"]

    try:
        asyncio.run(asyncio.wait_for(run(), LONG))
    finally:
        server.engine.close()
    assert server.queue.taken == 0
    assert caplog.text == ""  # who leaves is not worth a line
    assert len(list((tmp_path / "pictures").iterdir())) == 1


def test_what_has_not_come_whole_takes_half_of_the_cache_at_most(
    index_folder: Path, tmp_path: Path
) -> None:
    app = create_app(Setup(index_folder, tmp_path, ServeOptions(cache_bytes=100_000)))

    async def run() -> None:
        async with slow_uploads(app, 2, bytes(20_000)):
            status, problem = await asked(app, "POST", "/queries", whole(bytes(20_000)))
            assert status == 503 and "busy" in problem["detail"]
        status, problem = await asked(app, "POST", "/queries", whole(bytes(40_000)))
        assert status == 422 and "not a readable" in problem["detail"]

    try:
        asyncio.run(asyncio.wait_for(run(), LONG))
    finally:
        app.state.server.engine.close()


def test_names_are_listed_in_turn_with_searches(client: TestClient) -> None:
    queue = cast(Any, client.app).state.server.queue
    queue.taken += 10**6
    try:
        assert "busy" in detail(client.get(f"{API}/images?contains=a"), 503)
    finally:
        queue.taken -= 10**6


def test_a_disk_that_is_full_is_told(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bovw.web.cache.NamedTemporaryFile", full)
    assert "just now" in detail(client.post(f"{API}/search", content=b"x"), 503)
    assert "No space left" in caplog.text and "Traceback" not in caplog.text


def test_a_killed_process_costs_no_picture(writing: TestClient, query: Path) -> None:
    assert writing.post(f"{API}/queries", content=query.read_bytes()).status_code == 201
    pool = cast(Any, writing.app).state.server.engine._decoder._pool
    killed = [worker.process for worker in pool._workers if worker.process]
    for process in killed:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    # Other bytes, which no cache knows.
    again = writing.post(f"{API}/queries", content=query.read_bytes() + b"x")
    assert killed and again.status_code == 201


def test_other_sites_cannot_send_anything(writing: TestClient, query: Path) -> None:
    content, key = query.read_bytes(), {"Authorization": f"Bearer {TOKEN}"}
    for origin in ("https://evil.example", "null", "http://testserver:81", "http://[", ""):
        headers = key | {"Origin": origin}
        for method, place in (
            ("POST", "queries"),
            ("POST", "search"),
            ("POST", "images?name=a.jpg"),
            ("DELETE", "images/eA"),
            ("POST", "evaluations/a/runs"),
        ):
            told = writing.request(method, f"{API}/{place}", content=content, headers=headers)
            assert "another site" in detail(told, 403)
        assert writing.get(f"{API}/info", headers=headers).status_code == 200
    own = writing.post(f"{API}/queries", content=content, headers={"Origin": "http://TestServer"})
    assert own.status_code == 201


def test_every_route_names_the_parameters_it_knows(client: TestClient) -> None:
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        place = path.replace("{number}", "0").replace("{id}", "0" * 64).replace("{", "")
        for method, described in methods.items():
            told = detail(client.request(method, place.replace("}", "") + "?no_such=1"), 422)
            assert told.startswith("no_such: no such parameter")
            for one in described.get("parameters", []):
                assert (one["in"] == "query") == (one["name"] in told.partition("this ")[2])


def test_metrics_are_there_while_the_index_is_not(writing: TestClient, tmp_path: Path) -> None:
    (tmp_path / "index").rename(tmp_path / "away")
    assert "just now" in detail(writing.get(f"{API}/health"), 503)
    metrics = writing.get(f"{API}/metrics")
    assert metrics.status_code == 200 and "bovw_images NaN" in metrics.text
    (tmp_path / "away").rename(tmp_path / "index")
    assert writing.get(f"{API}/health").status_code == 200


@pytest.mark.slow
def test_an_index_that_is_built_anew_is_followed(
    collection: Collection, tmp_path: Path, query: Path
) -> None:
    folder = tmp_path / "index"
    vocabulary: Vocabulary | None = None

    def build(scene: str) -> None:
        images = find_images([collection.database / scene])
        build_index(images, folder, Recipe(vocabulary, features=FEW), Run(jobs=1))

    build("scene_00")
    vocabulary = Vocabulary.load(Index.open(folder).vocabulary_folder)
    with TestClient(create_app(Setup(folder, tmp_path / "cache"))) as client:
        before = client.post(f"{API}/search", content=query.read_bytes()).json()["hits"]
        shutil.rmtree(folder)
        build("scene_01")
        # The images have the same names, and show another scene.
        after = client.post(f"{API}/search", content=query.read_bytes()).json()["hits"]
        assert {hit["name"] for hit in after} == {hit["name"] for hit in before}
        assert max(hit["inliers"] for hit in after) < before[0]["inliers"] / 2


def test_a_name_that_cannot_be_part_of_an_address_is_told(
    client: TestClient, collection: Collection, tmp_path: Path
) -> None:
    truth, engine = json.loads(collection.truth.read_text()), cast(Any, client.app).state.server
    for name in ("a/b", "", "."):
        (tmp_path / "truth.json").write_text(json.dumps(truth | {"name": name}))
        with pytest.raises(DatasetError, match="another name"):
            Evaluations(engine.engine, [str(tmp_path / "truth.json")], collection.root)
