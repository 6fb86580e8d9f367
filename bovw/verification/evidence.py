"""How sure it is that two pictures show the same thing: the one place that decides it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bovw.records import Bools, Doubles
from bovw.verification.matches import Matches

# Cells along the longest side: what agrees in one cell counts once towards a confirmation, because
# a logo, a leaf or a row of letters proves little (effective inliers: Irschara et al., CVPR 2009).
CELLS = 32
# How much more a transform may stretch one direction than another: a surface seen at 70 degrees,
# which SIFT does not survive.
MOST_STRETCH = 3.0
# How far, in octaves, its scale may be from what the inliers' own scales say.
MOST_OCTAVES = 0.7
# Inliers from which on a confirmed match can be believed without looking; see docs/results.md.
STRONG = 10

Certainty = Literal["none", "weak", "strong"]


@dataclass(frozen=True)
class Evidence:
    """What speaks for two pictures showing the same thing.

    inliers    one-to-one matches that agree with the transform
    effective  how many places they are spread over, in the picture where these are fewer
    weight     the inliers' weights added up, which verified images are ranked by
    needed     effective inliers from which on so much agreement is more than chance
    """

    inliers: int
    effective: int
    weight: float
    needed: int

    @property
    def confirmed(self) -> bool:
        """Whether so much agreement is more than chance."""
        return self.effective >= self.needed

    @property
    def certainty(self) -> Certainty:
        """How far the match can be believed."""
        return certainty(self.inliers, self.confirmed)


def weigh(
    matches: Matches,
    transform: Doubles,
    inliers: Bools,
    sides: tuple[float, float],
    least: int,
    rank: int = 1,
) -> Evidence | None:
    """Return the evidence in matches of which the inliers [n] agree with a transform [3, 3].

    sides  longest sides of the query's region and of the image in pixels
    least  effective inliers that agreement takes
    rank   the image's among those tried, from 1: a confirmation takes one effective inlier more
           for every tenfold of it, as more images tried agree by chance

    None where the matches do not agree: fewer than `least` effective inliers, or a transform that
    the features could not have seen.
    """
    count, least = int(inliers.sum()), max(least, 1)
    if count < least:
        return None
    query, found = matches.query[inliers], matches.found[inliers]
    effective = min(_occupied(query, sides[0]), _occupied(found, sides[1]))
    if effective < least or not _is_plausible(transform, query, found):
        return None
    weight = float(matches.weights[inliers].sum())
    return Evidence(count, effective, weight, least + int(np.log10(rank)))


def certainty(inliers: int, confirmed: bool) -> Certainty:
    """Say in a word how far a match can be believed."""
    if not confirmed:
        return "none"
    return "strong" if inliers >= STRONG else "weak"


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
