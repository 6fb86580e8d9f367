"""One query, and the backend that answers it: a local index, or shards elsewhere."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Protocol

import numpy as np

from bovw.index import Index
from bovw.options import SearchOptions
from bovw.ranking import SCORINGS
from bovw.records import Floats, Ints, Ranking, WordQuery, Words
from bovw.search.expansion import expand
from bovw.verification import Verified, verify_images

# Most postings that a query reads, in about half a second. In a larger index it takes fewer words
# per feature, and is not expanded.
MOST_POSTINGS = 150_000_000


class Question(Protocol):
    """One query on an index.

    missing  folder names of shards that have not answered. Their images are not among the hits,
             or not verified
    """

    @property
    def missing(self) -> Set[str]: ...  # noqa: D102

    def rank(self, count: int | None) -> Ranking:
        """Return the `count` best images, or all, before verification."""

    def verify(self, images: Ints) -> list[Verified]:
        """Verify images, best first; return those that agree, most evidence first."""

    def rank_expanded(
        self, verified: Sequence[Verified], count: int | None, linked: bool
    ) -> Ranking:
        """Return the `count` best images, or all, after query expansion with verified ones.

        linked  whether database-side augmentation follows
        """

    def scores(self, verified: Sequence[Verified]) -> list[float]:
        """Return the scores that verified images had before verification."""


class Backend(Protocol):
    """Answers the queries on an index."""

    def most_postings(self, index: Index) -> int:
        """Return how many postings a query reads at most."""

    def ask(self, index: Index, query: WordQuery, options: SearchOptions) -> Question:
        """Ask the index a query."""


class LocalBackend:
    """Answers from the postings of the index itself; see `Backend`."""

    def most_postings(self, index: Index) -> int:
        """See `Backend.most_postings`."""
        return MOST_POSTINGS

    def ask(self, index: Index, query: WordQuery, options: SearchOptions) -> LocalQuestion:
        """See `Backend.ask`."""
        return LocalQuestion(index, query, options)


class LocalQuestion:
    """One query on an index whose postings are all local; see `Question`.

    all_scores  float32 [images]: every image's score before verification
    """

    missing = frozenset[str]()

    def __init__(self, index: Index, query: WordQuery, options: SearchOptions) -> None:
        self._index, self._query, self._options = index, query, options
        self.all_scores = self._score(query.words)

    def rank(self, count: int | None) -> Ranking:
        """See `Question.rank`."""
        return rank_images(self._index, self.all_scores, count)

    def verify(self, images: Ints) -> list[Verified]:
        """See `Question.verify`."""
        weights = self._index.statistics.weights
        return verify_images(self._query, self._index.segments, images, weights, self._options)

    def rank_expanded(
        self, verified: Sequence[Verified], count: int | None, linked: bool
    ) -> Ranking:
        """See `Question.rank_expanded`."""
        index, region = self._index, self._query.region
        scores = expand(self.all_scores, verified, region, index.segments, self._score)
        if linked and index.graph:
            scores = index.graph.augment(scores)
        return rank_images(index, scores, count)

    def scores(self, verified: Sequence[Verified]) -> list[float]:
        """See `Question.scores`."""
        return [float(self.all_scores[one.image]) for one in verified]

    def _score(self, words: Words) -> Floats:
        scoring = SCORINGS[self._options.scoring]
        return scoring(words, self._index.inverted_files, self._index.statistics, self._options)


def rank_images(index: Index, scores: Floats, count: int | None = None) -> Ranking:
    """Return the `count` best images of an index, or all, by descending score [images]."""
    images = np.flatnonzero(index.statistics.live)
    if count is not None and count < len(images):
        own = scores[images]
        last = len(own) - max(count, 1)
        images = images[own >= np.partition(own, last)[last]]
    order = np.lexsort((index.names.order[images], -scores[images]))[:count]
    best = images[order].astype(np.int32)
    return Ranking(best, scores[best])


def limit_postings(words: Words, index: Index, most: int) -> Words:
    """Drop every feature's farthest words until the lists hold at most `most`; keep the nearest."""
    looked_at = np.zeros(words.ids.shape[1], np.int64)
    for segment in index.segments:
        lengths = np.append(np.diff(segment.offsets), 0)
        looked_at += lengths[words.ids].sum(axis=0)
    kept = max(1, int(np.searchsorted(np.cumsum(looked_at), most, side="right")))
    ids, signatures = words.ids[:, :kept], words.signatures[:, :kept]
    return Words(np.ascontiguousarray(ids), np.ascontiguousarray(signatures), words.angles)
