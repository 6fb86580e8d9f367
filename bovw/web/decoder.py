"""Decodes untrusted files in separate processes, with a time limit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import cv2

from bovw.compute.isolation import CRASHED, Failure, IsolatedPool
from bovw.errors import ImageError
from bovw.images import read_picture
from bovw.options import FeatureOptions
from bovw.records import Box, Features
from bovw.search import describe_query

R = TypeVar("R")
# Most pixels of an untrusted picture; decoding takes up to forty bytes each, of 16 bits.
MOST_PIXELS = 64_000_000
# Quality of JPEGs for display, from 0 to 100.
QUALITY = 85


class Decoder:
    """Reads pictures, each in one of `jobs` processes and in `limit` seconds at most.

    All methods raise ImageError, with the reason but without the picture's name.
    """

    def __init__(self, jobs: int, limit: float) -> None:
        self._pool: IsolatedPool[Callable[[], Any], Any] = IsolatedPool(_call, jobs, limit)
        self._jobs = jobs

    def start(self) -> None:
        """Start a process now, so that the first picture need not wait for it."""
        self._run(partial(cv2.setNumThreads, -1))

    def describe(
        self, path: Path, region: Box | None, options: FeatureOptions
    ) -> tuple[Features, Box]:
        """Return the features of a picture or a region of it, and the region within the picture.

        Raises QueryError for a region outside of it.
        """
        return self._run(partial(_describe, path, region, options))

    def shrink(self, path: Path, side: int) -> tuple[bytes, int, int]:
        """Return a picture as an upright JPEG of at most `side` pixels, and its own two sides."""
        return self._run(partial(_shrink, path, side))

    def close(self) -> None:
        """End the processes."""
        self._pool.stop()
        self._pool.end()

    def _run(self, work: Callable[[], R]) -> R:
        result = self._pool.run(work)
        if isinstance(result, Failure) and result.reason == CRASHED:
            # The system may have killed the process before, or for what others took.
            result = self._pool.run(work)
        if isinstance(result, Failure):
            raise ImageError(result.reason)
        answer: R = result
        return answer


def _call(work: Callable[[], R]) -> R:
    return work()


def _describe(path: Path, region: Box | None, options: FeatureOptions) -> tuple[Features, Box]:
    return describe_query(path, region, options=options, max_pixels=MOST_PIXELS)


def _shrink(path: Path, side: int) -> tuple[bytes, int, int]:
    picture = read_picture(path, side, colours=True, max_pixels=MOST_PIXELS)
    pixels = cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return encoded.tobytes(), picture.width, picture.height
