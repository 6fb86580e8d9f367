"""Search over distributed shards: each one answers for its own images.

The merged answers equal those of a single index. Word weights come from all shards, the best of
all images are among the best of each shard, and every sum is added in the same order.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from bovw.errors import UnansweredError
from bovw.index import Index, Statistics
from bovw.options import SearchOptions
from bovw.ranking import SCORINGS
from bovw.records import Floats, Ints, Ranking, WordQuery, Words
from bovw.search import MOST_POSTINGS, Question, rank_images
from bovw.search.expansion import ExpansionQuery, accumulate, expansion_queries
from bovw.verification import Verified, verify_images

# Calls shards: a method of `ShardSearcher`, its arguments by shard number, and the seconds that the
# query has taken so far. Shards that do not answer in time are left out.
Scatter = Callable[[str, Mapping[int, tuple[Any, ...]], float], dict[int, Any]]


class Ranked(NamedTuple):
    """Images by descending score: numbers, scores, and ranks by name that break ties."""

    images: Ints
    scores: Floats
    order: Ints


class Agreeing(NamedTuple):
    """Images that agree with a query, most evidence first, and expansion queries of the first."""

    verified: list[Verified]
    further: list[ExpansionQuery]


class ShardSearcher:
    """One of the shards of an index. Images keep their numbers in the whole index."""

    def __init__(self, shards: Index, number: int) -> None:
        part = shards.parts[number]
        self.first = sum(len(one.names) for one in shards.parts[:number])
        own = slice(self.first, self.first + len(part.names))
        whole = shards.statistics
        self.segments = part.segments
        self.files = [segment.inverted_file for segment in part.segments]
        self.statistics = Statistics(
            whole.weights, whole.features[own], whole.distinct[own], whole.live[own]
        )
        self.order = shards.names.order[own]
        self._last: tuple[object, Floats] = None, np.empty(0, np.float32)

    def rank(self, words: Words, options: SearchOptions, count: int | None) -> Ranked:
        """Return the `count` best images, all for None."""
        return self._best(self._score_query(words, options), count)

    def verify(
        self,
        query: WordQuery,
        options: SearchOptions,
        images: Ints,
        ranks: Sequence[int],
        asking: int,
    ) -> Agreeing:
        """Verify images of this shard, with their ranks among all images to verify.

        asking  how many of the images that agree return an expansion query
        """
        own, weights = images - np.int32(self.first), self.statistics.weights
        verified = verify_images(query, self.segments, own, weights, options, ranks)
        asked = expansion_queries(verified[:asking], query.region, self.segments)
        return Agreeing(
            [replace(one, image=one.image + self.first) for one in verified],
            [one._replace(image=one.image + self.first) for one in asked],
        )

    def rank_expanded(
        self,
        words: Words,
        asked: Sequence[ExpansionQuery],
        options: SearchOptions,
        count: int | None,
    ) -> Ranked:
        """Return the `count` best images for the expanded query, all for None."""
        return self._best(self.expanded(words, asked, options), count)

    def expanded(
        self, words: Words, asked: Sequence[ExpansionQuery], options: SearchOptions
    ) -> Floats:
        """Return all scores for the expanded query: float32 [images]."""
        scores = self._score_query(words, options)
        return accumulate(scores, asked, lambda one: self._score(one, options), self.first)

    def _score_query(self, words: Words, options: SearchOptions) -> Floats:
        """Return every image's score, kept because a query needs it twice."""
        digest = hashlib.blake2b(words.ids.tobytes(), digest_size=16)
        for array in (words.signatures, words.angles):
            digest.update(array.tobytes())
        key = digest.digest(), options
        last, scores = self._last
        if last != key:
            scores = self._score(words, options)
            self._last = key, scores
        return scores

    def _score(self, words: Words, options: SearchOptions) -> Floats:
        return SCORINGS[options.scoring](words, self.files, self.statistics, options)

    def _best(self, scores: Floats, count: int | None) -> Ranked:
        images = np.flatnonzero(self.statistics.live)
        best = images[np.lexsort((self.order[images], -scores[images]))][:count]
        return Ranked((best + self.first).astype(np.int32), scores[best], self.order[best])


class ShardBackend:
    """Answers from remote shards; see `bovw.search.Backend`.

    scatter  calls them
    """

    def __init__(self, scatter: Scatter) -> None:
        self._scatter = scatter

    def most_postings(self, index: Index) -> int:
        """Return how many postings a query may read: each shard allows as many as one index."""
        return len(index.parts) * MOST_POSTINGS

    def ask(self, index: Index, query: WordQuery, options: SearchOptions) -> Question:
        """See `Backend.ask`."""
        return ScatteredQuestion(index, query, options, self._scatter)


class ScatteredQuestion:
    """One query on remote shards; see `bovw.search.Question`.

    missing  folder names of the shards that have not answered
    """

    def __init__(
        self, index: Index, query: WordQuery, options: SearchOptions, scatter: Scatter
    ) -> None:
        self.missing: set[str] = set()
        self._index, self._query, self._options = index, query, options
        self._scatter = scatter
        lengths = [len(part.names) for part in index.parts]
        self._firsts = np.cumsum([0, *lengths])
        # Shards that still answer.
        self._heard = list(range(len(lengths)))
        self._scores: dict[int, float] = {}
        self._further: dict[int, ExpansionQuery] = {}
        self._first: Ranking | None = None
        self._start = time.monotonic()

    def rank(self, count: int | None) -> Ranking:
        """See `Question.rank`."""
        if self._first and count is not None and count <= len(self._first.images):
            return Ranking(self._first.images[:count], self._first.scores[:count])
        given = self._query.words, self._options, count
        answers = self._ask("rank", dict.fromkeys(self._heard, given))
        # Asking the silent ones again would only waste time.
        self._heard = sorted(answers)
        ranking = self._merged(answers, count)
        self._scores |= zip(ranking.images.tolist(), ranking.scores.tolist(), strict=True)
        self._first = self._first or ranking
        return ranking

    def verify(self, images: Ints) -> list[Verified]:
        """See `Question.verify`."""
        ranks = np.arange(1, len(images) + 1)
        holders = self._holders(images)
        asked = {
            int(n): (
                self._query,
                self._options,
                images[holders == n],
                ranks[holders == n].tolist(),
                self._options.expand,
            )
            for n in np.unique(holders)
        }
        answers = self._ask("verify", asked).values()
        self._further |= {one.image: one for part in answers for one in part.further}
        rank_of = dict(zip(images.tolist(), ranks.tolist(), strict=True))
        found = [one for part in answers for one in part.verified]
        return sorted(found, key=lambda v: (-v.evidence.weight, rank_of[v.image]))

    def rank_expanded(
        self, verified: Sequence[Verified], count: int | None, linked: bool
    ) -> Ranking:
        """See `Question.rank_expanded`."""
        # Most evidence first: scores are added in this order.
        further = [self._further[one.image] for one in verified]
        if linked:
            return self._rank_linked(further, count)
        given = self._query.words, further, self._options, count
        return self._merged(self._ask("rank_expanded", dict.fromkeys(self._heard, given)), count)

    def scores(self, verified: Sequence[Verified]) -> list[float]:
        """See `Question.scores`."""
        return [self._scores[one.image] for one in verified]

    def _rank_linked(self, further: Sequence[ExpansionQuery], count: int | None) -> Ranking:
        """Rank with the scores of neighbours in any shard."""
        index = self._index
        scores = np.zeros(len(index.names), np.float32)
        given = self._query.words, further, self._options
        answers = self._ask("expanded", dict.fromkeys(self._heard, given))
        if not answers:
            return self._merged({}, count)
        for n, own in answers.items():
            scores[self._firsts[n] : self._firsts[n + 1]] = own
        assert index.graph is not None, "a linked index has a graph"
        return rank_images(index, index.graph.augment(scores), count)

    def _holders(self, images: Ints) -> Ints:
        """Return the shard of each image."""
        return (np.searchsorted(self._firsts, images, side="right") - 1).astype(np.int32)

    def _ask(self, method: str, asked: Mapping[int, tuple[Any, ...]]) -> dict[int, Any]:
        answers = self._scatter(method, asked, time.monotonic() - self._start)
        parts = self._index.parts
        self.missing.update(parts[n].folder.name for n in asked.keys() - answers.keys())
        return answers

    def _merged(self, answers: Mapping[int, Ranked], count: int | None) -> Ranking:
        """Return the best of all answers; without any, the best of the first ranking."""
        if answers:
            return merged(answers, count)
        if self._first is None:
            raise UnansweredError("no shard answers: try again later")
        return Ranking(self._first.images[:count], self._first.scores[:count])


def merged(answers: Mapping[int, Ranked], count: int | None) -> Ranking:
    """Return the `count` best of several shards' rankings, all for None, ties by name."""
    images, scores, order = (
        np.concatenate([answers[n][column] for n in sorted(answers)]) for column in range(3)
    )
    best = np.lexsort((order, -scores))[:count]
    return Ranking(images[best], scores[best])
