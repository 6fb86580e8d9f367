"""The measures of image retrieval, as pure functions on ranked names.

A ranking is a sequence of distinct names, best first. Positives are the names that a query should
find. Junk is removed from a ranking before counting.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Literal

import numpy as np

Form = Literal["official", "rectangle"]


def _judged(ranking: Sequence[str], junk: AbstractSet[str]) -> list[str]:
    if len(set(ranking)) < len(ranking):
        raise ValueError("a name stands twice in the ranking")
    return [name for name in ranking if name not in junk]


def _ranks(
    ranking: Sequence[str], positives: AbstractSet[str], junk: AbstractSet[str]
) -> list[int]:
    """Return the 0-based ranks of the retrieved positives among the images that are not junk."""
    if not positives:
        raise ValueError("a query without positives has no score: leave it out of the mean")
    return [rank for rank, name in enumerate(_judged(ranking, junk)) if name in positives]


def average_precision(
    ranking: Sequence[str],
    positives: AbstractSet[str],
    junk: AbstractSet[str] = frozenset(),
    form: Form = "official",
) -> float:
    """Return the area under the precision-recall curve, from 0 to 1.

    "official" integrates by trapezoids, as the compute_ap program of Philbin et al. (Object
    retrieval with large vocabularies and fast spatial matching, CVPR 2007) and the scripts of
    Holidays and of the revisited Oxford and Paris do. "rectangle" takes the precision at each
    positive, and is never smaller. Positives that the ranking lacks count as never found.

    Raises ValueError if a name is ranked twice or there are no positives.
    """
    if form not in ("official", "rectangle"):
        raise ValueError(f"no form of average precision is called {form!r}")
    area = 0.0
    for found, rank in enumerate(_ranks(ranking, positives, junk)):
        after = (found + 1) / (rank + 1)
        before = found / rank if rank else 1.0
        area += after if form == "rectangle" else (before + after) / 2
    return area / len(positives)


def precision_recall(
    ranking: Sequence[str], positives: AbstractSet[str], junk: AbstractSet[str] = frozenset()
) -> list[tuple[float, float]]:
    """Return recall and precision, both from 0 to 1, at every positive that the ranking has.

    The mean of these precisions, with 0 for each positive that the ranking lacks, is the AP of the
    form "rectangle". Raises ValueError if a name is ranked twice or there are no positives.
    """
    return [
        (found / len(positives), found / (rank + 1))
        for found, rank in enumerate(_ranks(ranking, positives, junk), 1)
    ]


def interpolated(curve: Sequence[tuple[float, float]], points: int = 101) -> list[float]:
    """Return the precisions at `points` recalls, evenly spaced from 0 to 1.

    Each is the best at this recall or a greater one, 0 if none is reached. Curves of several
    queries can then be averaged (Manning, Raghavan, Schütze, Introduction to Information
    Retrieval, 2008, section 8.4).

    curve  recall and precision, by rising recall, as `precision_recall` returns them
    """
    recalls = np.array([recall for recall, _ in curve])
    precisions = np.array([precision for _, precision in curve])
    best = np.append(np.maximum.accumulate(precisions[::-1])[::-1], 0.0)
    # Recalls and points are fractions: equal ones must not differ by rounding.
    levels = np.linspace(0, 1, points) - 1e-9
    values: list[float] = best[np.searchsorted(recalls, levels)].tolist()
    return values


def precision_at(
    ranking: Sequence[str], positives: AbstractSet[str], junk: AbstractSet[str], k: int
) -> float:
    """Return the precision among the first `k`, from 0 to 1, as the revisited Oxford and Paris do.

    If the last positive is ranked before `k`, the precision is taken there (Radenović et al.,
    Revisiting Oxford and Paris, CVPR 2018, and its evaluation script). A query with fewer than `k`
    positives can thus reach 1. The precision is 0 if no positive is ranked.

    Raises ValueError if a name is ranked twice, there are no positives, or `k` is not positive.
    """
    if k < 1:
        raise ValueError(f"precision at {k}: k must be at least 1")
    ranks = _ranks(ranking, positives, junk)
    if not ranks:
        return 0.0
    depth = min(ranks[-1] + 1, k)
    return sum(rank < depth for rank in ranks) / depth


def first_is_positive(
    ranking: Sequence[str], positives: AbstractSet[str], junk: AbstractSet[str] = frozenset()
) -> bool:
    """Return whether the first image that is not junk is a positive: recall at 1."""
    judged = _judged(ranking, junk)
    return bool(judged) and judged[0] in positives


def ukbench_score(ranking: Sequence[str], positives: AbstractSet[str]) -> int:
    """Return how many of the first four are positives, 0 to 4 (Nistér and Stewénius, CVPR 2006)."""
    return sum(name in positives for name in _judged(ranking, frozenset())[:4])


def means_of_halves(values: Sequence[float], seed: int = 7) -> tuple[float, float]:
    """Return the means of two random halves of `values`, the same halves for the same length.

    A setting chosen on one half can be tested on the other. A single value is both halves.

    Raises ValueError if there are no values.
    """
    if not values:
        raise ValueError("no values have no halves")
    shuffled = np.random.default_rng(seed).permutation(np.asarray(values, np.float64))
    first, second = shuffled[::2], shuffled[1::2]
    return float(first.mean()), float((second if len(second) else first).mean())


def bootstrap_interval(
    values: Sequence[float],
    groups: Sequence[str],
    confidence: float = 0.95,
    rounds: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean of `values`: low, high.

    Queries of one landmark succeed and fail together, so whole groups are drawn. If all queries
    have one group, or each its own, single queries are drawn.

    values  one score per query
    groups  the landmark of each query

    Raises ValueError if there are no values, the lengths differ, or a setting is out of range.
    """
    if not values or len(values) != len(groups):
        raise ValueError(f"{len(values)} values with {len(groups)} groups")
    if not 0 < confidence < 1 or rounds < 1:
        raise ValueError(f"confidence {confidence} with {rounds} rounds")
    # A single group has no spread between groups and would give no interval.
    drawn = groups if len(set(groups)) > 1 else range(len(values))
    numbers = {unit: number for number, unit in enumerate(dict.fromkeys(drawn))}
    units = [numbers[unit] for unit in drawn]
    sums, sizes = np.bincount(units, weights=values), np.bincount(units)
    generator = np.random.default_rng(seed)
    draws = (generator.integers(len(sums), size=len(sums)) for _ in range(rounds))
    means = [sums[draw].sum() / sizes[draw].sum() for draw in draws]
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)
