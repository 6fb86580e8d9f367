"""Isolated work: an item that crashes or hangs its process does not stop the others."""

from __future__ import annotations

import pickle
import signal
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from queue import LifoQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bovw.compute.processes import DEAD_WORKER
from bovw.errors import BovwError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R")

CRASHED = "crashed the process that read it"
# Same as joblib's `inner_max_num_threads`.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)


@dataclass(frozen=True)
class Failure(Generic[T_co]):
    """An item that crashed its worker process or took too long, and a readable reason."""

    item: T_co
    reason: str


def run_isolated(
    function: Callable[[T], R], items: Iterable[T], jobs: int, limit: float
) -> Generator[R | Failure[T], None, None]:
    """Yield `function(item)` for each item, in order, or a Failure for one that crashes or hangs.

    limit  seconds that one item may take; then its process is ended

    Never runs the function in the calling process. Libraries inside a worker use one thread each.
    An item that crashes its process is tried once more. At most 3 * jobs items are taken ahead.
    Raises what the function raises, and BovwError if a worker process cannot start.
    """
    pool = IsolatedPool(function, jobs, limit)
    threads = ThreadPoolExecutor(jobs)
    upcoming = iter(items)
    waiting: deque[tuple[T, Future[R | Failure[T]]]] = deque()
    try:
        waiting.extend(
            (item, threads.submit(pool.run, item)) for item in islice(upcoming, 3 * jobs)
        )
        while waiting:
            item, future = waiting.popleft()
            result = future.result()
            if isinstance(result, Failure) and result.reason == CRASHED:
                # The system may have killed it because all items together used up the memory.
                # Alone it may succeed.
                wait([other for _, other in waiting])
                result = threads.submit(pool.run, item).result()
            waiting.extend((item, threads.submit(pool.run, item)) for item in islice(upcoming, 1))
            yield result
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        pool.stop()
        threads.shutdown()
        pool.end()


class IsolatedPool(Generic[T, R]):
    """Processes that each run one function on one item at a time, for callers in any thread."""

    def __init__(self, function: Callable[[T], R], jobs: int, limit: float) -> None:
        """Prepare `jobs` processes; each may take `limit` seconds for an item."""
        # Unlike multiprocessing's processes, loky's do not run a user's script again.
        # Imported here because it takes a tenth of a second, and a query need not wait for it.
        from joblib.externals.loky.backend import get_context

        context = get_context("loky")
        self._workers = [_Worker(context, function, limit) for _ in range(jobs)]
        self._idle: LifoQueue[_Worker[T, R]] = LifoQueue()
        for worker in self._workers:
            self._idle.put(worker)

    def run(self, item: T) -> R | Failure[T]:
        """Return `function(item)`, or a failure; waits for an idle process.

        Raises what the function raises, and BovwError if a process cannot start.
        """
        worker = self._idle.get()
        try:
            return worker.run(item)
        finally:
            self._idle.put(worker)

    def stop(self) -> None:
        """End the processes for good, from any thread; their current items are lost."""
        for worker in self._workers:
            worker.stop()

    def end(self) -> None:
        """Wait for the processes to end, once no item runs any more."""
        for worker in self._workers:
            worker.end()


class _Worker(Generic[T, R]):
    """A process that runs the function on one item at a time, so a crash points to one item.

    It starts with the first item, and restarts with the next one after it ended.
    """

    def __init__(self, context: Any, function: Callable[[T], R], limit: float) -> None:
        self.context, self.function, self.limit = context, function, limit
        self.process: BaseProcess | None = None
        self.pipe: Connection | None = None
        self.stopped = False

    def run(self, item: T) -> R | Failure[T]:
        """Return `function(item)`, or a failure; raise what the function raises."""
        message = pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
        pipe = self.pipe or self._start()
        try:
            pipe.send_bytes(message)
            answer = pipe.recv_bytes() if pipe.poll(self.limit) else None
        except (EOFError, OSError):
            self.end()
            return Failure(item, CRASHED)
        if answer is None:
            self.end()
            return Failure(item, f"took more than {self.limit:g} s")
        done, result = pickle.loads(answer)
        if not done:
            raise result
        return result  # type: ignore[no-any-return]

    def stop(self) -> None:
        """End the process for good, from any thread; its current item is lost."""
        self.stopped = True
        # Read once, because a thread that finds it dead may clear it at any moment.
        process = self.process
        if process:
            process.terminate()

    def _start(self) -> Connection:
        """Start the process and wait until it has imported what the function needs."""
        pipe, remote = self.context.Pipe()
        try:
            process = self.context.Process(
                target=_serve, args=(remote, self.function), daemon=True, env=ONE_THREAD
            )
            process.start()
            remote.close()
            self.process = process
            if self.stopped:
                process.terminate()
            pipe.recv_bytes()
        except (EOFError, OSError) as error:
            raise BovwError(DEAD_WORKER) from error
        self.pipe = pipe
        return pipe  # type: ignore[no-any-return]

    def end(self) -> None:
        """End the process, if there is one; the next item starts another."""
        if self.process:
            self.process.terminate()
            # A process that waits for a broken disk may outlive this signal.
            self.process.join(1)
        if self.pipe:
            self.pipe.close()
        self.process = self.pipe = None


def _serve(pipe: Connection, function: Callable[[Any], object]) -> None:
    """Answer messages in a worker process, until the calling process closes the pipe or ends."""
    # Ctrl-C reaches this process too, but the calling one handles it. SIGTERM must work even in the
    # middle of C code, whatever handler was inherited.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with suppress(EOFError, OSError):
        pipe.send_bytes(b"ready")
        while True:
            pipe.send_bytes(_answer(function, pipe.recv_bytes()))


def _answer(function: Callable[[Any], object], message: bytes) -> bytes:
    """Return True and the result, or False and the exception, pickled."""
    try:
        return pickle.dumps((True, function(pickle.loads(message))), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        error.add_note(f"In a worker process:\n{traceback.format_exc()}")
        return pickle.dumps((False, error))
