"""Replicas of an index's shards on a Ray cluster, as deployments of Ray Serve."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from bovw.cluster.engines import RayCluster
from bovw.cluster.shard_search import ShardBackend, ShardSearcher
from bovw.errors import BovwError, FormatError
from bovw.index import Index
from bovw.search import Searcher

# Requests that a replica holds at a time: it works on one, the others wait.
AT_ONCE = 4
# Seconds to wait for one shard before polling the next, and before retrying a lost one.
MOMENT = 0.05


class Replica:
    """One of the replicas that answer for a shard, on any machine that sees the folder."""

    def __init__(self, folder: str, number: int) -> None:
        self._folder, self._number = Path(folder), number
        self._open()

    def _open(self) -> None:
        shards = Index.open(self._folder)
        self._digest, self._shard = shards.meta["digest"], ShardSearcher(shards, self._number)

    async def answer(self, digest: str, method: str, given: tuple[Any, ...]) -> Any:
        """Call a method of `ShardSearcher` on the index with this digest.

        A request blocks the replica's event loop: its processor has no time for two, and waiting
        ones can be cancelled.

        Raises FormatError if the index has changed: numbers would mean other images.
        """
        if digest != self._digest:
            self._open()
        if digest != self._digest:
            raise FormatError("the index has changed meanwhile")
        return getattr(self._shard, method)(*given)


class ShardReplicas:
    """One deployment for each shard of an index; Ray restarts lost replicas.

    deadline  seconds that a query may take. Each request to a shard may take half of the seconds
              that are left. A slower shard is left out
    """

    def __init__(
        self, cluster: RayCluster, folder: Path, replicas: int = 1, deadline: float = 10.0
    ) -> None:
        """Start this many replicas of every shard of the index in `folder`.

        Raises FormatError if the index has no shards, BovwError if they do not start.
        """
        from ray.serve.exceptions import RayServeException

        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        shards = Index.open(folder)
        if not shards.joined:
            raise FormatError(
                f"{folder} has no shards to serve on a cluster: split it with `bovw shard`"
            )
        self.deadline = deadline
        self.names = [part.folder.name for part in shards.parts]
        # Unique to this server: another server's end must not end its shards.
        mark = uuid.uuid4().hex[:8]
        self._apps = [f"bovw-{mark}-{name}" for name in self.names]
        threads = max(1, cluster.count // (len(self.names) * replicas))
        try:
            self._handles = self._start(folder.absolute(), replicas, threads)
        except (RayServeException, RuntimeError) as error:
            self.close()
            raise BovwError(
                f"the shards of {folder} do not start on the cluster: every machine must see that "
                "folder and have this version of bovw"
            ) from error

    def _start(self, folder: Path, replicas: int, threads: int) -> list[Any]:
        """Deploy every shard; return their handles."""
        from ray import serve

        # Replicas reserve no processor, so that other machines can take over those of a lost
        # machine.
        own = {"num_cpus": 0, "runtime_env": {"env_vars": {"OMP_NUM_THREADS": str(threads)}}}
        deployment = serve.deployment(Replica).options(
            num_replicas=replicas,
            max_ongoing_requests=AT_ONCE,
            ray_actor_options=own,
            logging_config={"enable_access_log": False},
        )
        # Only this process calls the shards.
        serve.start(proxy_location="Disabled")
        targets = [
            serve.RunTarget(deployment.bind(str(folder), number), name=app, route_prefix=None)
            for number, app in enumerate(self._apps)
        ]
        return list(serve.run_many(targets))

    def searcher(self, index: Index) -> Searcher:
        """Return a searcher of this opened index that asks the replicas."""

        def scatter(
            method: str, asked: Mapping[int, tuple[Any, ...]], seconds: float
        ) -> dict[int, Any]:
            # Half of the time left, so that waiting for one shard leaves time for the others.
            end = time.monotonic() + (self.deadline - seconds) / 2
            questions = {
                number: partial(
                    self._handles[number].answer.remote, index.meta["digest"], method, given
                )
                for number, given in asked.items()
            }
            return self._gather(questions, end)

        return Searcher(index, backend=ShardBackend(scatter))

    @staticmethod
    def _gather(questions: Mapping[int, Callable[[], Any]], end: float) -> dict[int, Any]:
        """Return the answers that come in time; ask again if a replica is lost.

        An error in one shard does not affect the others.
        """
        from grpc import RpcError
        from ray.exceptions import RayError, RayTaskError
        from ray.serve.exceptions import RayServeException

        pending = {number: ask() for number, ask in questions.items()}
        answers = {}
        while pending:
            late, lost = time.monotonic() > end, []
            for number, answer in list(pending.items()):
                try:
                    answers[number] = answer.result(timeout_s=MOMENT)
                except TimeoutError:
                    if not late:
                        continue
                    with suppress(Exception):  # it may have finished meanwhile
                        answer.cancel()
                except (RayError, RayServeException, RpcError) as error:
                    if not isinstance(error, RayTaskError) and not late:
                        lost.append(number)
                except Exception:
                    logging.getLogger("bovw").exception("shard %d", number)
                del pending[number]
            if lost:
                time.sleep(MOMENT)
                pending |= {number: questions[number]() for number in lost}
        return answers

    def health(self) -> dict[str, bool]:
        """Return by folder name whether each shard has a running replica."""
        from ray import serve

        applications = serve.status().applications
        return {
            name: app in applications and str(applications[app].status.value) == "RUNNING"
            for name, app in zip(self.names, self._apps, strict=True)
        }

    def close(self) -> None:
        """End the deployments."""
        from ray import serve

        for app in self._apps:
            serve.delete(app)
