"""Connections that keep the server waiting end, and lock nobody out."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="bovw[web] is not installed")

import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bovw.errors import BovwError
from bovw.web.connections import FEWEST, MOST, connections, room
from bovw.web.logs import KINDS, Sparing

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[bytes], Awaitable[Client]]
HEAD, LONG = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", 20_000_000


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the body's length, or on /long with more than any buffer holds."""
    request = Request(scope, receive)
    long = request.url.path == "/long"
    content = b"x" * LONG if long else str(len(await request.body())).encode()
    await Response(content)(scope, receive, send)


@asynccontextmanager
async def serving(most: int, patience: float) -> AsyncIterator[Connect]:
    """Serve, and yield what opens a connection and sends first bytes through it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        kind = connections(most, patience)
        server = uvicorn.Server(
            uvicorn.Config(app, http=kind, ws="none", lifespan="off", log_level="critical")
        )
        served = asyncio.create_task(server.serve([listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        clients: list[Client] = []

        async def connect(first: bytes) -> Client:
            clients.append(await asyncio.open_connection(*listening.getsockname()))
            clients[-1][1].write(first)
            # The server has seen it once it has seen what comes after it.
            await clients[-1][1].drain()
            return clients[-1]

        yield connect
        for _, writer in clients:
            writer.close()
        server.should_exit = True
        await served


async def ended(client: Client) -> bytes:
    """Wait for the server to end a connection; return what it sent before."""
    try:
        return await asyncio.wait_for(client[0].read(), 20)
    except ConnectionError:
        return b""


def run(coroutine: Any) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 60))


@pytest.mark.parametrize("sent", [b"", b"GET / HT", HEAD, HEAD + b"12"])
def test_a_request_that_does_not_come_whole_ends(sent: bytes) -> None:
    async def wait() -> None:
        async with serving(most=10, patience=0.2) as connect:
            assert await ended(await connect(sent)) == b""

    run(wait())


def test_one_byte_after_another_keeps_no_connection() -> None:
    async def trickle() -> None:
        async with serving(most=10, patience=0.5) as connect:
            whole = await connect(HEAD + b"12345")
            assert b"200 OK" in await whole[0].readuntil(b"\r\n\r\n5")
            # The second request of a connection has as long as its first.
            for client in (whole, await connect(b"")):
                for _ in range(60):
                    if not client[1].is_closing():
                        client[1].write(b"G")
                    await asyncio.sleep(0.02)
                assert await ended(client) == b""

    run(trickle())


def test_an_answer_that_nobody_takes_ends() -> None:
    async def stall() -> None:
        async with serving(most=10, patience=0.3) as connect:
            reader, _ = client = await connect(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.sleep(1.5)
            assert len(await ended(client)) < LONG
            assert reader.at_eof() or reader.exception()

    run(stall())


def test_whoever_is_silent_longest_makes_room() -> None:
    async def crowd() -> None:
        async with serving(most=4, patience=50) as connect:
            idle = [await connect(HEAD) for _ in range(4)]
            for _ in range(6):
                reader, writer = await connect(HEAD)
                writer.write(b"12345")
                assert b"200 OK" in await reader.readuntil(b"\r\n\r\n5")
            for client in idle:
                assert await ended(client) == b""

    run(crowd())


def test_room_is_left_for_other_files(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    for limit, least, most in ((-1, MOST, MOST), (10**6, MOST, MOST), (1024, 100, 500)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, limit=limit: (limit, limit))
        assert least <= room() <= most
    monkeypatch.setattr(resource, "getrlimit", lambda _: (60, 60))
    with pytest.raises(BovwError, match="ulimit -n"):
        room()
    assert FEWEST < MOST


def test_a_kind_of_remark_is_logged_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now, sparing = 0.0, Sparing()
    monkeypatch.setattr("bovw.web.logs.time.monotonic", lambda: now)

    def logged(message: str, *values: object, error: Exception | None = None) -> str | None:
        info = (type(error), error, None) if error else None
        record = logging.LogRecord("bovw", logging.ERROR, "", 1, message, values, info)
        return record.getMessage() if sparing.filter(record) else None

    assert logged("%s is full", "disk 1") == "disk 1 is full"
    assert [logged("%s is full", f"disk {n}") for n in range(5)] == [None] * 5
    assert logged("%s is full", "disk", error=OSError()) == "disk is full"
    assert logged("socket.accept() failed\n<socket 1>") is not None
    assert logged("socket.accept() failed\n<socket 2>") is None
    now = 61.0
    assert logged("%s is full", "disk 2") == "(5 more like this left out) disk 2 is full"
    for number in range(10 * KINDS):
        assert logged(f"kind {number}") is not None
    assert len(sparing._logged) <= KINDS
