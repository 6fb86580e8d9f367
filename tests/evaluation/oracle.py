"""The measures once more, as slowly and plainly as they are defined."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection as AnyCollection
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

Rankings = dict[str, list[str]]


def slow_ap(
    ranking: Sequence[str],
    positives: AnyCollection[str],
    junk: AnyCollection[str] = (),
    form: str = "official",
) -> float:
    """Return the AP of a ranking: the mean over the positives of the precision where each is.

    The official form takes the mean of the precisions just before and just after each.
    """
    kept = [name for name in ranking if name not in junk]
    total = 0.0
    for place, name in enumerate(kept):
        if name in positives:
            found = sum(other in positives for other in kept[:place])
            after = (found + 1) / (place + 1)
            before = found / place if place else 1.0
            total += (before + after) / 2 if form == "official" else after
    return total / len(positives)


def slow_precision(
    ranking: Sequence[str], positives: AnyCollection[str], junk: AnyCollection[str], k: int
) -> float:
    kept = [name for name in ranking if name not in junk]
    ranks = [rank for rank, name in enumerate(kept, 1) if name in positives]
    depth = min(max(ranks), k)
    return sum(rank <= depth for rank in ranks) / depth


def rankings(path: Path) -> Rankings:
    """Read a TREC run; ranks and scores must both be in its order."""
    found = defaultdict(list)
    scores = defaultdict(list)
    for line in path.read_text(encoding="ascii").splitlines():
        query, q0, name, rank, score, _ = line.split()
        found[unquote(query)].append(unquote(name))
        scores[query].append(float(score))
        assert (q0, int(rank)) == ("Q0", len(found[unquote(query)]))
    for values in scores.values():
        assert all(better >= worse for better, worse in pairwise(values))
    return dict(found)


def judged(truth: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Return the positives and the junk of every query."""
    content = json.loads(truth.read_text(encoding="utf-8"))
    return {query["id"]: (query["positives"], query["junk"]) for query in content["queries"]}
