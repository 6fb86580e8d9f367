"""False alarms of queries that have no match, against the rate that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scipy import stats

from trust.asking import Asked

RATES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)


def measure_alarms(asked: Sequence[Asked]) -> dict[str, Any]:
    """Return the false alarms per query at each rate, with Poisson's 95 % interval.

    `queries` counts those with any hit confirmed at the default rate.
    """
    alarms = [hit.false_alarms for one in asked for hit in one.hits if hit.false_alarms is not None]
    measured = []
    for rate in RATES:
        count = sum(alarm <= rate for alarm in alarms)
        low = float(stats.chi2.ppf(0.025, 2 * count)) / 2 if count else 0.0
        high = float(stats.chi2.ppf(0.975, 2 * count + 2)) / 2
        interval = low / len(asked), high / len(asked)
        measured.append({"asked": rate, "measured": count / len(asked), "interval": interval})
    confirmed = sum(any(hit.confirmed for hit in one.hits) for one in asked)
    worst = sorted(
        (hit.false_alarms, one.query.id, hit.name, hit.inliers)
        for one in asked
        for hit in one.hits
        if hit.false_alarms is not None
    )
    return {
        "asked": len(asked),
        "with a confirmed hit": confirmed / len(asked),
        "with 4 inliers or more": _share(asked, 4),
        "rates": measured,
        "most certain": worst[:10],
    }


def _share(asked: Sequence[Asked], inliers: int) -> float:
    return sum(any(hit.inliers >= inliers for hit in one.hits) for one in asked) / len(asked)
