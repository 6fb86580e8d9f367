"""Ask a data set's queries of an index."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bovw.errors import ImageError, QueryError
from bovw.evaluation.database import check_database
from bovw.evaluation.protocols import Dataset
from bovw.evaluation.report import ApForm, Evaluation, Outcome
from bovw.features import describe_query
from bovw.parallel import Progress, silent
from bovw.records import Hit
from bovw.search import Searcher


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
    asked = _ask(dataset, images, searcher, mode == "crop")
    with progress(asked, len(dataset.queries), "Querying") as results:
        return Evaluation(dataset, searcher, list(results), form, mode)


def _ask(dataset: Dataset, images: Path, searcher: Searcher, crop: bool) -> Iterator[Outcome]:
    for query in dataset.queries:
        start = time.perf_counter()
        hits: list[Hit] = []
        failure = None
        described = start
        try:
            features, region = describe_query(
                images / query.image, query.region, crop, searcher.feature_options
            )
            described = time.perf_counter()
            hits = searcher.search_features(features, region)
        except (ImageError, QueryError) as error:
            # A query that cannot be asked finds nothing, which its AP then shows.
            failure = str(error)
        end = time.perf_counter()
        hits = _complete(hits, dataset, images)
        yield Outcome(query, hits, described - start, end - described, failure)


def _complete(hits: list[Hit], dataset: Dataset, images: Path) -> list[Hit]:
    """Rank all images: those without features go last, in name order."""
    missing = sorted(set(dataset.database) - {hit.name for hit in hits})
    folder = images / dataset.folder
    return hits + [
        Hit(rank, name, str(folder / name), 0.0) for rank, name in enumerate(missing, len(hits) + 1)
    ]
