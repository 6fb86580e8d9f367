"""Brute force: every query is matched with every image."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import cv2
import numpy as np

from bovw.records import Features, Floats
from peers.database import Answer, Asked, Database, Method, Numbers

RATIO, TOLERANCE = 0.8, 5.0  # TOLERANCE in pixels
Matches = tuple[Numbers, Numbers]  # features of a query, features of an image
Count = Callable[[Features, Features, Matches], int]


def brute(database: Database) -> Iterator[Method]:
    descriptors = [features.descriptors.astype(np.float32) for features in database.features]
    kept: dict[Asked, tuple[list[Matches], float]] = {}

    def rank(count: Count, queries: Iterable[Asked]) -> Iterator[Answer]:
        for query in queries:
            start = time.perf_counter()
            if query not in kept:
                asked = query.features.descriptors.astype(np.float32)
                matches = [match(asked, image) for image in descriptors]
                kept[query] = matches, time.perf_counter() - start
            # The time for matching counts for both methods.
            matches, seconds = kept[query]
            start = time.perf_counter()
            pairs = zip(database.features, matches, strict=True)
            names = database.best(np.array([count(query.features, *pair) for pair in pairs]))
            yield names, seconds + time.perf_counter() - start

    features = database.count / len(database.names)
    by_matches = partial(rank, lambda query, image, matches: len(matches[0]))
    yield Method("brute force, ratio test", by_matches, 128 * features, 0, slow=True)
    # Plus two numbers for the position.
    yield Method("brute force, homography", partial(rank, inliers), 136 * features, 0, slow=True)


def match(query: Floats, image: Floats) -> Matches:
    """Return the query's features that pass the ratio test, and their matches in the image.

    Each feature of the image keeps only its nearest match. Otherwise a homography that maps the
    whole query to one point would have the most inliers.
    """
    own, rows = (query * query).sum(1), np.arange(len(query))
    distances = (-2 * query) @ image.T
    distances += (image * image).sum(1)
    nearest = distances.argmin(1)
    first = distances[rows, nearest] + own
    distances[rows, nearest] = np.inf
    passed = np.flatnonzero(first < RATIO**2 * (distances.min(1) + own))
    passed = passed[np.argsort(first[passed], kind="stable")]
    matched, best = np.unique(nearest[passed], return_index=True)
    return passed[best], matched


def inliers(query: Features, image: Features, matches: Matches) -> int:
    if len(matches[0]) < 4:
        return 0
    ends = query.keypoints[matches[0], :2], image.keypoints[matches[1], :2]
    _, mask = cv2.findHomography(*ends, cv2.USAC_MAGSAC, TOLERANCE)
    return 0 if mask is None else int(mask.sum())
