"""The one place that decides how sure it is that two pictures show the same thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bovw.records import Bools, Doubles
from bovw.verification.matches import Matches

# Cells along the longest side. Inliers in one cell count once towards a confirmation, because a
# logo, a leaf or a row of letters proves little (effective inliers: Irschara et al., CVPR 2009).
CELLS = 32
# Greatest ratio of a transform's stretch in two directions. It is that of a surface seen at 70
# degrees, which SIFT does not survive.
MOST_STRETCH = 3.0
# Greatest difference, in octaves, of its scale from the scale change of the inliers' features.
MOST_OCTAVES = 0.7
# A confirmed match with this many inliers can be trusted without looking; see docs/results.md.
STRONG = 10

Certainty = Literal["none", "weak", "strong"]


@dataclass(frozen=True)
class Evidence:
    """Evidence that two pictures show the same thing.

    inliers    one-to-one matches that agree with the transform
    effective  number of places that hold inliers, in the picture with fewer
    weight     sum of the inliers' weights, which ranks verified images
    needed     effective inliers needed to rule out chance
    """

    inliers: int
    effective: int
    weight: float
    needed: int

    @property
    def confirmed(self) -> bool:
        """Whether the agreement is more than chance."""
        return self.effective >= self.needed

    @property
    def certainty(self) -> Certainty:
        """How far the match can be trusted."""
        return certainty(self.inliers, self.confirmed)


def weigh(
    matches: Matches,
    transform: Doubles,
    inliers: Bools,
    sides: tuple[float, float],
    least: int,
    rank: int = 1,
) -> Evidence | None:
    """Return the evidence in matches whose inliers [n] agree with a transform [3, 3].

    sides  longest sides of the query's region and of the image in pixels
    least  fewest effective inliers of an agreement
    rank   the image's among those tried, from 1. Every tenfold rank needs one more effective inlier
           for a confirmation, because more tried images agree by chance

    Returns None if the matches do not agree: there are fewer than `least` effective inliers, or
    SIFT could not have seen the transform.
    """
    count = int(inliers.sum())
    if count < max(least, 1):
        return None
    query, found = matches.query[inliers], matches.found[inliers]
    effective = min(_occupied(query, sides[0]), _occupied(found, sides[1]))
    if effective < max(least, 1) or not _is_plausible(transform, query, found):
        return None
    weight = float(matches.weights[inliers].sum())
    return Evidence(count, effective, weight, least + int(np.log10(rank)))


def certainty(inliers: int, confirmed: bool) -> Certainty:
    """Say in a word how far a match can be trusted."""
    if not confirmed:
        return "none"
    return "strong" if inliers >= STRONG else "weak"


def _occupied(keypoints: Doubles, side: float) -> int:
    """Return how many cells of a picture hold keypoints."""
    cells = np.floor(keypoints[:, :2] * (CELLS / side)).astype(np.int64)
    return len(np.unique((cells[:, 0] << 32) + cells[:, 1]))


def _is_plausible(transform: Doubles, query: Doubles, found: Doubles) -> bool:
    """Tell whether SIFT could have seen a transform, as it is at the centre of its inliers."""
    x, y, depth = transform @ [*query[:, :2].mean(axis=0), 1.0]
    # The homography's derivative at the inliers' centre.
    local = (transform[:2, :2] - np.outer([x, y], transform[2, :2]) / depth) / depth
    most, least = np.linalg.svd(local, compute_uv=False)
    if not 0 < most <= MOST_STRETCH * least:
        return False
    octaves = np.median(np.log2(found[:, 2] / query[:, 2]))
    return bool(abs(np.log2(most * least) / 2 - octaves) <= MOST_OCTAVES)
