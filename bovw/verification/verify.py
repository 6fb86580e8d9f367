"""Spatial verification of the best candidates."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from bovw.compute.threads import available_threads
from bovw.options import SearchOptions
from bovw.records import Bools, Doubles, Floats, Ints, WordQuery
from bovw.verification.evidence import LEAST, Evidence, is_plausible, weigh
from bovw.verification.matches import Matches, Segment, tentative_matches
from bovw.verification.ransac import find_transform


@dataclass(frozen=True)
class Verified:
    """A candidate that agrees with the query.

    image      its number in the index
    transform  float64 [3, 3]: query pixels to the image's pixels
    points     float64 [inliers, 4]: x, y in the query and x, y in the image of each inlier
    evidence   how sure the agreement is
    """

    image: int
    transform: Doubles
    points: Doubles
    evidence: Evidence


def verify_images(
    query: WordQuery,
    segments: Sequence[Segment],
    candidates: Ints,
    weights: Floats,
    options: SearchOptions,
    ranks: Sequence[int] | None = None,
) -> list[Verified]:
    """Verify the candidates; return those that agree with the query, most evidence first.

    candidates  image numbers in the index, best first; this order breaks ties
    weights     idf squared of every word
    ranks       of the candidates, from 1; None for 1, 2, 3 and so on
    """
    given = ranks or range(1, len(candidates) + 1)
    rank_of = dict(zip(candidates.tolist(), given, strict=True))
    tries: list[tuple[int, Matches, float]] = []
    start = 0
    for segment in segments:
        own = candidates[(candidates >= start) & (candidates < start + len(segment.sizes))] - start
        found = tentative_matches(query, segment, own, weights, options)
        for image, matches in zip(own, found, strict=True) if len(own) else ():
            if len(matches) >= LEAST:
                side = float(segment.sizes[image].max())
                tries.append((int(start + image), matches, side))
        start += len(segment.sizes)

    def verify_one(one: tuple[int, Matches, float]) -> Verified | None:
        image, matches, side = one
        return verify_matches(image, matches, (query.side, side), rank_of[image])

    with ThreadPoolExecutor(available_threads()) as threads:
        kept = [verified for verified in threads.map(verify_one, tries) if verified]
    return sorted(kept, key=lambda v: (-v.evidence.weight, rank_of[v.image]))


def verify_matches(
    image: int, matches: Matches, sides: tuple[float, float], rank: int = 1
) -> Verified | None:
    """Verify one image's tentative matches; None if they do not agree.

    See `bovw.verification.evidence.weigh` for the parameters.
    """
    transform, inliers = find_transform(matches.query, matches.found, matches.weights, *sides)
    # Most candidates end here, before anything is weighed.
    if not _is_plausible(matches, transform, inliers):
        return None
    evidence = weigh(matches, transform, inliers, sides, rank)
    if evidence.effective < LEAST:
        return None
    points = np.hstack([matches.query[inliers, :2], matches.found[inliers, :2]])
    return Verified(image, transform, points, evidence)


@dataclass(frozen=True)
class Examined:
    """What came of one image's tentative matches.

    transform    float64 [3, 3]: the best one, query pixels to the image's pixels
    inliers      bool [n]: the matches that agree with it
    evidence     what they are worth
    is_plausible whether SIFT could have seen the transform
    """

    transform: Doubles
    inliers: Bools
    evidence: Evidence
    is_plausible: bool

    @property
    def agrees(self) -> bool:
        """Whether the matches agree, if only by chance."""
        return self.is_plausible and self.evidence.effective >= LEAST


def examine(matches: Matches, sides: tuple[float, float], rank: int = 1) -> Examined:
    """Find the best transform of one image's tentative matches, and weigh its inliers."""
    transform, inliers = find_transform(matches.query, matches.found, matches.weights, *sides)
    plausible = _is_plausible(matches, transform, inliers)
    return Examined(transform, inliers, weigh(matches, transform, inliers, sides, rank), plausible)


def _is_plausible(matches: Matches, transform: Doubles, inliers: Bools) -> bool:
    if np.count_nonzero(inliers) < LEAST:
        return False
    return is_plausible(transform, matches.query[inliers], matches.found[inliers])
