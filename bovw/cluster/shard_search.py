"""A search over shards in many places: every one answers for its own images.

What each shard is asked and what is made of its answers gives what one index would: words weigh
what they do in all shards, the best of each contain the best of all, and every sum is made in the
same order.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bovw.errors import UnansweredError
from bovw.index.sharded import Shards
from bovw.index.statistics import Statistics
from bovw.options import SearchOptions
from bovw.ranking import SCORINGS
from bovw.records import Box, Floats, Ints, Ranking, Words
from bovw.search.expansion import Further, add_up, further
from bovw.search.searcher import MOST_POSTINGS, Question, Searcher
from bovw.verification import Verified, verify_images

# Asks shards by their numbers: a method of `Part`, what is given to each, and the seconds that the
# query has taken so far. Those that do not answer in time are left out.
Scatter = Callable[[str, Mapping[int, tuple[Any, ...]], float], dict[int, Any]]


class Ranked(NamedTuple):
    """Images by descending score: their numbers, scores, and places by name, which break ties."""

    images: Ints
    scores: Floats
    order: Ints


class Found(NamedTuple):
    """Images that agree with a query, most evidence first, and what the first of them ask."""

    verified: list[Verified]
    further: list[Further]


class Part:
    """One of the shards of an index. Images have the numbers that they have in the whole."""

    def __init__(self, shards: Shards, number: int) -> None:
        part = shards.parts[number]
        self.first = sum(len(one.names) for one in shards.parts[:number])
        own = slice(self.first, self.first + len(part.names))
        whole = shards.statistics
        self.segments = part.segments
        self.statistics = Statistics(
            whole.weights, whole.features[own], whole.distinct[own], whole.live[own]
        )
        self.order = shards.names.order[own]
        self._last: tuple[object, Floats] = None, np.empty(0, np.float32)

    def rank(self, words: Words, options: SearchOptions, count: int | None) -> Ranked:
        """Return the `count` best images, or all."""
        return self._best(self._score_query(words, options), count)

    def verify(
        self,
        keypoints: Floats,
        words: Words,
        region: Box,
        options: SearchOptions,
        images: Ints,
        ranks: Sequence[int],
        asking: int,
    ) -> Found:
        """Verify images of this shard, which have these ranks among all that are verified.

        asking  how many of those that agree tell what they ask in the query's place
        """
        verified = verify_images(
            keypoints,
            words,
            region,
            self.segments,
            images - np.int32(self.first),
            self.statistics.weights,
            options,
            ranks,
        )
        asked = further(verified[:asking], region, self.segments)
        return Found(
            [replace(one, image=one.image + self.first) for one in verified],
            [one._replace(image=one.image + self.first) for one in asked],
        )

    def rank_expanded(
        self, words: Words, asked: Sequence[Further], options: SearchOptions, count: int | None
    ) -> Ranked:
        """Return the `count` best images, or all, where verified images ask, too."""
        return self._best(self.expanded(words, asked, options), count)

    def expanded(self, words: Words, asked: Sequence[Further], options: SearchOptions) -> Floats:
        """Return all scores where verified images ask, too: float32 [images]."""
        scores = self._score_query(words, options)
        return add_up(scores, asked, lambda one: self._score(one, options), self.first)

    def _score_query(self, words: Words, options: SearchOptions) -> Floats:
        """Return every image's score, which the same query asks for twice."""
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
        return SCORINGS[options.scoring](words, self.segments, self.statistics, options)

    def _best(self, scores: Floats, count: int | None) -> Ranked:
        images = np.flatnonzero(self.statistics.live)
        best = images[np.lexsort((self.order[images], -scores[images]))][:count]
        return Ranked((best + self.first).astype(np.int32), scores[best], self.order[best])


@dataclass(frozen=True)
class ScatteredSearcher(Searcher):
    """A searcher whose shards answer elsewhere; use one for each query.

    scatter  asks them
    silent   shards, by their folders' names, that did not answer
    """

    scatter: Scatter = lambda method, asked, seconds: {}
    silent: set[str] = field(default_factory=set)

    @property
    def missing(self) -> set[str]:
        """Shards that did not answer: their images are not among the hits, or not verified."""
        return self.silent

    def asking(self, options: SearchOptions) -> ScatteredSearcher:
        """Return a searcher of the same shards, with the same vocabulary, that asks otherwise."""
        other = ScatteredSearcher(self.index, options, self.scatter)
        vars(other)["vocabulary"] = self.vocabulary
        return other

    def question(self, keypoints: Floats, words: Words, region: Box) -> Question:
        """Ask the shards with features of which `words` has several words each."""
        return ScatteredQuestion(self, keypoints, words, region)

    @property
    def most_postings(self) -> int:
        """How many postings a query looks at: each shard as many as one index."""
        return len(self.folders) * MOST_POSTINGS

    @property
    def folders(self) -> list[Path]:
        """The shards' folders."""
        assert isinstance(self.index, Shards), "only shards can be asked one by one"
        return [part.folder for part in self.index.parts]


class ScatteredQuestion:
    """One query on shards in many places; see `bovw.search.searcher.Question`."""

    def __init__(
        self, searcher: ScatteredSearcher, keypoints: Floats, words: Words, region: Box
    ) -> None:
        assert isinstance(searcher.index, Shards), "only shards can be asked one by one"
        self._searcher, self._keypoints = searcher, keypoints
        self._words, self._region = words, region
        lengths = [len(part.names) for part in searcher.index.parts]
        self._firsts = np.cumsum([0, *lengths])
        # Shards that answer.
        self._heard = list(range(len(lengths)))
        self._scores: dict[int, float] = {}
        self._further: dict[int, Further] = {}
        self._first: Ranking | None = None
        self._start = time.monotonic()

    def rank(self, count: int | None) -> Ranking:
        """See `Question.rank`."""
        if self._first and count is not None and count <= len(self._first.images):
            return Ranking(self._first.images[:count], self._first.scores[:count])
        given = self._words, self._searcher.options, count
        answers = self._ask("rank", dict.fromkeys(self._heard, given))
        # Those that are silent now would only be waited for again.
        self._heard = sorted(answers)
        ranking = self._merged(answers, count)
        self._scores |= zip(ranking.images.tolist(), ranking.scores.tolist(), strict=True)
        self._first = self._first or ranking
        return ranking

    def verify(self, images: Ints) -> list[Verified]:
        """See `Question.verify`."""
        ranks = np.arange(1, len(images) + 1)
        holders = self._holders(images)
        searcher = self._searcher
        query = self._keypoints, self._words, self._region, searcher.options
        asking = searcher.options.expand if searcher.expands else 0
        asked = {
            int(n): (*query, images[holders == n], ranks[holders == n].tolist(), asking)
            for n in np.unique(holders)
        }
        answers = self._ask("verify", asked).values()
        self._further |= {one.image: one for part in answers for one in part.further}
        rank_of = dict(zip(images.tolist(), ranks.tolist(), strict=True))
        found = [one for part in answers for one in part.verified]
        return sorted(found, key=lambda v: (-v.evidence, rank_of[v.image]))

    def rank_expanded(
        self, verified: Sequence[Verified], count: int | None, linked: bool
    ) -> Ranking:
        """See `Question.rank_expanded`."""
        # In the order of the evidence, in which their scores are added up.
        further = [self._further[one.image] for one in verified]
        options = self._searcher.options
        if linked:
            return self._rank_linked(further, count)
        given = self._words, further, options, count
        return self._merged(self._ask("rank_expanded", dict.fromkeys(self._heard, given)), count)

    def scores(self, verified: Sequence[Verified]) -> list[float]:
        """See `Question.scores`."""
        return [self._scores[one.image] for one in verified]

    def _rank_linked(self, further: Sequence[Further], count: int | None) -> Ranking:
        """Rank where neighbours count, which may be of any shard."""
        index = self._searcher.index
        scores = np.zeros(len(index.names), np.float32)
        given = self._words, further, self._searcher.options
        answers = self._ask("expanded", dict.fromkeys(self._heard, given))
        if not answers:
            return self._merged({}, count)
        for n, own in answers.items():
            scores[self._firsts[n] : self._firsts[n + 1]] = own
        assert index.graph is not None, "an index that is linked has a graph"
        return self._searcher.rank(index.graph.augment(scores), count)

    def _holders(self, images: Ints) -> Ints:
        """Return the shard of each image."""
        return (np.searchsorted(self._firsts, images, side="right") - 1).astype(np.int32)

    def _ask(self, method: str, asked: Mapping[int, tuple[Any, ...]]) -> dict[int, Any]:
        answers = self._searcher.scatter(method, asked, time.monotonic() - self._start)
        silent = asked.keys() - answers.keys()
        self._searcher.silent.update(self._searcher.folders[n].name for n in silent)
        return answers

    def _merged(self, answers: Mapping[int, Ranked], count: int | None) -> Ranking:
        """Return the best of all answers; where there is none any more, of the first ones."""
        if answers:
            return merged(answers, count)
        if self._first is None:
            raise UnansweredError("no shard answers: try again later")
        return Ranking(self._first.images[:count], self._first.scores[:count])


def merged(answers: Mapping[int, Ranked], count: int | None) -> Ranking:
    """Return the `count` best of what several shards have ranked, or all, ties by name."""
    images, scores, order = (
        np.concatenate([answers[n][column] for n in sorted(answers)]) for column in range(3)
    )
    best = np.lexsort((order, -scores))[:count]
    return Ranking(images[best], scores[best])
