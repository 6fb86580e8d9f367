"""Query expansion: searches again with the features of verified images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bovw.index import Segment, postings_of
from bovw.records import Box, Doubles, Floats, Words
from bovw.verification import Verified

# With this evidence, an image counts as much as the query itself. Less counts in proportion, so a
# few features that agree by chance cannot lead the query away.
FULL_EVIDENCE = 5.0


class ExpansionQuery(NamedTuple):
    """The expansion query contributed by a verified image.

    image   its number; it adds nothing to its own score
    weight  how much its scores count, from 0 to 1
    words   of its features in the query's region
    """

    image: int
    weight: float
    words: Words


def expand(
    scores: Floats,
    verified: Sequence[Verified],
    region: Box,
    segments: Sequence[Segment],
    score: Callable[[Words], Floats],
) -> Floats:
    """Add the scores of the verified images' expansion queries: float32 [images].

    An expansion query has the image's features that its transform maps into the query's region
    (Chum et al., "Total recall", ICCV 2007). It takes their words and signatures from the index, as
    in Hamming query expansion (Tolias and Jégou, Pattern Recognition 2014). It adds nothing to its
    own image.
    """
    return accumulate(scores, expansion_queries(verified, region, segments), score)


def expansion_queries(
    verified: Sequence[Verified], region: Box, segments: Sequence[Segment]
) -> list[ExpansionQuery]:
    """Return the expansion queries of verified images, in their order."""
    images = np.array([one.image for one in verified], np.int32)
    found = []
    for one, (segment, number, postings) in zip(
        verified, postings_of(segments, images), strict=True
    ):
        keypoints = segment.keypoints(postings, number)
        inside = _carried_inside(keypoints[:, :2], one.transform, region)
        weight = min(1.0, one.evidence.weight / FULL_EVIDENCE)
        found.append(ExpansionQuery(one.image, weight, segment.words(postings[inside])))
    return found


def accumulate(
    scores: Floats,
    asked: Sequence[ExpansionQuery],
    score: Callable[[Words], Floats],
    first: int = 0,
) -> Floats:
    """Add the scores of expansion queries to others: float32 [images].

    first  the number of the first image that has a score here
    """
    expanded = scores.astype(np.float64)
    for one in asked:
        if len(one.words):
            added = score(one.words)
            if 0 <= one.image - first < len(added):
                added[one.image - first] = 0
            expanded += one.weight * added
    return expanded.astype(np.float32)


def _carried_inside(points: Doubles, transform: Doubles, region: Box) -> npt.NDArray[np.bool_]:
    """Tell which points [n, 2] of an image lie in the query's region: bool [n]."""
    x, y, depth = np.linalg.inv(transform) @ np.stack([*points.T, np.ones(len(points))])
    # Scaled by the depth, which is not positive behind the query's horizon.
    across = (x >= region.x1 * depth) & (x <= region.x2 * depth)
    down = (y >= region.y1 * depth) & (y <= region.y2 * depth)
    inside: npt.NDArray[np.bool_] = across & down & (depth > 0)
    return inside
