"""Parallel work by joblib, in order, with thread caps and progress."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from bovw.errors import BovwError

T = TypeVar("T")
R = TypeVar("R")


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
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else joblib.cpu_count()


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
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = joblib.Parallel(n_jobs=jobs, return_as="generator", pre_dispatch="3*n_jobs")
        try:
            yield from parallel(joblib.delayed(function)(item) for item in items)
        except TerminatedWorkerError as error:
            raise BovwError(
                "a worker process died, most likely for want of memory: try fewer --jobs"
            ) from error
