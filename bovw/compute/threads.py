"""Numbers of threads and processes to use, and threaded work over the rows of an array."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

R = TypeVar("R")


def available_jobs() -> int:
    """Return the number of processors that this process may use: a container may have a quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    present = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, math.ceil(min(present, processor_quota())))


@cache
def processor_quota(root: Path = Path("/")) -> float:
    """Return how many processors' time Linux's control groups grant; infinite without a quota.

    root  of the file system
    """
    quotas = [math.inf]
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, kinds, group = line.split(":", 2)
            if kinds and "cpu" not in kinds.split(","):
                continue
            top = root / "sys/fs/cgroup" / ("cpu" if kinds else "")
            # A container sees its own group as the topmost one, whatever its path outside.
            parts = (PurePosixPath(group), *PurePosixPath(group).parents)
            quotas.extend(_quota_in(top / str(part).lstrip("/"), kinds) for part in parts)
    return min(quotas)


def _quota_in(folder: Path, kinds: str) -> float:
    """Return the quota of one group, of version 1 if its controllers have `kinds`."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        if not kinds:
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            names = "cpu.cfs_quota_us", "cpu.cfs_period_us"
            quota, period = ((folder / name).read_text() for name in names)
        if int(quota) > 0:  # "max" and -1 are none
            return int(quota) / int(period)
    return math.inf


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
