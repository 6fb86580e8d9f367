"""Hits compared to the last bit, and what builds an index to search."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bovw.index import Index
from bovw.ranking import SCORINGS
from bovw.records import Hit

Build = Callable[..., Index]

each_scoring = pytest.mark.parametrize("scoring", SCORINGS)


def same(first: list[Hit], second: list[Hit]) -> bool:
    def plain(hit: Hit) -> tuple[object, ...]:
        arrays = (None if a is None else a.tolist() for a in (hit.transform, hit.box))
        sure = hit.probability, hit.false_alarms, hit.confirmed
        return (hit.rank, hit.name, hit.score, hit.inliers, *sure, *arrays)

    return [plain(hit) for hit in first] == [plain(hit) for hit in second]
