"""Measures the overhead of a cluster engine on one machine: building, and asking four shards.

    python benchmarks/cluster.py DIR INDEX IMG... [--limit 200] [--rounds 3]

build    `build_index` on LIMIT images of DIR with INDEX's vocabulary, once with two local processes
         and once with two workers of a local Ray cluster, in turns: images a second, and the ratio
train    `build_vocabulary` of 16,384 words on the same images, the same two ways, once
queries  searches INDEX in this process, and its four shards on the cluster (one replica each), in
         turns, with features given: medians, and the median difference
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import ray
from machine import write_result
from ray.cluster_utils import Cluster as Nodes

from bovw.cluster.engines import RayCluster
from bovw.cluster.replicas import ShardReplicas
from bovw.images.find import find_images
from bovw.index import Index
from bovw.index.resharding import split_index
from bovw.ingest.build import build_index
from bovw.ingest.run import Recipe, Run
from bovw.ingest.training import build_vocabulary
from bovw.options import FeatureOptions, VocabularyOptions
from bovw.search.query import describe_query
from bovw.search.searcher import Searcher
from bovw.vocab import Vocabulary

SHARDS, WORKERS, DEADLINE, TRAINED = 4, 2, 10.0, 16_384


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
            results = {
                "build": build(arguments, cluster, Path(scratch)),
                "train": train(arguments, cluster),
                "queries": ask(arguments, cluster, Path(scratch)),
            }
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
        build_index(files, scratch / f"own-{number}", Recipe(vocabulary), Run(jobs=WORKERS))
        middle = time.perf_counter()
        build_index(files, scratch / f"ray-{number}", Recipe(vocabulary), Run(workers=cluster))
        end = time.perf_counter()
        if number:  # the first round only starts the cluster's workers
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


def train(arguments: argparse.Namespace, cluster: RayCluster) -> dict[str, Any]:
    files = find_images([arguments.folder])[: arguments.limit]
    features, options = FeatureOptions(), VocabularyOptions(words=TRAINED)
    start = time.perf_counter()
    here = build_vocabulary(files, features, options, run=Run(jobs=WORKERS))
    middle = time.perf_counter()
    there = build_vocabulary(files, features, options, run=Run(workers=cluster))
    end = time.perf_counter()
    assert here.fingerprint == there.fingerprint, "the same words"
    own, others = middle - start, end - middle
    print(f"train: {own:.0f} s here, {others:.0f} s by Ray, the same words")
    return {"words": TRAINED, "own_s": own, "cluster_s": others, "ratio": own / others}


def ask(arguments: argparse.Namespace, cluster: RayCluster, scratch: Path) -> dict[str, Any]:
    shards = split_index(arguments.index, SHARDS, scratch / "shards")
    team = ShardReplicas(cluster, shards.folder, deadline=DEADLINE)
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
    team.close()
    return answers


def fresh(searcher: Any) -> Any:
    return searcher.with_options(searcher.options)


if __name__ == "__main__":
    main()
