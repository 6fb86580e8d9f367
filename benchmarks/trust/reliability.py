"""Whether probabilities are right as often as they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from bovw.verification import calibration
from trust.asking import Asked

BINS = 15
Doubles = npt.NDArray[np.float64]


def measure_reliability(sets: Mapping[str, Sequence[Asked]]) -> dict[str, Any]:
    """Measure each set with the constants as they are, and with those fitted on the other sets."""
    pairs = {name: _pairs(asked) for name, asked in sets.items()}
    shipped = calibration.LONELY, calibration.RELATED
    report: dict[str, Any] = {"all": _report(np.concatenate(list(pairs.values())), shipped)}
    for name, own in pairs.items():
        others = np.concatenate([other for key, other in pairs.items() if key != name])
        fitted = _fit(others)
        report[name] = {
            "shipped": _report(own, shipped),
            "fitted elsewhere": _report(own, fitted) | {"constants": fitted},
        }
    return report


def _pairs(asked: Sequence[Asked]) -> Doubles:
    """Return false alarms, other confirmed hits, and whether it is right, for each agreement."""
    rows = []
    for one in asked:
        agreeing = one.agreeing()
        confirmed = sum(hit.confirmed for hit in agreeing)
        rows += [
            (hit.false_alarms, confirmed - hit.confirmed, hit.name in one.query.right)
            for hit in agreeing
        ]
    return np.array(rows, np.float64).reshape(-1, 3)


def _probabilities(pairs: Doubles, constants: tuple[float, float]) -> Doubles:
    lonely, related = constants
    same = lonely + related * np.maximum(pairs[:, 1] - 1, 0)
    probabilities: Doubles = same / (same + calibration.FALL * np.log(10) * pairs[:, 0])
    return probabilities


def _fit(pairs: Doubles) -> tuple[float, float]:
    """Fit the two constants of the prior by maximum likelihood."""

    def loss(logs: Doubles) -> float:
        p = np.clip(_probabilities(pairs, tuple(np.exp(logs))), 1e-9, 1 - 1e-9)
        right = pairs[:, 2]
        return float(-np.mean(right * np.log(p) + (1 - right) * np.log(1 - p)))

    found = minimize(loss, np.log([0.03, 0.5]), method="Nelder-Mead").x
    lonely, related = np.exp(found).tolist()
    return lonely, related


def _report(pairs: Doubles, constants: tuple[float, float]) -> dict[str, Any]:
    """Return the expected calibration error by bins of equal width and mass, Brier, the diagram."""
    p, right = _probabilities(pairs, constants), pairs[:, 2]
    bins = np.minimum((p * BINS).astype(int), BINS - 1)
    diagram = [
        (float(p[bins == b].mean()), float(right[bins == b].mean()), int((bins == b).sum()))
        for b in range(BINS)
        if (bins == b).any()
    ]
    masses = [rows for rows in np.array_split(np.argsort(p), BINS) if len(rows)]
    return {
        "pairs": len(p),
        "ece": sum(count * abs(said - true) for said, true, count in diagram) / max(len(p), 1),
        "ece by mass": float(
            sum(len(rows) * abs(p[rows].mean() - right[rows].mean()) for rows in masses)
            / max(len(p), 1)
        ),
        "brier": float(np.mean((p - right) ** 2)) if len(p) else 0.0,
        "diagram": diagram,
    }
