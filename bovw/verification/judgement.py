"""Whether it is a match: the evidence for each image, judged by what chance gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bovw.records import Certainty, certainty
from bovw.verification.calibration import Calibration
from bovw.verification.verify import Verified

# Agreements with more false alarms are not worth a look, and do not help the ranking: 1.0 in place
# of this loses 0.3 points of mAP (docs/quality.md).
LOOK = 0.3


@dataclass(frozen=True)
class Judged:
    """A verified image that is worth a look, or more.

    false_alarms  agreements as good as this one that a query without a match has on average
    probability   that the image shows what the query shows
    confirmed     whether it counts as a match
    """

    found: Verified
    false_alarms: float
    probability: float
    confirmed: bool

    @property
    def certainty(self) -> Certainty:
        """How far the match can be trusted, in a word."""
        return certainty(self.false_alarms, self.confirmed)


def judge(
    verified: Sequence[Verified], calibration: Calibration, tried: int, max_false_alarms: float
) -> list[Judged]:
    """Judge the images that agree with a query; those that chance explains are left out.

    tried             how many images were verified
    max_false_alarms  of a confirmed match
    """
    alarms = [calibration.false_alarms(one.evidence.meaning, tried) for one in verified]
    return judge_alarms(verified, alarms, calibration, max_false_alarms)


def judge_alarms(
    verified: Sequence[Verified],
    alarms: Sequence[float],
    calibration: Calibration,
    max_false_alarms: float,
) -> list[Judged]:
    """Judge images as `judge` does, by the false alarms of each."""
    confirmed = sum(alarm <= max_false_alarms for alarm in alarms)
    judged = []
    for one, alarm in zip(verified, alarms, strict=True):
        sure = alarm <= max_false_alarms
        probability = calibration.probability(alarm, confirmed - sure)
        if sure or alarm <= LOOK:
            judged.append(Judged(one, alarm, probability, sure))
    return judged
