"""Precision over the hits of all queries in one list, as in copy detection (DISC21)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trust.asking import Asked, Kept

Key = tuple[float, ...]
# What the pooled hits are sorted by, greatest first.
SCORES: dict[str, Callable[[Kept], Key]] = {
    "score": lambda hit: (hit.score,),
    "inliers": lambda hit: (float(hit.inliers),),
    "false alarms": lambda hit: (-1e9 if hit.false_alarms is None else -hit.false_alarms,),
    "probability": lambda hit: (hit.probability,),
    "probability, then score": lambda hit: (hit.probability, hit.score),
}


def measure_pooled(asked: Sequence[Asked]) -> dict[str, dict[str, float]]:
    """Return the micro AP and the recall at 90 % precision by each score.

    Ties are sorted with wrong hits first; recall is over all right pairs.
    """
    total = sum(len(one.query.right) for one in asked)
    return {name: _measure(asked, score, total) for name, score in SCORES.items()}


def _measure(asked: Sequence[Asked], score: Callable[[Kept], Key], total: int) -> dict[str, float]:
    pooled = sorted(
        ((score(hit), hit.name not in one.query.right) for one in asked for hit in one.hits),
        reverse=True,
    )
    found, area, recall = 0, 0.0, 0.0
    for rank, (_, wrong) in enumerate(pooled, 1):
        if not wrong:
            found += 1
            area += found / rank / total
            if found / rank >= 0.9:
                recall = found / total
    return {"micro AP": area, "recall at 90 % precision": recall}
