"""What all peers share: images with features, queries, and the interface of a method."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from bovw.compute.processes import map_processes
from bovw.compute.threads import available_jobs
from bovw.evaluation.database import check_database, database_files
from bovw.evaluation.datasets import Dataset, Judgement
from bovw.evaluation.run import Conditions, describe_queries
from bovw.index import Index
from bovw.ingest.build import build_index
from bovw.ingest.encode import describe_file
from bovw.options import FeatureOptions
from bovw.records import Box, Features, Floats
from bovw.search import Searcher

Answer = tuple[list[str], float]  # names of the images found, best first; seconds
Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Database:
    """The images that have features, sorted by name, and bovw's index of them."""

    names: list[str]
    features: list[Features]
    index: Index
    index_seconds: float | None
    scratch: Path

    @property
    def count(self) -> int:
        """How many features there are."""
        return sum(len(features) for features in self.features)

    def sample(self, count: int) -> Floats:
        """Return random descriptors: RootSIFT, float32 [count, 128]."""
        chosen = np.sort(np.random.default_rng(0).permutation(self.count)[:count])
        return np.concatenate([f.descriptors for f in self.features])[chosen].astype(np.float32)

    def best(self, scores: Numbers) -> list[str]:
        """Return all names by descending score; equal scores by name."""
        return [self.names[i] for i in np.argsort(-scores, kind="stable")]


@dataclass(frozen=True, eq=False)
class Asked:
    """A query with its features."""

    dataset: str
    judgement: Judgement
    features: Features
    region: Box


@dataclass(frozen=True)
class Method:
    """One way to rank, ready for queries; slow methods get only a few queries."""

    name: str
    rank: Callable[[Sequence[Asked]], Iterable[Answer]]
    bytes_per_image: float
    build_seconds: float | None
    slow: bool = False


def describe(datasets: Iterable[Dataset], images: Path, options: FeatureOptions) -> list[Asked]:
    """Return the queries that have features and positives."""
    return [
        Asked(dataset.name, judgement, one.features, one.region)
        for dataset in datasets
        for one in describe_queries(Conditions(dataset, images, "official", "keypoints"), options)
        for judgement in one.query.judgements.values()
        if one.features and one.region and judgement.positives
    ]


def draw(queries: Sequence[Asked], count: int) -> list[Asked]:
    """Return `count` random queries of every data set, the same in every run."""
    drawn = []
    for dataset in dict.fromkeys(query.dataset for query in queries):
        candidates = [query for query in queries if query.dataset == dataset]
        drawn += Random(0).sample(candidates, min(count, len(candidates)))
    return drawn


def prepare(
    datasets: Sequence[Dataset], images: Path, index: Path | None, scratch: Path
) -> Database:
    """Compute the features of the images, and index them with bovw unless an index is given."""
    files = database_files(datasets[0], images)
    start = time.perf_counter()
    opened = Index.open(index) if index else build_index(files, scratch / "bovw")
    seconds = None if index else time.perf_counter() - start
    for dataset in datasets:
        check_database(dataset, opened)
    describe_one = partial(describe_file, options=Searcher(opened).feature_options)
    described = map_processes(describe_one, files, available_jobs())
    found = {one.row.name: one.features for one in described if one.features}
    names = sorted(found)
    return Database(names, [found[name] for name in names], opened, seconds, scratch)


def each(find: Callable[[Asked], list[str]], queries: Iterable[Asked]) -> Iterator[Answer]:
    """Answer the queries one by one, and time each."""
    for query in queries:
        start = time.perf_counter()
        yield find(query), time.perf_counter() - start
