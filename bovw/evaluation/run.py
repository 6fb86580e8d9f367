"""Ask a data set's queries of an index."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bovw.compute.parallel import Progress, silent
from bovw.errors import ImageError, QueryError
from bovw.evaluation.database import check_database
from bovw.evaluation.datasets import Dataset, Query
from bovw.evaluation.results import ApForm, Evaluation, Outcome
from bovw.features.sift import describe_query
from bovw.options import FeatureOptions
from bovw.records import Box, Features, Hit
from bovw.search.searcher import Searcher


@dataclass(frozen=True)
class Described:
    """A query's features, or why there are none, and the seconds that they took."""

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
    progress: Progress = silent,
) -> Evaluation:
    """Ask every query of `dataset`, whose pictures are below `images`.

    form  of average precision; see `metrics.average_precision`
    mode  "keypoints" or "crop", how a region is used; None for the data set's own

    Raises DatasetError where the index does not hold the data set's images.
    """
    check_database(dataset, searcher.index)
    mode = mode or dataset.query_mode
    described = describe_queries(dataset, images, searcher.feature_options, mode)
    return ask(dataset, images, searcher, described, form, mode, progress)


def describe_queries(
    dataset: Dataset, images: Path, options: FeatureOptions, mode: str
) -> Iterator[Described]:
    """Yield every query's features; one that cannot be used says why."""
    for query in dataset.queries:
        start = time.perf_counter()
        try:
            features, region = describe_query(
                images / query.image, query.region, mode == "crop", options
            )
        except (ImageError, QueryError) as error:
            seconds = time.perf_counter() - start
            yield Described(query, None, None, seconds, str(error))
        else:
            yield Described(query, features, region, time.perf_counter() - start)


def ask(
    dataset: Dataset,
    images: Path,
    searcher: Searcher,
    described: Iterable[Described],
    form: ApForm,
    mode: str,
    progress: Progress = silent,
) -> Evaluation:
    """Evaluate a searcher, whose index holds the data set's images, on queries described before."""
    outcomes = (_outcome(one, dataset, images, searcher) for one in described)
    with progress(outcomes, len(dataset.queries), "Querying") as results:
        return Evaluation(dataset, searcher, list(results), form, mode)


def _outcome(one: Described, dataset: Dataset, images: Path, searcher: Searcher) -> Outcome:
    start = time.perf_counter()
    hits: list[Hit] = []
    failure = one.failure
    if one.features is not None and one.region is not None:
        try:
            hits = searcher.search_features(one.features, one.region)
        except QueryError as error:
            # A query that cannot be asked finds nothing, which its AP then shows.
            failure = str(error)
    seconds = time.perf_counter() - start
    return Outcome(one.query, _complete(hits, dataset, images), one.seconds, seconds, failure)


def _complete(hits: list[Hit], dataset: Dataset, images: Path) -> list[Hit]:
    """Rank all images: those without features go last, in name order."""
    missing = sorted(set(dataset.database) - {hit.name for hit in hits})
    folder = images / dataset.folder
    return hits + [
        Hit(rank, name, str(folder / name), 0.0) for rank, name in enumerate(missing, len(hits) + 1)
    ]
