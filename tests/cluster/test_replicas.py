"""Shards served by Ray: the answers of one index, and clear words where a shard is lost."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bovw.cluster.engines import Cluster, RayCluster
from bovw.cluster.replicas import ShardReplicas
from bovw.demo.scenes import Collection
from bovw.errors import FormatError
from bovw.index import Index, IndexWriter
from bovw.index.joined import join_shards
from bovw.index.manifest import parts_of
from bovw.index.resharding import split_index
from bovw.search import Searcher
from tests.queries import find

DEADLINE = 20.0


@pytest.fixture
def quiet() -> Iterator[None]:
    """Ray's own warnings are not this project's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.cluster
def test_a_team_answers_as_one_index_and_names_who_is_silent(
    quiet: None, on_ray: Cluster, index: Index, collection: Collection, tmp_path: Path
) -> None:
    assert isinstance(on_ray, RayCluster)
    with pytest.raises(FormatError, match="bovw shard"):
        ShardReplicas(on_ray, index.folder)
    folder = tmp_path / "shards"
    split_index(index.folder, 2, folder)
    query = collection.root / collection.queries[0].name
    expected, _ = answer(Searcher(index), query)
    team = ShardReplicas(on_ray, folder, deadline=DEADLINE)
    try:
        assert team.health() == {"shard-0": True, "shard-1": True}
        shards = Index.open(folder)
        assert answer(team.searcher(shards), query) == (expected, [])
        lose_a_replica_under_load(team, shards, query, expected)
        the_index_changes(team, folder, query)
    finally:
        team.close()


class Answer:
    """What Serve gives at once for a question: here what it comes to is known."""

    def __init__(self, outcome: object) -> None:
        self.outcome, self.cancelled = outcome, False

    def result(self, timeout_s: float) -> object:
        assert timeout_s > 0, "an answer that is there could not be fetched"
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def cancel(self) -> None:
        self.cancelled = True


@pytest.mark.slow
def test_a_lost_replica_is_asked_again_and_a_slow_one_is_not_waited_for(quiet: None) -> None:
    exceptions = pytest.importorskip("ray.exceptions", reason="bovw[cluster] is not installed")
    soon, past = time.monotonic() + 10, time.monotonic() - 1
    lost = exceptions.ActorUnavailableError("gone", None)
    replies = {0: [Answer(lost), Answer(lost), Answer("a")], 1: [Answer("b")]}
    asking = {number: partial(list.pop, given, 0) for number, given in replies.items()}
    assert ShardReplicas._gather(asking, soon) == {0: "a", 1: "b"}
    assert replies == {0: [], 1: []}
    # In time, or not at all; what another shard was waited for does not count against one.
    slow = Answer(TimeoutError())
    assert ShardReplicas._gather({0: lambda: slow, 1: lambda: Answer("b")}, past) == {1: "b"}
    assert slow.cancelled
    # What fails every time is not asked again.
    failing = [Answer(FormatError("the index has changed meanwhile"))]
    assert ShardReplicas._gather({0: lambda: failing.pop(0)}, soon) == {}


def lose_a_replica_under_load(
    team: ShardReplicas, shards: Index, query: Path, expected: list[tuple[Any, ...]]
) -> None:
    """No answer is wrong, none is later than the deadline, and the shard comes back."""
    wrong: list[str] = []
    partial, stop = [], threading.Event()

    def ask() -> None:
        while not stop.is_set():
            start = time.monotonic()
            found, missing = answer(team.searcher(shards), query)
            if time.monotonic() - start > DEADLINE + 5:
                wrong.append("too late")
            if missing:
                partial.append(missing)
                whole = {name: rest for name, *rest in expected}
                if any(name not in whole for name, *_ in found):
                    wrong.append("not of the index")
            elif found != expected:
                wrong.append("not as it was")

    clients = [threading.Thread(target=ask) for _ in range(2)]
    for client in clients:
        client.start()
    time.sleep(1)
    kill_replica()
    time.sleep(8)
    stop.set()
    for client in clients:
        client.join()
    assert wrong == []
    deadline = time.monotonic() + 60
    while answer(team.searcher(shards), query) != (expected, []):
        assert time.monotonic() < deadline, "the shard did not come back"


def the_index_changes(team: ShardReplicas, folder: Path, query: Path) -> None:
    """What was opened before is not mixed up with what there is now."""
    before = Index.open(folder)
    part = next(part for part in parts_of(folder) if len(Index.open(part)))
    gone = next(row.name for row in Index.open(part).images() if row.status == "ok")
    with IndexWriter.open(part) as writer:
        writer.remove(gone)
        writer.commit()
    join_shards(folder)
    after = Index.open(folder)
    assert answer(team.searcher(after), query) == answer(Searcher(after), query)
    with pytest.raises(Exception, match="no shard answers"):
        answer(team.searcher(before), query)


def answer(searcher: Searcher, query: Path) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Return all hits, and the shards that have not answered."""
    found = find(searcher, query)
    return [(hit.name, hit.score, hit.inliers) for hit in found.hits], found.missing


def kill_replica() -> None:
    """Kill one of this user's replica processes, which Ray names after the deployment."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "cmdline").read_text()
        except OSError:
            continue
        if "ServeReplica" in name and "bovw-" in name:
            os.kill(int(process.name), signal.SIGKILL)
            return
    raise AssertionError("no replica runs")
