"""What the evidence means on a collection: false alarms, and the probability of a match.

The formula of the evidence takes matches for independent. In photographs they are not, so chance
gives more than it says; how much more is measured with decoys. The mirror image of a photograph has
all of its texture and repetition, and shows nothing that SIFT finds in other photographs. What its
search confirms is chance (target-decoy search: Elias and Gygi, Nature Methods 2007).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bovw.records import Doubles

# Agreements with at least the meaning m that a query without a match has among 100 images: 10 **
# (START - FALL * m), measured on photographs of five kinds; see docs/trust.md.
START = -1.25
FALL = 0.37
# Images that these queries verified.
VERIFIED = 100
# Meaning from which the decoys' agreements are counted: common enough to count them in a few
# queries, and rare enough to be of the kind that matters.
COUNTED = -1.0
# Weight of the figures above, as the number of decoys that would have given them.
PRIOR_DECOYS = 20
# Expected images of the same thing with an evidence between m and m + 1: LONELY of them, and
# RELATED for every confirmed image beyond the first, because things that were found often are
# likelier to be found once more.
LONELY = 0.015
RELATED = 0.2


@dataclass(frozen=True)
class Calibration:
    """How much chance gives in one collection.

    factor  chance agreements per query, as a multiple of those in the photographs above
    decoys  how many queries measured it; 0 if it is the default
    """

    factor: float = 1.0
    decoys: int = 0

    @classmethod
    def of(cls, meanings: Doubles, decoys: int, verified: int) -> Calibration:
        """Calibrate with the best agreement of each decoy that had one, among `verified` images."""
        # Only the best agreement of each is known. A share of decoys with at least one, s, has
        # -ln(1 - s) agreements a decoy, if these come by chance; one more decoy had none.
        most = decoys + 1
        found = -most * np.log1p(-np.count_nonzero(meanings >= COUNTED) / most)
        expected = decoys * _share(verified) * _usual(COUNTED)
        prior = PRIOR_DECOYS * _usual(COUNTED)
        factor = (found + prior) / (expected + prior)
        return cls(float(factor), decoys)

    def false_alarms(self, meaning: float, verified: int = VERIFIED) -> float:
        """Return how many agreements as good as this one a query without a match has on average.

        verified  images that the query verifies; one if it verifies none, since this is one
        """
        return self.factor * _share(max(verified, 1)) * _usual(meaning)

    def meaning(self, false_alarms: float, verified: int = VERIFIED) -> float:
        """Return the meaning that has so many false alarms."""
        usual = false_alarms / (self.factor * _share(max(verified, 1)))
        return float((START - np.log10(usual)) / FALL)

    def probability(self, false_alarms: float, others: int) -> float:
        """Return the probability that an agreement is of the same thing.

        others  other images confirmed for the same query
        """
        # Densities by meaning, of chance agreements and of others.
        chance = FALL * np.log(10) * false_alarms
        same = LONELY + RELATED * max(others - 1, 0)
        return float(same / (same + chance))


# Two pictures whose descriptors are compared; see docs/trust.md. Chance agreements are rare, since
# few of their matches pass the ratio test.
PAIR = Calibration(factor=0.2)


def _usual(meaning: float) -> float:
    # Bounded, so that nothing overflows.
    return float(10.0 ** np.clip(START - FALL * meaning, -300.0, 300.0))


def _share(verified: int) -> float:
    """Return the chance agreements among so many images, as a share of those among VERIFIED.

    The image at rank r has a chance of 1 / r of the first one's, by the evidence's formula.
    """
    return _harmonic(verified) / _harmonic(VERIFIED)


def _harmonic(count: int) -> float:
    """Return 1 + 1/2 + ... + 1/count, to four digits."""
    if count < 20:
        return float(sum(1 / rank for rank in range(1, count + 1)))
    return float(np.log(count) + np.euler_gamma + 1 / (2 * count) - 1 / (12 * count**2))
