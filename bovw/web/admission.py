"""A bounded queue in front of work that takes processor time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from starlette.concurrency import run_in_threadpool

R = TypeVar("R")


class FullError(Exception):
    """All places are taken: come again later."""


class RequestQueue:
    """Lets a few requests work at a time and some wait, and refuses the rest at once."""

    def __init__(self, working: int, waiting: int) -> None:
        self._places = working + waiting
        self._working = asyncio.Semaphore(working)
        self.taken = 0

    def check(self) -> None:
        """Raise FullError if no place is free."""
        if self.taken >= self._places:
            raise FullError

    async def work(self, work: Callable[[], R]) -> R:
        """Run blocking work in a thread, when its turn comes; raises FullError for no place."""
        self.check()
        self.taken += 1
        try:
            async with self._working:
                return await run_in_threadpool(work)
        finally:
            self.taken -= 1
