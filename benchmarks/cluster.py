"""What a cluster's engine costs on this one machine: building, and asking four shards.

    python benchmarks/cluster.py DIR INDEX IMG... [--limit 200] [--rounds 3]

build    `build_index` of LIMIT images of DIR, with INDEX's vocabulary, in two processes of its own
         and by two workers of a local Ray cluster, in turns: images a second, and their ratio
queries  the images are asked of INDEX in this process and of its four shards, each a replica on the
         cluster, in turns, features given: medians, and the median difference
lost     a replica is killed while one client asks: seconds until answers are whole again, and the
         answers in between that were partial, or wrong
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import ray
from machine import write_result
from ray.cluster_utils import Cluster as Nodes

from bovw.build import build_index
from bovw.cluster import RayCluster
from bovw.features import describe_query
from bovw.images import find_images
from bovw.index import Index
from bovw.records import Box, Features
from bovw.search import Searcher
from bovw.split import split_index
from bovw.team import Team
from bovw.vocab import Vocabulary

SHARDS, WORKERS, DEADLINE = 4, 2, 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("index", type=Path, metavar="INDEX")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMG")
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    settings = {"num_cpus": WORKERS, "include_dashboard": False}
    nodes = Nodes(initialize_head=True, head_node_args=settings)
    cluster = RayCluster(nodes.address)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            results = {"build": build(arguments, cluster, Path(scratch))}
            results |= ask(arguments, cluster, Path(scratch))
    finally:
        cluster.close()
        nodes.shutdown()
    write_result(
        "cluster", {"workers": WORKERS, "shards": SHARDS, "ray": ray.__version__} | results
    )


def build(arguments: argparse.Namespace, cluster: RayCluster, scratch: Path) -> dict[str, Any]:
    files = find_images([arguments.folder])[: arguments.limit]
    vocabulary = Vocabulary.load(Index.open(arguments.index).vocabulary_folder)
    own, others, ratios = [], [], []
    for number in range(arguments.rounds + 1):
        start = time.perf_counter()
        build_index(files, scratch / f"own-{number}", vocabulary, jobs=WORKERS)
        middle = time.perf_counter()
        build_index(files, scratch / f"ray-{number}", vocabulary, cluster=cluster)
        end = time.perf_counter()
        if number:  # the first round starts the cluster's workers
            own.append(len(files) / (middle - start))
            others.append(len(files) / (end - middle))
            ratios.append(others[-1] / own[-1])
    found = {
        "own": median(own),
        "cluster": median(others),
        "ratio": median(ratios),
        "ratios": ratios,
    }
    print(f"build: {found['own']:.2f} images a second here, {found['cluster']:.2f} by Ray, "
          f"{found['ratio']:.3f} of it")  # fmt: skip
    return {"images": len(files), **found}


def ask(arguments: argparse.Namespace, cluster: RayCluster, scratch: Path) -> dict[str, Any]:
    shards = split_index(arguments.index, SHARDS, scratch / "shards")
    team = Team(cluster, shards.folder, deadline=DEADLINE)
    here, there = Searcher(Index.open(arguments.index)), team.searcher(shards)
    queries = [describe_query(image, options=here.feature_options) for image in arguments.images]
    times: list[tuple[float, float]] = []
    for number in range(arguments.rounds + 1):
        for features, region in queries:
            start = time.perf_counter()
            own = here.search_features(features, region, 20)
            middle = time.perf_counter()
            found = fresh(there).search_features(features, region, 20)
            end = time.perf_counter()
            assert [(h.name, h.score) for h in own] == [(h.name, h.score) for h in found]
            if number:
                times.append((middle - start, end - middle))
    answers = {
        "one_index_ms": 1e3 * median(own for own, _ in times),
        "shards_ms": 1e3 * median(other for _, other in times),
        "difference_ms": 1e3 * median(other - own for own, other in times),
    }
    print(f"queries: {answers['one_index_ms']:.0f} ms in process, {answers['shards_ms']:.0f} ms "
          f"from {SHARDS} shards, {answers['difference_ms']:+.0f} ms")  # fmt: skip
    lost = lose(there, *queries[0])
    print(f"a lost replica: whole again after {lost['seconds']:.1f} s, {lost['partial']} of "
          f"{lost['answers']} answers partial until then, {lost['wrong']} wrong")  # fmt: skip
    team.close()
    return {"queries": answers, "lost": lost}


def fresh(searcher: Any) -> Any:
    return searcher.asking(searcher.options)


def lose(searcher: Any, features: Features, region: Box) -> dict[str, Any]:
    expected = [(h.name, h.score) for h in searcher.search_features(features, region, 20)]
    kill_replica()
    start, asked = time.perf_counter(), 0
    partial, wrong, whole_in_a_row, slowest, seconds = 0, 0, 0, 0.0, 0.0
    while whole_in_a_row < 10:
        own, begun = fresh(searcher), time.perf_counter()
        found = [(h.name, h.score) for h in own.search_features(features, region, 20)]
        asked += 1
        slowest = max(slowest, time.perf_counter() - begun)
        if own.missing:
            partial, whole_in_a_row = partial + 1, 0
            seconds = time.perf_counter() - start
        else:
            wrong += found != expected
            whole_in_a_row += 1
            # An answer that waited for the replica to come back is the first that is whole.
            seconds = seconds or time.perf_counter() - start
    return {
        "seconds": seconds,
        "answers": asked,
        "partial": partial,
        "wrong": wrong,
        "slowest_s": slowest,
    }


def kill_replica() -> None:
    for process in Path("/proc").glob("[0-9]*"):
        if "ServeReplica" in (process / "cmdline").read_bytes().decode("utf-8", "replace"):
            os.kill(int(process.name), signal.SIGKILL)
            return


if __name__ == "__main__":
    main()
