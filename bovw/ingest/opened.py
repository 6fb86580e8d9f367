"""The index that worker processes search."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from bovw.index import Index
from bovw.search import Searcher


@lru_cache(maxsize=1)
def opened(folder: Path, digest: str) -> Searcher:
    """Open an index once per process, and once more after its digest has changed."""
    return Searcher(Index.open(folder))
