"""Parallel work by joblib, in order, with thread caps and progress."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from bovw.errors import BovwError

T = TypeVar("T")
R = TypeVar("R")


DEAD_WORKER = "a worker process died, most likely for want of memory: try fewer --jobs"


class Progress(Protocol):
    """Wraps the results of a long stage, to show how far it is."""

    def __call__(
        self, results: Iterable[Any], length: int, label: str
    ) -> AbstractContextManager[Iterable[Any]]:
        """Return a context that gives `results` again; there are `length` of them."""


def silent(
    results: Iterable[Any], length: int, label: str
) -> AbstractContextManager[Iterable[Any]]:
    """Show nothing: the default Progress."""
    return nullcontext(results)


def available_jobs() -> int:
    """Return the number of processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def available_threads() -> int:
    """Return the number of threads to work with: the processors, or fewer where so was asked.

    `OMP_NUM_THREADS` asks, which clusters set for workers that share a machine.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(available_jobs(), max(1, int(asked))) if asked.isdecimal() else available_jobs()


def sensible_jobs(asked: int | None) -> int:
    """Return the number of processes to use: all processors unless asked, and never many more."""
    available = available_jobs()
    return min(asked or available, 4 * available)


def in_order(function: Callable[[T], R], items: Iterable[T], jobs: int) -> Iterator[R]:
    """Yield `function(item)` for each item, in order, from `jobs` processes.

    Libraries inside a worker use one thread each. Only a few results wait in memory at a time.
    Raises BovwError where a worker process dies.
    """
    if jobs == 1 or (isinstance(items, Sized) and len(items) <= 1):
        yield from map(function, items)
        return
    # Imported here because it takes a tenth of a second, which a query need not wait for.
    import joblib
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = joblib.Parallel(n_jobs=jobs, return_as="generator", pre_dispatch="3*n_jobs")
        try:
            yield from parallel(joblib.delayed(function)(item) for item in items)
        except TerminatedWorkerError as error:
            raise BovwError(DEAD_WORKER) from error


def over_rows(
    function: Callable[[npt.NDArray[Any]], R], rows: npt.NDArray[Any], jobs: int
) -> list[R]:
    """Apply a function to `jobs` parts of an array, each in a thread: the answers in order."""
    if jobs == 1 or len(rows) < jobs:
        return [function(rows)]
    # BLAS's own threads would keep the processors busy, waiting for more work.
    with _libraries().limit(limits=1, user_api="blas"), ThreadPoolExecutor(jobs) as threads:
        return list(threads.map(function, np.array_split(rows, jobs)))


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()
