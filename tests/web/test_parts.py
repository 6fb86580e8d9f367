"""What the server is made of: a gate, a store, and ids."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="bovw[web] is not installed")

from bovw.web.admission import FullError, RequestQueue
from bovw.web.cache import FileCache, TooLargeError
from bovw.web.engine import id_of, name_of


def test_a_gate_lets_some_work_and_some_wait() -> None:
    gate, release = RequestQueue(working=2, waiting=1), threading.Event()
    at_work: list[int] = []

    def work(number: int) -> int:
        at_work.append(number)
        assert release.wait(20)
        return number

    async def ask(number: int) -> int | str:
        try:
            return await gate.work(lambda: work(number))
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


async def parts_of(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def test_a_store_makes_room(tmp_path: Path) -> None:
    store = FileCache(tmp_path / "s", most_bytes=1000)
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
    assert FileCache(store.folder, 1000).find(keys[-1])


@pytest.mark.parametrize("name", ["a.jpg", "", "ü/日本.jpg", "\udcff", "a" * 300])
def test_ids_are_names(name: str) -> None:
    assert name_of(id_of(name)) == name
    assert set(id_of(name)) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    )
