"""What an index answers, in a form that is compared to the last bit."""

from __future__ import annotations

from collections.abc import Callable

from bovw.demo.scenes import Collection
from bovw.index import Index
from bovw.options import SearchOptions
from bovw.records import Hit
from bovw.search import Searcher
from tests.queries import search

Answer = tuple[int, str, str, float, float, float | None, bool, int, bytes | None]
OfOne = Callable[[SearchOptions], list[Answer]]

WAYS = [SearchOptions(), SearchOptions(scoring="asmk"), SearchOptions(scoring="tfidf", rerank=0)]


def answers(index: Index, collection: Collection, options: SearchOptions) -> list[Answer]:
    searcher = Searcher(index, options)
    return [
        comparable(hit)
        for query in collection.queries
        for hit in search(searcher, collection.root / query.name)
    ]


def comparable(hit: Hit) -> Answer:
    transform = None if hit.transform is None else hit.transform.tobytes()
    sure = hit.probability, hit.false_alarms, hit.confirmed
    return hit.rank, hit.name, hit.path, hit.score, *sure, hit.inliers, transform
