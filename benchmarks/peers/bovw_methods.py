"""The methods of bovw."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from bovw.options import SearchOptions
from bovw.search import Searcher
from peers.database import Asked, Database, Method, each

BOVW = {
    "bovw": SearchOptions(),
    "bovw, not expanded": SearchOptions(expand=0),
    "bovw, Hamming alone": SearchOptions(rerank=0, expand=0),
    "bovw, ASMK* alone": SearchOptions(scoring="asmk", rerank=0, expand=0),
    "bovw, TF-IDF alone": SearchOptions(scoring="tfidf", rerank=0, expand=0),
}


def bovw(database: Database) -> Iterator[Method]:
    def find(searcher: Searcher, query: Asked) -> list[str]:
        return [hit.name for hit in searcher.search_features(query.features, query.region)]

    size = sum(database.index.bytes().values()) / len(database.index)
    for name, options in BOVW.items():
        rank = partial(each, partial(find, Searcher(database.index, options)))
        yield Method(name, rank, size, database.index_seconds)
