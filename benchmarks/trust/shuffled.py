"""The evidence of real tentative matches whose geometry is shuffled: only chance is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from bovw import Index, Searcher
from bovw.compute.processes import map_processes
from bovw.compute.threads import available_jobs
from bovw.records import WordQuery
from bovw.search import LocalQuestion, describe_query
from bovw.verification import LEAST, examine, tentative_matches
from trust.asking import Query

LIMITS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)


def measure_shuffled(index: Path, queries: Sequence[Query]) -> dict[str, Any]:
    """Return how many images agree with at least each meaning, and how many independence allows.

    Each image's frames are dealt to its tentative matches at random. A meaning of m then has at
    most 10 ** -m agreements in an image; the rank's share is left out of both.
    """
    results = list(map_processes(partial(_shuffle, index), queries, available_jobs()))
    meanings = np.concatenate(results)
    return {
        "images": len(meanings),
        "at least": [
            {"meaning": limit, "allowed": 10**-limit, "found": float(np.mean(meanings >= limit))}
            for limit in LIMITS
        ],
    }


def _shuffle(folder: Path, query: Query) -> npt.NDArray[np.float64]:
    """Return the meaning of every candidate's shuffled matches; -99 where they do not agree."""
    cv2.setNumThreads(1)
    searcher = _searcher(folder)
    features, region = describe_query(
        query.path, query.region, crop=False, options=searcher.feature_options
    )
    asked = searcher.word_query(features, region)
    images = LocalQuestion(searcher.index, asked, searcher.options).rank(100).images
    rng = np.random.default_rng(0)
    return np.array([m for image in images for m in _examine(searcher, asked, int(image), rng)])


def _examine(
    searcher: Searcher, asked: WordQuery, image: int, rng: np.random.Generator
) -> list[float]:
    index = searcher.index
    holder = int(np.searchsorted(index.starts, image, side="right")) - 1
    segment, own = index.segments[holder], image - int(index.starts[holder])
    weights, options = index.statistics.weights, searcher.options
    [matches] = tentative_matches(asked, segment, np.array([own]), weights, options)
    if len(matches) < LEAST:
        return []
    dealt = replace(matches, found=matches.found[rng.permutation(len(matches))])
    one = examine(dealt, (asked.side, float(segment.sizes[own].max())))
    return [one.evidence.meaning if one.agrees else -99.0]


@lru_cache(maxsize=1)
def _searcher(folder: Path) -> Searcher:
    return Searcher(Index.open(folder))
