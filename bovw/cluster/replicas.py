"""Shards that answer from any machine of a Ray cluster, as deployments of Ray Serve."""

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

# Questions that a replica has at a time, one of which it works on; the rest wait for it.
AT_ONCE = 4
# Seconds to wait for one shard before looking at the next, and before asking a lost one again.
MOMENT = 0.05


class Replica:
    """Answers for one shard; there may be several of it, on any machine that sees the folder."""

    def __init__(self, folder: str, number: int) -> None:
        self._folder, self._number = Path(folder), number
        self._open()

    def _open(self) -> None:
        shards = Index.open(self._folder)
        self._digest, self._shard = shards.meta["digest"], ShardSearcher(shards, self._number)

    async def answer(self, digest: str, method: str, given: tuple[Any, ...]) -> Any:
        """Call a method of `ShardSearcher`, of the index as it is with this digest.

        One question at a time, though it holds up the replica's loop: its processor has no time
        for two, and those that wait can be taken back.

        Raises FormatError where the index is another by now: numbers would mean other images.
        """
        if digest != self._digest:
            self._open()
        if digest != self._digest:
            raise FormatError("the index has changed meanwhile")
        return getattr(self._shard, method)(*given)


class ShardReplicas:
    """One deployment for each shard of an index; replicas that are lost are started again by Ray.

    deadline  seconds that a query may take. A shard that has not answered one of its questions in
              half of what is left of them is left out
    """

    def __init__(
        self, cluster: RayCluster, folder: Path, replicas: int = 1, deadline: float = 10.0
    ) -> None:
        """Start so many replicas of every shard of the index in `folder`.

        Raises FormatError where it is not one of shards, BovwError where they do not start.
        """
        from ray.serve.exceptions import RayServeException

        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        shards = Index.open(folder)
        if not shards.joined:
            raise FormatError(
                f"{folder} is one index, which one machine serves: `bovw shard` makes shards of it"
            )
        self.deadline = deadline
        self.names = [part.folder.name for part in shards.parts]
        # Of this server alone: another's end must not end them.
        mark = uuid.uuid4().hex[:8]
        self._apps = [f"bovw-{mark}-{name}" for name in self.names]
        threads = max(1, cluster.count // (len(self.names) * replicas))
        try:
            self._handles = self._start(folder.absolute(), replicas, threads)
        except (RayServeException, RuntimeError) as error:
            self.close()
            raise BovwError(
                f"the shards of {folder} do not start on the cluster: all of its machines have to "
                "see that folder, with this version of bovw"
            ) from error

    def _start(self, folder: Path, replicas: int, threads: int) -> list[Any]:
        """Deploy every shard; return the handles to ask them by."""
        from ray import serve

        # No processor is kept for them alone: where a machine is lost, the others take its
        # replicas over.
        own = {"num_cpus": 0, "runtime_env": {"env_vars": {"OMP_NUM_THREADS": str(threads)}}}
        deployment = serve.deployment(Replica).options(
            num_replicas=replicas,
            max_ongoing_requests=AT_ONCE,
            ray_actor_options=own,
            logging_config={"enable_access_log": False},
        )
        # Nobody asks the shards but this process.
        serve.start(proxy_location="Disabled")
        targets = [
            serve.RunTarget(deployment.bind(str(folder), number), name=app, route_prefix=None)
            for number, app in enumerate(self._apps)
        ]
        return list(serve.run_many(targets))

    def searcher(self, index: Index) -> Searcher:
        """Return a searcher of the index as it was opened, which asks the replicas."""

        def scatter(
            method: str, asked: Mapping[int, tuple[Any, ...]], seconds: float
        ) -> dict[int, Any]:
            # Half of what is left, so that waiting for one shard leaves time for the others.
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
        """Return the answers that come in time, asking again where a replica is lost.

        Whatever is wrong with one shard, the others have answered.
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
                    with suppress(Exception):  # it may have come to something meanwhile
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
        """Tell which shards have a replica that runs, by their folders' names."""
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
