"""Tells whether two pictures show the same thing, without an index or visual words.

It compares descriptors, which is surer than words for one pair and too slow for many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bovw.geometry import warp_box
from bovw.options import SearchOptions
from bovw.records import Box, Doubles, Features
from bovw.verification import PAIR, Evidence, Matches, verify_matches

# Greatest distance of the nearest descriptor as a share of the second nearest's: Lowe, "Distinctive
# image features from scale-invariant keypoints", IJCV 2004, section 7.1.
RATIO = 0.8
# A tenth of the chance matches has a ratio this much lower; see docs/trust.md.
TENTH = 0.1
# Share of pairs of the same thing that agree; as many pairs of either sort are expected.
SAME = 0.5
# Descriptors of the first picture that are compared at a time, to bound the memory.
BLOCK = 2048

Numbers = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Agreement:
    """The agreement of two pictures, in pixels of the upright originals.

    points        float64 [n, 4]: x, y in the first and x, y in the second picture of each inlier
    evidence      how far they agree
    false_alarms  share of pairs of different things that agree as well
    probability   that they show the same thing, if every other pair that is asked about does
    transform     float64 [3, 3]: the first picture's pixels to the second's
    box           float64 [4, 2]: where the first picture's corners lie in the second, clockwise
                  from the top left one
    """

    points: Doubles
    evidence: Evidence
    false_alarms: float
    probability: float
    transform: Doubles
    box: Doubles

    @property
    def confirmed(self) -> bool:
        """Whether they show the same thing: chance agrees as well in too few pairs."""
        return self.false_alarms <= SearchOptions().max_false_alarms


def match_pair(a: Features, b: Features) -> Agreement | None:
    """Return the agreement of two pictures; None if they do not agree more than by chance.

    Of 1,350 pairs of photographs of different things, 2 agreed: docs/trust.md shows them.
    """
    matches = tentative_matches(a, b)
    sides = max(a.width, a.height), max(b.width, b.height)
    found = verify_matches(0, matches, sides)
    if found is None:
        return None
    alarms = PAIR.false_alarms(found.evidence.meaning, 1)
    probability = SAME / (SAME + alarms)
    box = warp_box(found.transform, Box(0, 0, a.width, a.height))
    return Agreement(found.points, found.evidence, alarms, probability, found.transform, box)


def tentative_matches(a: Features, b: Features) -> Matches:
    """Match the features that are each other's nearest and much nearer than any other.

    A match weighs 1 minus the ratio of the nearest distance to the second nearest.
    """
    if not len(a) or not len(b):
        nothing = np.empty((0, 4))
        return Matches(nothing, nothing, np.empty(0), np.empty(0))
    nearest = find_nearest(a, b)
    ratios = np.sqrt(nearest.first / np.maximum(nearest.second, 1e-9))
    mutual = nearest.back[nearest.rows] == np.arange(len(a))
    own = np.flatnonzero(mutual & (ratios < RATIO))
    own = own[np.argsort(ratios[own], kind="stable")]
    query = a.keypoints[own].astype(np.float64)
    found = b.keypoints[nearest.rows[own]].astype(np.float64)
    shares = 10.0 ** ((ratios[own] - RATIO) / TENTH)
    return Matches(query, found, 1 - ratios[own], shares)


@dataclass(frozen=True)
class Nearest:
    """The nearest descriptors of another picture, and the other way round.

    rows    intp [n]: the nearest of the other picture's m, for each descriptor
    first, second  float64 [n]: squared distances of the nearest and of the second nearest. The
            latter is infinite if the other picture has only one descriptor
    back    intp [m]: the nearest of these n, for each of the other picture's
    """

    rows: Numbers
    first: Doubles
    second: Doubles
    back: Numbers


def find_nearest(a: Features, b: Features) -> Nearest:
    """Find the nearest descriptors both ways; both pictures must have descriptors."""
    ours, theirs = (one.descriptors.astype(np.float32) for one in (a, b))
    lengths = (theirs**2).sum(axis=1)
    rows, back = np.empty(len(ours), np.intp), np.empty(len(theirs), np.intp)
    first, second = np.empty(len(ours)), np.full(len(ours), np.inf)
    closest = np.full(len(theirs), np.inf, np.float32)
    for start in range(0, len(ours), BLOCK):
        block = ours[start : start + BLOCK]
        here = np.arange(len(block))
        distances = (block**2).sum(axis=1, keepdims=True) + lengths - 2 * (block @ theirs.T)
        nearest = distances.argmin(axis=0)
        nearer = distances[nearest, np.arange(len(theirs))] < closest
        back[nearer] = start + nearest[nearer]
        closest[nearer] = distances[nearest[nearer], nearer]
        rows[start + here] = best = distances.argmin(axis=1)
        first[start + here] = distances[here, best]
        distances[here, best] = np.inf
        second[start + here] = distances.min(axis=1)
    return Nearest(rows, first, second, back)
