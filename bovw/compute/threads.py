"""Numbers of threads and processes to use, and threaded work over the rows of an array."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

R = TypeVar("R")


def available_jobs() -> int:
    """Return the number of processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def available_threads() -> int:
    """Return the number of threads to use: the processors, or fewer by `OMP_NUM_THREADS`.

    Clusters set that variable for workers that share a machine.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(available_jobs(), max(1, int(asked))) if asked.isdecimal() else available_jobs()


def limit_jobs(asked: int | None) -> int:
    """Return the number of processes: as asked, else all processors, at most 4 per processor."""
    available = available_jobs()
    return min(asked or available, 4 * available)


def map_rows(
    function: Callable[[npt.NDArray[Any]], R], rows: npt.NDArray[Any], jobs: int
) -> list[R]:
    """Apply a function to `jobs` parts of an array in threads; return the answers in order."""
    if jobs == 1 or len(rows) < jobs:
        return [function(rows)]
    # BLAS's own threads would keep the processors busy, waiting for more work.
    with _libraries().limit(limits=1, user_api="blas"), ThreadPoolExecutor(jobs) as threads:
        return list(threads.map(function, np.array_split(rows, jobs)))


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()
