"""Drawn pictures as queries: described once, which takes longer than most searches."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from bovw.options import FeatureOptions
from bovw.records import Box, Features, Hit
from bovw.search import Found, Searcher, describe_query


@cache
def described(path: Path, options: FeatureOptions) -> tuple[Features, Box]:
    """Describe a picture that stays as it is while the tests run."""
    return describe_query(path, options=options)


def find(searcher: Searcher, path: Path, topk: int | None = None) -> Found:
    return searcher.find(*described(path, searcher.feature_options), topk)


def search(searcher: Searcher, path: Path, topk: int | None = None) -> list[Hit]:
    """Search as `Searcher.search` does, which describes the picture every time."""
    return find(searcher, path, topk).hits
