"""Ordered work in other processes: of joblib on this machine, or of a cluster."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Protocol, TypeVar

from bovw.errors import BovwError

T = TypeVar("T")
R = TypeVar("R")

DEAD_WORKER = "a worker process died, most likely for lack of memory: try fewer --jobs"


class Workers(Protocol):
    """Processes on any number of machines, for a long run.

    count  how many items they work on at a time
    """

    count: int

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Yield `function(item)` for each item, in order; a few are taken ahead.

        Work that is lost with a worker or a node is done again. Raises what the function raises,
        and BovwError if the cluster is lost.
        """

    def everywhere(self, function: Callable[[], R]) -> list[R]:
        """Return `function()` from every node, or from every worker."""


def map_processes(function: Callable[[T], R], items: Iterable[T], jobs: int) -> Iterator[R]:
    """Yield `function(item)` for each item, in order, from `jobs` processes.

    Libraries inside a worker use one thread each. Only a few results wait in memory at a time.
    Where processes can share no semaphores, this process does the work.
    Raises BovwError if a worker process dies.
    """
    if jobs == 1 or (isinstance(items, Sized) and len(items) <= 1) or not _has_semaphores():
        yield from map(function, items)
        return
    # Imported here because it takes a tenth of a second, and a query need not wait for it.
    import joblib
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    threading.excepthook = _report
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = joblib.Parallel(n_jobs=jobs, return_as="generator", pre_dispatch="3*n_jobs")
        try:
            yield from parallel(joblib.delayed(function)(item) for item in items)
        except TerminatedWorkerError as error:
            raise BovwError(DEAD_WORKER) from error


def _has_semaphores() -> bool:
    """Tell whether processes can share semaphores, which joblib needs: /dev/shm may be missing."""
    try:
        multiprocessing.get_context("spawn").Semaphore()
    except (ImportError, OSError):
        return False
    return True


def _report(failed: threading.ExceptHookArgs) -> None:
    """Print a thread's error, unless loky's thread looks for a task that Ctrl-C took from it."""
    name = type(failed.thread).__name__
    if not (issubclass(failed.exc_type, KeyError) and name == "_ExecutorManagerThread"):
        sys.excepthook(failed.exc_type, failed.exc_value or failed.exc_type(), failed.exc_traceback)
