"""Shows by counts that a cluster may lose workers, nodes and replicas.

    python benchmarks/cluster_faults.py DIR [--builds 20] [--kills 10] [--only PART...]

DIR has photographs, of which 96 are taken, reduced to 400 pixels; 1,024 words are trained on them
once. The cluster is Ray's own, of three nodes on this machine. Everything random has a seed, but
for the times at which processes are where they are.

workers   builds during which a worker that has an image in hand is killed, at any time
nodes     builds during which a node is killed with all that runs on it
replicas  four shards answer two clients without a pause while one replica after the other is
          killed: with a deadline that is longer than Ray takes to start another, and a shorter one
machines  the same, where a node is killed with the replicas on it, and another one joins

Every build has to give the index that one machine makes; every answer has to be that of one index,
or to name the shards that it lacks and to hold nothing else, and to come by its deadline. A row for
each part goes to the screen, and all counts to results/cluster_faults.json; the exit code is 1
where one that has to be 0 is not.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import ray
from machine import write_result
from ray.cluster_utils import Cluster as Nodes

import bovw.ingest.build
from bovw.cluster.engines import RayCluster
from bovw.cluster.replicas import ShardReplicas
from bovw.errors import BovwError
from bovw.images.find import ImageFile, find_images
from bovw.index import Index
from bovw.index.resharding import split_index
from bovw.ingest.build import build_index
from bovw.ingest.run import Recipe, Run
from bovw.ingest.training import build_vocabulary
from bovw.options import FeatureOptions, IngestOptions, VocabularyOptions
from bovw.records import Box, Features, Hit
from bovw.search.query import describe_query
from bovw.search.searcher import Searcher
from bovw.vocab import Vocabulary

# Nodes beside the first.
OTHERS = 2
OPTIONS = FeatureOptions(max_size=400, max_features=300)
TAKEN, WORDS, SHARDS, CLIENTS = 96, 1024, 4, 2
# Images of a worker's segment, so that there are many of them.
CHUNK = 4
INGEST = IngestOptions(batch=16)
# Seconds after a loss in which all has to be well again, and those of quiet in between.
PATIENCE, QUIET = 120.0, 3.0
# Deadlines of queries: longer and shorter than it takes to start a replica.
DEADLINES = (20.0, 2.0)
# What may come after a deadline: the answer's own work.
GRACE = 1.0
# What must be 0, in any part.
NEVER = ("failed", "different", "left over", "wrong", "late", "not recovered")


class Local:
    """Three nodes on this machine, of which all but the first may be lost."""

    def __init__(self) -> None:
        head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100_000_000}
        self.nodes = Nodes(initialize_head=True, head_node_args=head)
        self.others: list[Any] = []
        self.mend()
        self.cluster = RayCluster(self.nodes.address)

    def _join(self) -> Any:
        return self.nodes.add_node(num_cpus=1, object_store_memory=100_000_000)

    def lose(self, chance: random.Random) -> bool:
        """Kill a node with all that runs on it."""
        lost = self.others.pop(chance.randrange(len(self.others)))
        self.nodes.remove_node(lost, allow_graceful=False)
        return True

    def mend(self) -> None:
        """Have new nodes join in place of the lost ones; for the main thread."""
        while len(self.others) < OTHERS:
            self.others.append(self._join())

    def close(self) -> None:
        """End them."""
        self.cluster.close()
        self.nodes.shutdown()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--builds", type=int, default=20, help="builds of a part")
    parser.add_argument("--kills", type=int, default=10, help="replicas, and machines, of a part")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    arguments = parser.parse_args()
    bovw.ingest.build.CHUNK = CHUNK
    files = find_images([arguments.folder])
    files = random.Random(0).sample(files, min(TAKEN, len(files)))
    local = Local()
    results: dict[str, dict[str, Any]] = {}
    try:
        with tempfile.TemporaryDirectory() as scratch:
            given = prepare(files, local, Path(scratch))
            for part in arguments.only:
                results[part] = PARTS[part](given, arguments)
                print(f"{part}: " + ", ".join(f"{k} {shown(v)}" for k, v in results[part].items()))
    finally:
        local.close()
    write_result("cluster_faults", {"ray": ray.__version__, "images": len(files), **results})
    return int(any(part.get(count, 0) for part in results.values() for count in NEVER))


def shown(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Given:
    """What all parts work with: the index as one machine makes it, and a free folder."""

    local: Local
    files: list[ImageFile]
    vocabulary: Vocabulary
    index: Index
    scratch: Path


def prepare(files: list[ImageFile], local: Local, scratch: Path) -> Given:
    words = VocabularyOptions(words=WORDS, rounds=1)
    vocabulary = build_vocabulary(files, OPTIONS, words, run=Run(jobs=2))
    build_index(files, scratch / "own", Recipe(vocabulary, features=OPTIONS), Run(jobs=2))
    return Given(local, files, vocabulary, Index.open(scratch / "own"), scratch)


def lose_workers(given: Given, arguments: argparse.Namespace) -> dict[str, Any]:
    """Kill a worker that works during each build."""
    return build_under_losses(given, arguments.builds, lambda _: kill("ray::_apply"))


def lose_nodes(given: Given, arguments: argparse.Namespace) -> dict[str, Any]:
    """Kill a node during each build."""
    return build_under_losses(given, arguments.builds, given.local.lose)


def build_under_losses(
    given: Given, builds: int, lose: Callable[[random.Random], bool]
) -> dict[str, Any]:
    """Build again and again, each time with one loss at a time drawn from what a build takes."""
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
    """Build an index and compare it with that of one machine; return the seconds it took."""
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
    """Return what is the same in whatever order images came: no image lost, doubled or changed."""
    rows = sorted((row.name, row.sha256, row.features, row.status) for row in index.images())
    return rows, len(index.names), index.features, index.statistics.weights.tobytes()


@dataclass(frozen=True)
class Asked:
    """One answer: when it was asked for and there, in seconds, and how good it is."""

    start: float
    end: float
    kind: str


class Clients:
    """Ask a team without a pause, and hold every answer against those of one index."""

    def __init__(self, given: Given, team: ShardReplicas, shards: Index) -> None:
        self._team, self._shards = team, shards
        here = Searcher(given.index)
        names = sorted(file.path for file in given.files)[:: TAKEN // 8]
        self._queries = [describe_query(name, options=here.feature_options) for name in names]
        self._expected = [answer(here, *query) for query in self._queries]
        self.answers: list[Asked] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(CLIENTS)]

    @contextmanager
    def with_options(self) -> Iterator[None]:
        """Let the clients ask."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()

    def _ask(self, number: int) -> None:
        while not self._stop.is_set():
            number += 1
            which = number % len(self._queries)
            searcher, start = self._team.searcher(self._shards), time.monotonic()
            try:
                found = answer(searcher, *self._queries[which])
                kind = self._judge(found, self._expected[which], searcher.missing)
            except BovwError:
                kind = "unanswered"
            end = time.monotonic()
            if end - start > self._team.deadline + GRACE:
                kind = "late"
            self.answers.append(Asked(start, end, kind))

    @staticmethod
    def _judge(found: list[Any], expected: list[Any], missing: set[str]) -> str:
        if not missing:
            return "whole" if found == expected else "wrong"
        names = [name for name, *_ in found]
        known = {name for name, *_ in expected}
        return "partial" if set(names) <= known and len(set(names)) == len(names) else "wrong"

    def wait(self, since: float) -> float:
        """Return the seconds from then to the first whole answer of a row of them; inf for none."""
        while time.monotonic() < since + PATIENCE:
            time.sleep(0.2)
            later = [one for one in self.answers if one.start > since]
            bad = max((one.end for one in later if one.kind != "whole"), default=since)
            whole = sorted(one.end for one in later if one.kind == "whole" and one.start >= bad)
            if whole and time.monotonic() > whole[0] + QUIET:
                return whole[0] - since
        return float("inf")


def answer(searcher: Searcher, features: Features, region: Box) -> list[Any]:
    hits: list[Hit] = searcher.search_features(features, region, None)
    return [(hit.name, hit.score, hit.inliers) for hit in hits]


def lose_replicas(given: Given, arguments: argparse.Namespace) -> dict[str, Any]:
    """Kill a replica, and when all is well again, the next."""
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
        with clients.with_options():
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


def kill(title: str) -> bool:
    """Kill one of this user's processes that Ray calls so, if there is any."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "cmdline").read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        if title in name and name.startswith("ray::"):
            os.kill(int(process.name), signal.SIGKILL)
            return True
    return False


PARTS: dict[str, Callable[[Given, argparse.Namespace], dict[str, Any]]] = {
    "workers": lose_workers,
    "nodes": lose_nodes,
    "replicas": lose_replicas,
    "machines": lose_machines,
}

if __name__ == "__main__":
    sys.exit(main())
