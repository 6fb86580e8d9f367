"""Asks an index many queries, in several processes, and keeps what matters of the answers."""

from __future__ import annotations

import shutil
from collections.abc import Sequence, Set
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import cv2

from bovw import Index, Searcher
from bovw.compute.processes import map_processes
from bovw.compute.threads import available_jobs
from bovw.errors import BovwError
from bovw.index import edit_index
from bovw.ingest.calibrate import calibrate_index
from bovw.records import Box
from bovw.search import describe_query

# Hits kept of each answer.
DEPTH = 100


class Query(NamedTuple):
    """A picture to ask for; `kept` tells which hits are judged, by their names."""

    id: str
    path: Path
    region: Box | None = None
    right: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()


class Kept(NamedTuple):
    """One hit; see `bovw.Hit`."""

    name: str
    score: float
    inliers: int
    probability: float
    false_alarms: float | None
    confirmed: bool


class Asked(NamedTuple):
    """A query's best hits, without those that are ignored."""

    query: Query
    hits: list[Kept]

    def agreeing(self) -> list[Kept]:
        """Return the hits where geometry agrees."""
        return [hit for hit in self.hits if hit.false_alarms is not None]


def ask(folder: Path, queries: Sequence[Query]) -> list[Asked]:
    """Ask an index; a query that cannot be used has no hits."""
    return list(map_processes(partial(_ask, folder), queries, available_jobs()))


def without(index: Path, folder: Path, gone: Set[str]) -> Path:
    """Copy an index without some of its images, and calibrate it anew."""
    shutil.copytree(index, folder)
    with edit_index(folder) as writers:
        for writer in writers:
            for name in gone & writer.rows.keys():
                writer.remove(name)
            writer.compact()
            writer.commit()
    calibrate_index(folder)
    return folder


def _ask(folder: Path, query: Query) -> Asked:
    cv2.setNumThreads(1)
    searcher = _searcher(folder)
    try:
        features, region = describe_query(
            query.path, query.region, crop=False, options=searcher.feature_options
        )
        hits = searcher.search_features(features, region, DEPTH + len(query.ignored))
    except BovwError:
        return Asked(query, [])
    kept = [
        Kept(h.name, h.score, h.inliers, h.probability, h.false_alarms, h.confirmed)
        for h in hits
        if h.name not in query.ignored
    ]
    return Asked(query, kept[:DEPTH])


@lru_cache(maxsize=1)
def _searcher(folder: Path) -> Searcher:
    return Searcher(Index.open(folder))
