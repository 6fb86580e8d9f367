"""Work spread over other machines by a running Ray or Dask cluster."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from socket import create_connection
from typing import Any, Protocol, TypeVar

from bovw.compute.processes import Workers
from bovw.errors import BovwError, UsageError

T = TypeVar("T")
R = TypeVar("R")

# Items under way per worker: the next one is there before the worker needs it.
AHEAD = 2
# Retries of an item whose worker or node was lost.
RETRIES = 5
# Seconds to wait for a cluster to answer.
PATIENCE = 20


class Cluster(Workers, Protocol):
    """A running cluster that this process has joined."""

    def close(self) -> None:
        """Leave the cluster, which keeps running."""


def connect(address: str) -> Cluster:
    """Join the cluster at `auto` or `ray://HOST:PORT` (Ray) or `dask://HOST:PORT` (Dask).

    Raises UsageError for another address, BovwError if nobody answers or the engine's package is
    not installed.
    """
    try:
        if address.startswith("dask://"):
            return DaskCluster(address)
        if address == "auto" or address.startswith("ray://") or _is_host_and_port(address):
            return RayCluster(address)
    except ModuleNotFoundError as error:
        extra = "dask" if address.startswith("dask://") else "cluster"
        raise BovwError(
            f"{error.name} is not installed, but the cluster at {address} needs it: "
            f"pip install 'bovw[{extra}]'"
        ) from error
    raise UsageError(f"{address} is no cluster: give auto, ray://HOST:PORT or dask://HOST:PORT")


class RayCluster:
    """A Ray cluster; see `Cluster`."""

    def __init__(self, address: str) -> None:
        # Silences Ray's remark on import about graphics cards in its next version.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        # Serve's requests take a third less time than as Ray tasks.
        os.environ.setdefault("RAY_SERVE_USE_GRPC_BY_DEFAULT", "1")
        import ray

        self._ray = ray
        _knock(address)
        try:
            ray.init(address, logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, TimeoutError, RuntimeError, ValueError) as error:
            raise _no_answer(address, "ray start --head") from error
        self.count = max(1, int(ray.cluster_resources().get("CPU", 1)))

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """See `Workers.map`."""
        errors = self._ray.exceptions
        # Sent once, because it may hold a whole vocabulary.
        shared = self._ray.put(function)
        task = self._ray.remote(max_retries=RETRIES, num_cpus=1)(_apply)
        try:
            yield from in_order(
                lambda item: task.remote(shared, item), self._ray.get, items, AHEAD * self.count
            )
        except errors.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from None
        except errors.RayError as error:
            raise _lost(error) from error

    def everywhere(self, function: Callable[[], R]) -> list[R]:
        """See `Workers.everywhere`."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = [node["NodeID"] for node in self._ray.nodes() if node["Alive"]]
        task = self._ray.remote(num_cpus=0)(_call)
        placed = (NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes)
        answers = [task.options(scheduling_strategy=place).remote(function) for place in placed]
        errors = self._ray.exceptions
        found: list[R] = []
        for answer in answers:
            try:
                found.append(self._ray.get(answer))
            except (errors.TaskUnschedulableError, errors.NodeDiedError):
                continue  # a node that was lost meanwhile is not needed
            except errors.RayError as error:
                raise _lost(error) from error
        return found

    def close(self) -> None:
        """See `Cluster.close`."""
        self._ray.shutdown()


class DaskCluster:
    """A Dask cluster; see `Cluster`."""

    def __init__(self, address: str) -> None:
        from distributed import Client

        try:
            self._client = Client(address.replace("dask://", "tcp://"), timeout=PATIENCE)
        except (OSError, TimeoutError, ValueError) as error:
            raise _no_answer(address, "dask scheduler") from error
        self.count = max(1, sum(self._client.nthreads().values()))

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """See `Workers.map`."""
        from distributed import CancelledError, KilledWorker

        # Sent once to all, because it may hold a whole vocabulary. Its name is unique: else Dask
        # could delete it while forgetting an equal one.
        shared = self._client.scatter(function, broadcast=True, hash=False)
        try:
            yield from in_order(
                lambda item: self._client.submit(_apply, shared, item, pure=False, retries=RETRIES),
                lambda future: future.result(),
                items,
                AHEAD * self.count,
            )
        except (CancelledError, KilledWorker) as error:
            raise _lost(error) from error

    def everywhere(self, function: Callable[[], R]) -> list[R]:
        """See `Workers.everywhere`."""
        return list(self._client.run(function).values())

    def close(self) -> None:
        """See `Cluster.close`."""
        self._client.close()


def in_order(
    submit: Callable[[T], Any], result: Callable[[Any], R], items: Iterable[T], ahead: int
) -> Iterator[R]:
    """Yield the results of submitted items in order, with `ahead` of them under way."""
    upcoming = iter(items)
    waiting = deque(submit(item) for item in islice(upcoming, ahead))
    while waiting:
        yield result(waiting.popleft())
        waiting.extend(submit(item) for item in islice(upcoming, 1))


def _apply(function: Callable[[T], R], item: T) -> R:
    return function(item)


def _call(function: Callable[[], R]) -> R:
    return function()


def _is_host_and_port(address: str) -> bool:
    host, _, port = address.rpartition(":")
    return bool(host) and "/" not in host and port.isdecimal()


def _knock(address: str) -> None:
    """Raise BovwError if nobody listens at HOST:PORT; Ray would try for minutes."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if not host:
        return
    try:
        create_connection((host, int(port)), PATIENCE).close()
    except (OSError, ValueError) as error:
        raise _no_answer(address, "ray start --head") from error


def _no_answer(address: str, start: str) -> BovwError:
    return BovwError(f"no cluster answers at {address}: start one (`{start}`), or give another")


def _lost(error: Exception) -> BovwError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return BovwError(f"the cluster was lost ({reason}): committed work is kept, run it again")
