"""Counts good and bad builds while workers and nodes are lost."""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from statistics import median
from typing import Any

from bovw.errors import BovwError
from bovw.index import Index
from bovw.ingest.build import build_index
from bovw.ingest.run import Recipe, Run
from bovw.options import IngestOptions
from cluster_faults.given import OPTIONS, Given
from cluster_faults.nodes import kill

INGEST = IngestOptions(batch=16)


def lose_workers(given: Given, arguments: argparse.Namespace) -> dict[str, Any]:
    """Kill a busy worker during each build."""
    return build_under_losses(given, arguments.builds, lambda _: kill("ray::_apply"))


def lose_nodes(given: Given, arguments: argparse.Namespace) -> dict[str, Any]:
    """Kill a node during each build."""
    return build_under_losses(given, arguments.builds, given.local.lose)


def build_under_losses(
    given: Given, builds: int, lose: Callable[[random.Random], bool]
) -> dict[str, Any]:
    """Build again and again, each time with one loss at a random moment of the build."""
    chance, counts = random.Random(1), Counter[str]()
    undisturbed = min(build(given, f"warm-{number}", counts) for number in range(2))
    counts.clear()
    disturbed = []
    for number in range(builds):
        hit: list[bool] = []
        at = chance.uniform(0, undisturbed)
        timer = threading.Timer(at, lambda: hit.append(lose(chance)))  # noqa: B023
        timer.start()
        seconds = build(given, f"build-{number}", counts)
        timer.join()
        given.local.mend()
        counts["hit"] += sum(hit)
        disturbed.append(seconds)
    return {
        "builds": builds,
        **{name: counts[name] for name in ("hit", "failed", "different", "left over")},
        "seconds undisturbed": undisturbed,
        "seconds, median": median(disturbed),
        "seconds, most": max(disturbed),
    }


def build(given: Given, name: str, counts: Counter[str]) -> float:
    """Build an index, compare it with the one built here, and return the seconds it took."""
    folder = given.scratch / f"{name}-{time.time_ns()}"
    start = time.perf_counter()
    try:
        build_index(
            given.files,
            folder,
            Recipe(given.vocabulary, features=OPTIONS),
            Run(options=INGEST, workers=given.local.cluster),
        )
    except BovwError as error:
        print(f"{name}: {error}", file=sys.stderr)
        counts["failed"] += 1
        return time.perf_counter() - start
    seconds = time.perf_counter() - start
    made = Index.open(folder)
    counts["different"] += described(made) != described(given.index) or bool(made.damaged_files())
    counts["left over"] += len(list(folder.rglob("incoming-*")))
    return seconds


def described(index: Index) -> tuple[Any, ...]:
    """Return what does not depend on the order of the images, to find lost or changed ones."""
    rows = sorted((row.name, row.sha256, row.features, row.status) for row in index.images())
    return rows, len(index.names), index.features, index.statistics.weights.tobytes()
