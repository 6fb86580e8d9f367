"""Spatial verification of the best candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bovw.options import SearchOptions
from bovw.records import Box, Doubles, Features, Floats, Ints, Words
from bovw.verification.matches import Matches, Segment, tentative_matches
from bovw.verification.ransac import verify


@dataclass(frozen=True)
class Verified:
    """What geometry says of one candidate.

    image      its number in the index
    transform  float64 [3, 3]: query pixels to the image's pixels
    points     float64 [inliers, 4]: x, y in the query and x, y in the image of each inlier
    evidence   the inliers' weights added up, which verified images are ranked by
    """

    image: int
    transform: Doubles
    points: Doubles
    evidence: float

    @property
    def inliers(self) -> int:
        """How many one-to-one matches agree with the transform."""
        return len(self.points)


def verify_images(
    features: Features,
    words: Words,
    region: Box,
    segments: Sequence[Segment],
    candidates: Ints,
    weights: Floats,
    options: SearchOptions,
) -> list[Verified]:
    """Verify the candidates; return those with `options.min_inliers` or more, most evidence first.

    words       several a feature
    region      of the query, in its pixels
    candidates  image numbers in the index, best first, which decides between equal evidence
    weights     idf squared of every word
    """
    verified = {}
    query_side = max(region.x2 - region.x1, region.y2 - region.y1)
    start = 0
    for segment in segments:
        own = candidates[(candidates >= start) & (candidates < start + len(segment.sizes))] - start
        found = tentative_matches(features, words, segment, own, weights, options)
        for image, matches in zip(own, found, strict=True) if len(own) else ():
            if len(matches) >= options.min_inliers:
                found_side = float(segment.sizes[image].max())
                number = int(start + image)
                verified[number] = _verified(number, matches, query_side, found_side)
        start += len(segment.sizes)
    kept = [verified[i] for i in candidates.tolist() if i in verified]
    kept = [v for v in kept if v.inliers >= options.min_inliers]
    return sorted(kept, key=lambda v: -v.evidence)


def _verified(image: int, matches: Matches, query_side: float, found_side: float) -> Verified:
    transform, inliers = verify(
        matches.query,
        matches.found,
        matches.weights,
        query_side,
        found_side,
    )
    points = np.hstack([matches.query[inliers, :2], matches.found[inliers, :2]])
    return Verified(image, transform, points, float(matches.weights[inliers].sum()))
