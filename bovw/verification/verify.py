"""Spatial verification of the best candidates."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from bovw.compute.parallel import available_threads
from bovw.options import SearchOptions
from bovw.records import Box, Doubles, Floats, Ints, Words
from bovw.verification.matches import Matches, Segment, tentative_matches
from bovw.verification.ransac import verify

# Cells along the longest side: what agrees in one cell counts once towards a confirmation, because
# a logo, a leaf or a row of letters proves little (effective inliers: Irschara et al., CVPR 2009).
CELLS = 32
# How much more a transform may stretch one direction than another: a surface seen at 70 degrees,
# which SIFT does not survive.
MOST_STRETCH = 3.0
# How far, in octaves, its scale may be from what the inliers' own scales say.
MOST_OCTAVES = 0.7


@dataclass(frozen=True)
class Verified:
    """What geometry says of one candidate.

    image      its number in the index
    transform  float64 [3, 3]: query pixels to the image's pixels
    points     float64 [inliers, 4]: x, y in the query and x, y in the image of each inlier
    evidence   the inliers' weights added up, which verified images are ranked by
    confirmed  whether so much agreement is more than chance: one effective inlier more is asked for
               every tenfold of the candidate's rank, as more images tried agree by chance
    """

    image: int
    transform: Doubles
    points: Doubles
    evidence: float
    confirmed: bool

    @property
    def inliers(self) -> int:
        """How many one-to-one matches agree with the transform."""
        return len(self.points)


def verify_images(
    keypoints: Floats,
    words: Words,
    region: Box,
    segments: Sequence[Segment],
    candidates: Ints,
    weights: Floats,
    options: SearchOptions,
    ranks: Sequence[int] | None = None,
) -> list[Verified]:
    """Verify the candidates; return those that agree with the query, most evidence first.

    That takes `options.min_inliers` or more effective inliers under a plausible transform.

    keypoints   float32 [n, 4] of the query's features; `words` several for each
    region      of the query, in its pixels
    candidates  image numbers in the index, best first, which decides between equal evidence
    weights     idf squared of every word
    ranks       of the candidates, from 1; None where they are all that there are
    """
    given = ranks or range(1, len(candidates) + 1)
    rank_of = dict(zip(candidates.tolist(), given, strict=True))
    query_side = max(region.x2 - region.x1, region.y2 - region.y1)
    tries: list[tuple[int, Matches, float]] = []
    start = 0
    for segment in segments:
        own = candidates[(candidates >= start) & (candidates < start + len(segment.sizes))] - start
        found = tentative_matches(keypoints, words, segment, own, weights, options)
        for image, matches in zip(own, found, strict=True) if len(own) else ():
            if len(matches) >= options.min_inliers:
                side = float(segment.sizes[image].max())
                tries.append((int(start + image), matches, side))
        start += len(segment.sizes)

    def verify_one(one: tuple[int, Matches, float]) -> Verified | None:
        image, matches, found_side = one
        least, rank = options.min_inliers, rank_of[image]
        return verify_matches(image, matches, query_side, found_side, least, rank)

    with ThreadPoolExecutor(available_threads()) as threads:
        kept = [verified for verified in threads.map(verify_one, tries) if verified]
    return sorted(kept, key=lambda v: (-v.evidence, rank_of[v.image]))


def verify_matches(
    image: int, matches: Matches, query_side: float, found_side: float, least: int, rank: int = 1
) -> Verified | None:
    """Verify one image's tentative matches; None where they do not agree.

    query_side, found_side  longest sides of the query's region and of the image in pixels
    least  effective inliers, in as many places of either picture, that agreement takes
    rank   the image's among those tried, from 1, on which confirmation depends
    """
    transform, inliers = verify(
        matches.query,
        matches.found,
        matches.weights,
        query_side,
        found_side,
    )
    if inliers.sum() < max(least, 1):
        return None
    query, found = matches.query[inliers], matches.found[inliers]
    effective = min(_occupied(query, query_side), _occupied(found, found_side))
    if effective < max(least, 1) or not _is_plausible(transform, query, found):
        return None
    points = np.hstack([query[:, :2], found[:, :2]])
    confirmed = effective >= least + int(np.log10(rank))
    return Verified(image, transform, points, float(matches.weights[inliers].sum()), confirmed)


def _occupied(keypoints: Doubles, side: float) -> int:
    """Return how many cells of a picture hold keypoints."""
    cells = np.floor(keypoints[:, :2] * (CELLS / side)).astype(np.int64)
    return len(np.unique((cells[:, 0] << 32) + cells[:, 1]))


def _is_plausible(transform: Doubles, query: Doubles, found: Doubles) -> bool:
    """Tell whether a transform, where its inliers are, is one that SIFT could have seen."""
    x, y, depth = transform @ [*query[:, :2].mean(axis=0), 1.0]
    # The homography's derivative at the inliers' centre.
    local = (transform[:2, :2] - np.outer([x, y], transform[2, :2]) / depth) / depth
    most, least = np.linalg.svd(local, compute_uv=False)
    if not 0 < most <= MOST_STRETCH * least:
        return False
    octaves = np.median(np.log2(found[:, 2] / query[:, 2]))
    return bool(abs(np.log2(most * least) / 2 - octaves) <= MOST_OCTAVES)
