"""The one place that weighs how far two pictures agree, against what chance gives.

Tentative matches that have nothing to do with each other still agree by chance: the more of them
there are, the more agree. The evidence is an a-contrario test (Desolneux, Moisan, Morel; for
matches Moisan and Stival, IJCV 2004): how many agreements as good as this one would chance give?
docs/trust.md derives the formula and shows the figures that chose it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bovw.records import Bools, Doubles, Longs
from bovw.verification.matches import Matches
from bovw.verification.tails import log_binomial_tails, log_gamma_tails

# Cells along the longest side. Inliers in one cell count once, because a logo, a leaf or a row of
# letters proves little (effective inliers: Irschara et al., CVPR 2009).
CELLS = 32
# Fewest effective inliers of an agreement: two fix the transform between them.
LEAST = 3
# Numbers of effective inliers whose chance is computed: all up to 64, then steps of a fifth up to
# one in every cell.
MOST = CELLS**2
COUNTS = np.unique(np.r_[LEAST:65, np.rint(64 * 1.2 ** np.arange(16)), MOST].astype(np.int64))
# Probability that a match which has nothing to do with a transform agrees with it in place, angle
# and scale.
AGREES = 1e-3
# A match whose point lies this far from where the transform puts it leads elsewhere, as a share of
# the longest side; see `shares_here`.
ELSEWHERE = 0.06
# Chance agreements lie along edges, and across an edge nothing was tested. Inliers count in full if
# they spread this far in every direction, as a share of the longest side.
THICKNESS = 0.03
THINNEST = 1e-4
# Greatest ratio of a transform's stretch in two directions. It is that of a surface seen at 70
# degrees, which SIFT does not survive.
MOST_STRETCH = 3.0
# Greatest difference, in octaves, of its scale from the scale change of the inliers' features.
MOST_OCTAVES = 0.7


@dataclass(frozen=True)
class Evidence:
    """Evidence that two pictures show the same thing.

    tentative  matches there were to choose from
    inliers    one-to-one matches that agree with the transform
    effective  inliers in as many different places of both pictures
    weight     sum of the inliers' weights, which ranks verified images
    closeness  mean of -ln of the chance share of the effective inliers; 1 is what chance gives
    thickness  spread of the inliers across their narrowest direction, as a share of the longest
               side, in the picture where it is smaller
    length     the same along their widest direction
    meaning    -log10 of the number of agreements as good as this that independent matches would
               give. Photographs give more: `bovw.verification.Calibration` says how many
    """

    tentative: int
    inliers: int
    effective: int
    weight: float
    closeness: float
    thickness: float
    length: float
    meaning: float


def weigh(
    matches: Matches,
    transform: Doubles,
    inliers: Bools,
    sides: tuple[float, float],
    rank: int = 1,
) -> Evidence:
    """Return the evidence in tentative matches whose inliers [n] agree with a transform [3, 3].

    sides  longest sides of the query's region and of the image in pixels
    rank   the image's among those tried, from 1. An image further down needs more, so that trying
           many does not give more chance agreements
    """
    query, found = matches.query[inliers], matches.found[inliers]
    places = _places(query, sides[0]), _places(found, sides[1])
    shares = shares_here(matches, transform, inliers, sides[1])[_apart(*places)]
    thickness = length = 0.0
    if len(query):
        spreads = _spread(query, sides[0]), _spread(found, sides[1])
        thickness, length = np.min(spreads, axis=0).tolist()
    meaning = meaning_of(shares, matches.total, thickness, rank)
    closeness = float(-np.log(shares).mean()) if len(shares) else 0.0
    weight = float(matches.weights[inliers].sum())
    return Evidence(
        matches.total, len(query), len(shares), weight, closeness, thickness, length, meaning
    )


def shares_here(matches: Matches, transform: Doubles, inliers: Bools, side: float) -> Doubles:
    """Return the chance shares of the inliers, as chance is in these two pictures: float64 [k].

    Where one thing repeats, as the letters of a page do, its copies are as close as the thing
    itself, and closeness says nothing about the place. So the share of the matches that lead
    elsewhere and are at least as close counts instead, where it is larger (of those kept: that
    those left out are less close says nothing either). In ordinary pictures
    matches that lead elsewhere are no closer than chance.
    """
    own = matches.shares[inliers]
    carried = np.column_stack([matches.query[:, :2], np.ones(len(matches))]) @ transform.T
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.hypot(*(carried[:, :2] / carried[:, 2:] - matches.found[:, :2]).T)
    others = np.sort(matches.shares[~inliers & ~(reach <= ELSEWHERE * side)])
    as_close = np.searchsorted(others, own, side="right")
    # Only as many as are beyond doubt: a few may be close by chance.
    as_close = np.maximum(as_close - 2 * np.sqrt(as_close), 0)
    shares: Doubles = np.maximum(own, as_close / max(len(others), 1))
    return shares


def meaning_of(shares: Doubles, tentative: int, thickness: float, rank: int) -> float:
    """Return -log10 of the number of chance agreements as good as this one.

        n² · rank · P[Bin(n - 1, p) >= k - 1] · P[Gamma(k) >= sum of -ln u] · (THICKNESS / t)²

    with n tentative matches, p the probability that one of them agrees by chance, k inliers in
    different places, u their chance shares (Fisher's method: -ln u is exponential by chance), and t
    their thickness. Independent matches would give n, one for each that proposes a transform. But
    there are many where structure repeats, and then they agree more often.

    It is computed for the closest of as many as COUNTS says, and the least of all counts. So a
    further inlier never weakens the evidence.
    """
    closest = np.sort(shares)[:MOST]
    counts = COUNTS[len(closest) >= COUNTS]
    by_place = log_binomial_tails(tentative - 1, AGREES, max(len(closest) - 1, 0))[counts - 1]
    by_closeness = log_gamma_tails(counts, np.cumsum(-np.log(closest))[counts - 1])
    best = float((by_place + by_closeness).min(initial=0.0))
    thin = 2 * min(0.0, float(np.log10(max(thickness, THINNEST) / THICKNESS)))
    return thin - best - float(2 * np.log10(max(tentative, 1)) + np.log10(rank))


def needed_inliers(evidence: Evidence, meaning: float, rank: int) -> int | None:
    """Return how many effective inliers of this kind would have a meaning; None if none would.

    They are taken to be as close as those of `evidence`, and as far apart.
    """
    share = float(np.exp(-max(evidence.closeness, 1.0)))
    for count in map(int, COUNTS):
        shares = np.full(count, share)
        if meaning_of(shares, evidence.tentative, evidence.thickness, rank) >= meaning:
            return count
    return None


def is_plausible(transform: Doubles, query: Doubles, found: Doubles) -> bool:
    """Tell whether SIFT could have seen a transform, as it is at the centre of its inliers [n, 4].

    Both are x, y, scale and angle.
    """
    x, y, depth = transform @ [*query[:, :2].mean(axis=0), 1.0]
    # The homography's derivative at the inliers' centre.
    local = (transform[:2, :2] - np.outer([x, y], transform[2, :2]) / depth) / depth
    most, least = np.linalg.svd(local, compute_uv=False)
    if not 0 < most <= MOST_STRETCH * least:
        return False
    octaves = np.median(np.log2(found[:, 2] / query[:, 2]))
    return bool(abs(np.log2(most * least) / 2 - octaves) <= MOST_OCTAVES)


def _apart(query: Longs, found: Longs) -> list[int]:
    """Return inliers in different places of both pictures, the first of each place."""
    taken: tuple[set[int], set[int]] = set(), set()
    rows = []
    for row, places in enumerate(zip(query.tolist(), found.tolist(), strict=True)):
        if places[0] not in taken[0] and places[1] not in taken[1]:
            taken[0].add(places[0])
            taken[1].add(places[1])
            rows.append(row)
    return rows


def _places(keypoints: Doubles, side: float) -> Longs:
    """Return the number of each keypoint's cell: int64 [n]."""
    cells = np.floor(keypoints[:, :2] * (CELLS / side)).astype(np.int64)
    places: Longs = (cells[:, 0] << 32) + cells[:, 1]
    return places


def _spread(keypoints: Doubles, side: float) -> tuple[float, float]:
    """Return the standard deviations across and along, in shares of the side."""
    x, y = (keypoints[:, :2] - keypoints[:, :2].mean(axis=0)).T / side
    a, b, c = (x * x).mean(), (x * y).mean(), (y * y).mean()
    mean, half = (a + c) / 2, np.hypot((a - c) / 2, b)
    return float(np.sqrt(max(mean - half, 0.0))), float(np.sqrt(mean + half))
