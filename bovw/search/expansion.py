"""Query expansion: ask again with what the verified images have in the query's place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bovw.index import Segment, postings_of
from bovw.records import Box, Doubles, Floats, Words
from bovw.verification import Verified

# Evidence from which an image counts as much as the query itself; less counts in proportion, so
# that a chance agreement of a few features cannot lead the query away.
FULL_EVIDENCE = 5.0


class ExpansionQuery(NamedTuple):
    """The expansion query contributed by a verified image.

    image   its number, for which it adds nothing
    weight  how much its scores count, from 0 to 1
    words   of those of its features that lie in the query's region
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
    """Return scores that the verified images have added theirs to: float32 [images].

    Each verified image asks with its own features, those that its transform carries into the
    query's region (Chum et al., "Total recall", ICCV 2007): with the words and signatures that the
    index keeps of them, as in Hamming query expansion (Tolias and Jégou, Pattern Recognition 2014).
    What an image adds for itself is left out.
    """
    return accumulate(scores, expansion_queries(verified, region, segments), score)


def expansion_queries(
    verified: Sequence[Verified], region: Box, segments: Sequence[Segment]
) -> list[ExpansionQuery]:
    """Return what verified images ask in the query's place, in their order."""
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
    # Scaled by the depth, which is not positive for what lies behind the query's horizon.
    across = (x >= region.x1 * depth) & (x <= region.x2 * depth)
    down = (y >= region.y1 * depth) & (y <= region.y2 * depth)
    inside: npt.NDArray[np.bool_] = across & down & (depth > 0)
    return inside
