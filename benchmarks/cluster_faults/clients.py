"""Clients that search the shards and compare every answer with that of one index."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bovw.cluster.replicas import ShardReplicas
from bovw.errors import BovwError
from bovw.index import Index
from bovw.records import Hit
from bovw.search import Searcher, describe_query
from cluster_faults.given import TAKEN, Given

CLIENTS = 2
# Seconds allowed for recovery after a loss, and seconds of quiet between losses.
PATIENCE, QUIET = 120.0, 3.0
# Seconds that an answer may come after the deadline: its own work.
GRACE = 1.0


@dataclass(frozen=True)
class Asked:
    """One answer: when the query started and ended, in seconds, and how good the answer is."""

    start: float
    end: float
    kind: str


class Clients:
    """Search the replicas without a pause, and compare every answer with that of one index."""

    def __init__(self, given: Given, team: ShardReplicas, shards: Index) -> None:
        self._team, self._shards = team, shards
        here = Searcher(given.index)
        names = sorted(file.path for file in given.files)[:: TAKEN // 8]
        self._queries = [describe_query(name, options=here.feature_options) for name in names]
        self._expected = [brief(here.find(*query).hits) for query in self._queries]
        self.answers: list[Asked] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(CLIENTS)]

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Run the clients."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()

    def _ask(self, number: int) -> None:
        while not self._stop.is_set():
            number += 1
            which = number % len(self._queries)
            searcher, start = self._team.searcher(self._shards), time.monotonic()
            try:
                found = searcher.find(*self._queries[which])
                kind = self._judge(brief(found.hits), self._expected[which], found.missing)
            except BovwError:
                kind = "unanswered"
            end = time.monotonic()
            if end - start > self._team.deadline + GRACE:
                kind = "late"
            self.answers.append(Asked(start, end, kind))

    @staticmethod
    def _judge(found: list[Any], expected: list[Any], missing: list[str]) -> str:
        if not missing:
            return "whole" if found == expected else "wrong"
        names = [name for name, *_ in found]
        known = {name for name, *_ in expected}
        return "partial" if set(names) <= known and len(set(names)) == len(names) else "wrong"

    def wait(self, since: float) -> float:
        """Return the seconds until all answers are whole again; inf if that does not happen."""
        while time.monotonic() < since + PATIENCE:
            time.sleep(0.2)
            later = [one for one in self.answers if one.start > since]
            bad = max((one.end for one in later if one.kind != "whole"), default=since)
            whole = sorted(one.end for one in later if one.kind == "whole" and one.start >= bad)
            if whole and time.monotonic() > whole[0] + QUIET:
                return whole[0] - since
        return float("inf")


def brief(hits: list[Hit]) -> list[Any]:
    """Return the fields of hits by which answers are compared."""
    return [(hit.name, hit.score, hit.inliers) for hit in hits]
