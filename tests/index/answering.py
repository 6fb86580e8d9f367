"""What an index answers, in a form that is compared to the last bit."""

from __future__ import annotations

from bovw.demo.scenes import Collection
from bovw.index import Index
from bovw.options import SearchOptions
from bovw.records import Hit
from bovw.search import Searcher


def answers(index: Index, collection: Collection, options: SearchOptions) -> list[tuple]:
    searcher = Searcher(index, options)
    return [
        comparable(hit)
        for query in collection.queries
        for hit in searcher.search(collection.root / query.name, None)
    ]


def comparable(hit: Hit) -> tuple:
    transform = None if hit.transform is None else hit.transform.tobytes()
    return hit.rank, hit.name, hit.path, hit.score, hit.inliers, transform


WAYS = [SearchOptions(), SearchOptions(scoring="asmk"), SearchOptions(scoring="tfidf", rerank=0)]
