"""Counts good and bad answers while replicas and machines are lost."""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable
from statistics import median
from typing import Any

from bovw.cluster.replicas import ShardReplicas
from bovw.index.resharding import split_index
from cluster_faults.clients import QUIET, Clients
from cluster_faults.given import Given
from cluster_faults.nodes import kill

SHARDS = 4
# Deadlines of queries: longer and shorter than Ray needs to start a replica.
DEADLINES = (20.0, 2.0)


def lose_replicas(given: Given, arguments: argparse.Namespace) -> dict[str, Any]:
    """Kill a replica; when everything has recovered, kill the next."""
    return answer_under_losses(given, arguments.kills, lambda _: kill("ServeReplica"))


def lose_machines(given: Given, arguments: argparse.Namespace) -> dict[str, Any]:
    """Kill a node with the replicas on it."""
    return answer_under_losses(given, arguments.kills, given.local.lose)


def answer_under_losses(
    given: Given, kills: int, lose: Callable[[random.Random], bool]
) -> dict[str, Any]:
    results: dict[str, Any] = {"kills": 0, "wrong": 0, "late": 0, "not recovered": 0}
    for deadline in DEADLINES:
        chance = random.Random(2)
        shards = split_index(given.index.folder, SHARDS, given.scratch / f"shards-{time.time_ns()}")
        team = ShardReplicas(given.local.cluster, shards.folder, deadline=deadline)
        clients = Clients(given, team, shards)
        recovered = []
        with clients.asking():
            time.sleep(QUIET)
            for _ in range(kills):
                time.sleep(chance.uniform(0, 2))
                since = time.monotonic()
                results["kills"] += lose(chance)
                given.local.mend()
                recovered.append(clients.wait(since))
        team.close()
        kinds = Counter(one.kind for one in clients.answers)
        for name in ("wrong", "late"):
            results[name] += kinds[name]
        results["not recovered"] += recovered.count(float("inf"))
        results[f"deadline {deadline:.0f} s"] = {
            **{name: kinds[name] for name in ("whole", "partial", "unanswered")},
            "slowest": round(max(one.end - one.start for one in clients.answers), 2),
            "recovered after, median": round(median(recovered), 1),
            "most": round(max(recovered), 1),
        }
    return results
