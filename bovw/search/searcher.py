"""Joins the stages for a query: features, words, ranking, verification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from bovw.compute.parallel import available_threads
from bovw.errors import FormatError, NewerFormatError, QueryError, UsageError
from bovw.features.sift import describe_query
from bovw.geometry import carry
from bovw.index import Index
from bovw.options import FeatureOptions, SearchOptions
from bovw.ranking import SCORINGS
from bovw.records import Box, Bytes, Features, Floats, Hit, Ints, Postings, Ranking, Words
from bovw.search.expansion import expand
from bovw.verification import Verified, verify_images
from bovw.vocab import Vocabulary

# Postings that a query looks at, about half a second of them: in a larger index it asks with fewer
# words a feature, and is not expanded.
MOST_POSTINGS = 150_000_000


@dataclass(frozen=True)
class Searcher:
    """Answers queries on an opened index.

    >>> searcher = Searcher(Index.open("bovw-index"))  # doctest: +SKIP
    >>> hits = searcher.search("photo.jpg", topk=5)  # doctest: +SKIP
    """

    index: Index
    options: SearchOptions = SearchOptions()

    def __post_init__(self) -> None:
        if self.options.scoring not in SCORINGS:
            raise UsageError(
                f"no scoring is called {self.options.scoring}: give {', '.join(SCORINGS)}"
            )

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The index's own vocabulary; raises FormatError where it is not the one indexed with."""
        try:
            vocabulary = Vocabulary.load(self.index.vocabulary_folder)
        except NewerFormatError:
            raise
        except FormatError as error:
            raise FormatError(
                f"the vocabulary of the index in {self.index.folder} is missing or damaged: "
                "`bovw index` restores it where --vocab gives the one it was made with"
            ) from error
        if vocabulary.fingerprint != self.index.meta["fingerprint"]:
            raise FormatError(
                f"{self.index.vocabulary_folder} is not the vocabulary the index was made with: "
                "`bovw index` restores it where --vocab gives that one"
            )
        return vocabulary

    def asking(self, options: SearchOptions) -> Searcher:
        """Return a searcher of the same index, with the same vocabulary, that asks otherwise."""
        other = Searcher(self.index, options)
        vars(other)["vocabulary"] = self.vocabulary
        return other

    @property
    def feature_options(self) -> FeatureOptions:
        """How queries are described: as the images were, but with no fewer features than usual.

        Features that an index leaves out save room, and a query takes none.
        """
        indexed = FeatureOptions(**self.index.meta["options"])
        most = max(indexed.max_features, FeatureOptions().max_features)
        return replace(indexed, max_features=most)

    @property
    def most_postings(self) -> int:
        """How many postings a query looks at."""
        return MOST_POSTINGS

    @property
    def expands(self) -> bool:
        """Whether verified images ask, too."""
        return bool(self.options.expand) and self.index.features <= self.most_postings

    @property
    def missing(self) -> set[str]:
        """Parts of the index that did not answer; none where all of it is here."""
        return set()

    def search(
        self, image: Path | str | Bytes, topk: int | None = 20, region: Box | None = None
    ) -> list[Hit]:
        """Return the `topk` images most likely to show what `image` shows; None for all.

        image   a file, or pixels uint8 [h, w] grey or [h, w, 3] in OpenCV's BGR
        region  the part of it that is meant: left, top, right, bottom in pixels

        Raises ImageError where the image cannot be used, QueryError where the region lies outside
        of it or holds no features.
        """
        source = Path(image) if isinstance(image, str) else image
        features, region = describe_query(source, region, options=self.feature_options)
        return self.search_features(features, region, topk)

    def search_features(
        self, features: Features, region: Box, topk: int | None = None
    ) -> list[Hit]:
        """Return the `topk` best for features as `describe_query` returns them; None for all."""
        words = affordable(self._words(features), self.index.segments, self.most_postings)
        question = self.question(features.keypoints, words, region)
        candidates = question.rank(self.options.rerank).images[: self.options.rerank]
        verified = question.verify(candidates)
        confirmed = [v for v in verified if v.confirmed]
        count = None if topk is None else topk + len(confirmed)
        if verified and self.expands:
            linked = bool(self.options.augment and self.index.graph and confirmed)
            ranking = question.rank_expanded(verified[: self.options.expand], count, linked)
        else:
            ranking = question.rank(count)
        return self._hits(ranking, question.scores(confirmed), confirmed, region)[:topk]

    def question(self, keypoints: Floats, words: Words, region: Box) -> Question:
        """Ask the index with features of which `words` has several words each."""
        return LocalQuestion(self, keypoints, words, region)

    def score(self, words: Words) -> Floats:
        """Return a score for every image: float32 [images]."""
        scoring = SCORINGS[self.options.scoring]
        return scoring(words, self.index.segments, self.index.statistics, self.options)

    def verify(self, keypoints: Floats, words: Words, region: Box, images: Ints) -> list[Verified]:
        """Verify images by their numbers, for features of which `words` has several words each."""
        segments, weights = self.index.segments, self.index.statistics.weights
        return verify_images(keypoints, words, region, segments, images, weights, self.options)

    def compare(self, features: Features, region: Box, images: Sequence[int]) -> list[Verified]:
        """Return how images, by their numbers, agree with a query: those of which enough does.

        The same agreement that a search finds which has them among its best.
        """
        words = affordable(self._words(features), self.index.segments, self.most_postings)
        return self.verify(features.keypoints, words, region, np.array(images, np.int32))

    def rank(self, scores: Floats, count: int | None = None) -> Ranking:
        """Return the `count` best images, or all, by descending score."""
        images = np.flatnonzero(self.index.statistics.live)
        if count is not None and count < len(images):
            own = scores[images]
            last = len(own) - max(count, 1)
            images = images[own >= np.partition(own, last)[last]]
        order = np.lexsort((self.index.names.order[images], -scores[images]))[:count]
        best = images[order].astype(np.int32)
        return Ranking(best, scores[best])

    def _words(self, features: Features) -> Words:
        if not len(features):
            raise QueryError("the query has no features: give a larger or a less uniform part")
        # Several words for TF-IDF, too: the wider search finds the nearest more surely.
        return self.vocabulary.assign(features, self.options.words, available_threads())

    def _hits(
        self, ranking: Ranking, scores: list[float], verified: list[Verified], region: Box
    ) -> list[Hit]:
        """Put verified images first, by their evidence times their `scores`, then the rest.

        The best of the ranking's scores is added to theirs, so that all scores fall with rank.
        """
        best = float(ranking.scores.max(initial=0))
        combined = [best + v.evidence * s for v, s in zip(verified, scores, strict=True)]
        hits = [
            replace(
                self._hit(v.image, score),
                inliers=v.inliers,
                transform=v.transform,
                box=carry(v.transform, region),
            )
            for v, score in zip(verified, combined, strict=True)
        ]
        hits.sort(key=lambda hit: -hit.score)
        confirmed = {v.image for v in verified}
        rest = zip(ranking.images.tolist(), ranking.scores.tolist(), strict=True)
        hits += [self._hit(image, score) for image, score in rest if image not in confirmed]
        return [replace(hit, rank=rank) for rank, hit in enumerate(hits, 1)]

    def _hit(self, image: int, score: float) -> Hit:
        path = str(self.index.path(image))
        return Hit(rank=0, name=self.index.names[image], path=path, score=score)


class Question(Protocol):
    """One query on an index, which may lie in one place or in several."""

    def rank(self, count: int | None) -> Ranking:
        """Return the `count` best images, or all, before verification."""

    def verify(self, images: Ints) -> list[Verified]:
        """Return those of the images, best first, that agree; most evidence first."""

    def rank_expanded(
        self, verified: Sequence[Verified], count: int | None, linked: bool
    ) -> Ranking:
        """Return the `count` best images, or all, where verified ones ask, too.

        linked  whether the neighbours of images count
        """

    def scores(self, verified: Sequence[Verified]) -> list[float]:
        """Return the scores of verified images before verification."""


class LocalQuestion:
    """One query on an index whose postings are all here; see `Question`."""

    def __init__(self, searcher: Searcher, keypoints: Floats, words: Words, region: Box) -> None:
        self._searcher, self._keypoints = searcher, keypoints
        self._words, self._region = words, region
        self._scores = searcher.score(words)

    def rank(self, count: int | None) -> Ranking:
        """See `Question.rank`."""
        return self._searcher.rank(self._scores, count)

    def verify(self, images: Ints) -> list[Verified]:
        """See `Question.verify`."""
        return self._searcher.verify(self._keypoints, self._words, self._region, images)

    def rank_expanded(
        self, verified: Sequence[Verified], count: int | None, linked: bool
    ) -> Ranking:
        """See `Question.rank_expanded`."""
        index, score = self._searcher.index, self._searcher.score
        scores = expand(self._scores, verified, self._region, index.segments, score)
        if linked and index.graph:
            scores = index.graph.augment(scores)
        return self._searcher.rank(scores, count)

    def scores(self, verified: Sequence[Verified]) -> list[float]:
        """See `Question.scores`."""
        return [float(self._scores[one.image]) for one in verified]


def affordable(words: Words, segments: Sequence[Postings], most: int) -> Words:
    """Leave out the further words of every feature, where their lists hold more than `most`."""
    looked_at = np.zeros(words.ids.shape[1], np.int64)
    for segment in segments:
        lengths = np.append(np.diff(segment.offsets), 0)
        looked_at += lengths[words.ids].sum(axis=0)
    kept = max(1, int(np.searchsorted(np.cumsum(looked_at), most, side="right")))
    ids, signatures = words.ids[:, :kept], words.signatures[:, :kept]
    return Words(np.ascontiguousarray(ids), np.ascontiguousarray(signatures), words.angles)
