"""Runs a data set's queries on an index."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bovw.errors import ImageError, QueryError
from bovw.evaluation.database import check_database
from bovw.evaluation.datasets import Dataset, Query
from bovw.evaluation.results import ApForm, Evaluation, Outcome
from bovw.feedback import Progress, no_progress
from bovw.options import FeatureOptions
from bovw.records import Box, Features, Hit
from bovw.search import Found, Searcher, describe_query


@dataclass(frozen=True)
class Conditions:
    """The queries to ask and the rules to score them.

    images  the folder that holds the data set's pictures
    form    of average precision; see `metrics.average_precision`
    mode    "keypoints" or "crop", how a region is used
    """

    dataset: Dataset
    images: Path
    form: ApForm
    mode: str


@dataclass(frozen=True)
class Described:
    """A query's features, or the reason for their failure, and the seconds taken."""

    query: Query
    features: Features | None
    region: Box | None
    seconds: float
    failure: str | None = None


def evaluate(
    dataset: Dataset,
    images: Path,
    searcher: Searcher,
    form: ApForm = "official",
    mode: str | None = None,
    progress: Progress = no_progress,
) -> Evaluation:
    """Ask every query of `dataset`, whose pictures are below `images`.

    form  of average precision, see `metrics.average_precision`
    mode  "keypoints" or "crop", how a region is used; None for the data set's own

    Raises DatasetError if the index does not hold the data set's images.
    """
    check_database(dataset, searcher.index)
    conditions = Conditions(dataset, images, form, mode or dataset.query_mode)
    described = describe_queries(conditions, searcher.feature_options)
    return ask(conditions, searcher, described, progress)


def describe_queries(conditions: Conditions, options: FeatureOptions) -> Iterator[Described]:
    """Yield every query's features, or the reason why it cannot be used."""
    for query in conditions.dataset.queries:
        start = time.perf_counter()
        try:
            features, region = describe_query(
                conditions.images / query.image, query.region, conditions.mode == "crop", options
            )
        except (ImageError, QueryError) as error:
            seconds = time.perf_counter() - start
            yield Described(query, None, None, seconds, str(error))
        else:
            yield Described(query, features, region, time.perf_counter() - start)


def ask(
    conditions: Conditions,
    searcher: Searcher,
    described: Iterable[Described],
    progress: Progress = no_progress,
) -> Evaluation:
    """Evaluate a searcher on described queries; its index holds the data set's images."""
    dataset = conditions.dataset
    outcomes = (_outcome(one, conditions, searcher) for one in described)
    with progress(outcomes, len(dataset.queries), "Querying") as results:
        return Evaluation(dataset, searcher, list(results), conditions.form, conditions.mode)


def _outcome(one: Described, conditions: Conditions, searcher: Searcher) -> Outcome:
    start = time.perf_counter()
    found = Found([], [])
    failure = one.failure
    if one.features is not None and one.region is not None:
        try:
            found = searcher.find(one.features, one.region)
        except QueryError as error:
            # A failed query finds nothing, and its AP shows that.
            failure = str(error)
    seconds = time.perf_counter() - start
    hits = _complete(found.hits, conditions)
    return Outcome(one.query, hits, one.seconds, seconds, failure, found.missing)


def _complete(hits: list[Hit], conditions: Conditions) -> list[Hit]:
    """Rank all images: those without features go last, in name order."""
    missing = sorted(set(conditions.dataset.database) - {hit.name for hit in hits})
    folder = conditions.images / conditions.dataset.folder
    return hits + [
        Hit(rank, name, str(folder / name), 0.0) for rank, name in enumerate(missing, len(hits) + 1)
    ]
