"""Searches an open index: features, words, ranking, verification, expansion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from bovw.compute.threads import available_threads
from bovw.errors import FormatError, NewerFormatError, QueryError, UsageError
from bovw.geometry import warp_box
from bovw.images import ImageSource
from bovw.index import Index
from bovw.options import FeatureOptions, SearchOptions
from bovw.ranking import SCORINGS
from bovw.records import Box, Features, Hit, Ranking, WordQuery
from bovw.search.query import describe_query
from bovw.search.question import Backend, LocalBackend, LocalQuestion, limit_postings
from bovw.search.second_look import look_again
from bovw.verification import Calibration, Judged, Verified, judge_alarms, verify_images
from bovw.vocab import Vocabulary


class Found(NamedTuple):
    """The answer to a query.

    missing  folder names of shards that have not answered; empty for a local index
    """

    hits: list[Hit]
    missing: list[str]


@dataclass(frozen=True)
class Searcher:
    """Searches an open index.

    backend  what answers: the index itself, or replicas of its shards elsewhere

    >>> searcher = Searcher(Index.open("bovw-index"))  # doctest: +SKIP
    >>> hits = searcher.search("photo.jpg", topk=5)  # doctest: +SKIP
    """

    index: Index
    options: SearchOptions = SearchOptions()
    backend: Backend = LocalBackend()

    def __post_init__(self) -> None:
        if self.options.scoring not in SCORINGS:
            raise UsageError(
                f"no scoring is called {self.options.scoring}: give {', '.join(SCORINGS)}"
            )

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The index's vocabulary; raises FormatError if the index was made with another."""
        try:
            vocabulary = Vocabulary.load(self.index.vocabulary_folder)
        except NewerFormatError:
            raise
        except FormatError as error:
            raise FormatError(
                f"the vocabulary of the index in {self.index.folder} is missing or damaged: "
                "restore it with `bovw index` and --vocab, giving the one the index was made with"
            ) from error
        vocabulary.check_made(self.index.vocabulary_folder, self.index.meta)
        return vocabulary

    @cached_property
    def calibration(self) -> Calibration:
        """What chance gives on this collection; the usual if the index does not know."""
        decoys = self.index.decoys
        if decoys is None:
            return Calibration()
        return Calibration.of(decoys.meanings, decoys.asked, decoys.verified)

    def with_options(self, options: SearchOptions) -> Searcher:
        """Return a searcher of the same index and vocabulary with other options."""
        other = replace(self, options=options)
        vars(other)["vocabulary"] = self.vocabulary
        return other

    @property
    def feature_options(self) -> FeatureOptions:
        """The options for queries: those of the images, but with no fewer features than usual.

        Dropping features keeps the index small. Queries are not stored, so they keep all of theirs.
        """
        indexed = FeatureOptions.of(self.index.meta["options"])
        most = max(indexed.max_features, FeatureOptions().max_features)
        return replace(indexed, max_features=most)

    @property
    def expands(self) -> bool:
        """Whether queries are expanded."""
        most = self.backend.most_postings(self.index)
        return bool(self.options.expand) and self.index.features <= most

    def search(
        self, image: ImageSource, topk: int | None = 20, region: Sequence[float] | None = None
    ) -> list[Hit]:
        """Return the `topk` images most likely to show what `image` shows; None for all.

        image   a path, a file's content as bytes or as an open binary file, a PIL image, or pixels:
                uint8 [h, w] grey or [h, w, 3] red, green and blue. OpenCV's pixels are blue, green
                and red: give `cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)`
        region  the part of it to search for: left, top, right, bottom in pixels, as a Box or any
                four numbers

        Raises ImageError if the image cannot be used, QueryError if the region lies outside
        of it or holds no features, UsageError for other arguments or `topk` below 1.
        """
        _check_topk(topk)
        features, box = describe_query(image, region, options=self.feature_options)
        return self.search_features(features, box, topk)

    def search_features(
        self, features: Features, region: Box, topk: int | None = None
    ) -> list[Hit]:
        """Return the `topk` best images for features from `describe_query`; None for all."""
        return self.find(features, region, topk).hits

    def find(self, features: Features, region: Box, topk: int | None = None) -> Found:
        """Search as `search_features` does, and tell which shards have not answered."""
        _check_topk(topk)
        query = self.word_query(features, region)
        options = self.options if self.expands else replace(self.options, expand=0)
        question = self.backend.ask(self.index, query, options)
        candidates = question.rank(self.options.rerank).images[: self.options.rerank]
        judged = self._judge(question.verify(candidates), len(candidates), features)
        confirmed = any(one.confirmed for one in judged)
        count = None if topk is None else topk + len(judged)
        if judged and options.expand:
            linked = bool(self.options.augment and self.index.graph and confirmed)
            agreeing = [one.found for one in judged[: options.expand]]
            ranking = question.rank_expanded(agreeing, count, linked)
        else:
            ranking = question.rank(count)
        hits = self._hits(ranking, question.scores([one.found for one in judged]), judged, region)
        return Found(hits[:topk], sorted(question.missing))

    def compare(self, features: Features, region: Box, images: Sequence[int]) -> list[Judged]:
        """Compare images, given by their numbers, with a query; return those that agree with it.

        They are judged as by a search, among its candidates. Any other image ranks after these.
        """
        query = self.word_query(features, region)
        ranking = LocalQuestion(self.index, query, self.options).rank(self.options.rerank)
        return self.judge_among(query, ranking, features, images)

    def judge_among(
        self, query: WordQuery, ranking: Ranking, features: Features, images: Sequence[int]
    ) -> list[Judged]:
        """Judge images as `compare` does, for a query whose words and ranking are known."""
        tried = ranking.images[: self.options.rerank].tolist()
        numbers = np.array([*tried, *(set(images) - set(tried))], np.int32)
        ranks = np.minimum(np.arange(1, len(numbers) + 1), len(tried) + 1).tolist()
        segments, weights = self.index.segments, self.index.statistics.weights
        verified = verify_images(query, segments, numbers, weights, self.options, ranks)
        return [
            one for one in self._judge(verified, len(tried), features) if one.found.image in images
        ]

    def word_query(self, features: Features, region: Box) -> WordQuery:
        """Give a query's features their words; raises QueryError if there are no features."""
        if not len(features):
            raise QueryError(
                "the query has no features: give a larger or less uniform picture or region"
            )
        # Several words for TF-IDF, too: the wider search finds the nearest more surely.
        words = self.vocabulary.assign(features, self.options.words, available_threads())
        most = self.backend.most_postings(self.index)
        return WordQuery(features.keypoints, limit_postings(words, self.index, most), region)

    def _judge(self, verified: Sequence[Verified], tried: int, features: Features) -> list[Judged]:
        calibration, most = self.calibration, self.options.max_false_alarms
        alarms = [calibration.false_alarms(one.evidence.meaning, tried) for one in verified]
        if self.options.second_look:
            alarms = look_again(verified, alarms, features, self.index, self.feature_options)
        return judge_alarms(verified, alarms, calibration, most)

    def _hits(
        self, ranking: Ranking, scores: list[float], judged: Sequence[Judged], region: Box
    ) -> list[Hit]:
        """Put confirmed images first, then those that agree, then the rest.

        The first two are ordered by their evidence times their `scores`. The best score below is
        added to theirs, so all scores fall with rank.
        """
        best = float(ranking.scores.max(initial=0))
        combined = [one.found.evidence.weight * s for one, s in zip(judged, scores, strict=True)]
        unsure = [c for one, c in zip(judged, combined, strict=True) if not one.confirmed]
        hits = []
        for one, score in zip(judged, combined, strict=True):
            above = best + (max(unsure, default=0.0) if one.confirmed else 0.0)
            hits.append(
                replace(
                    self._hit(one.found.image, above + score),
                    probability=one.probability,
                    false_alarms=one.false_alarms,
                    confirmed=one.confirmed,
                    inliers=one.found.evidence.inliers,
                    transform=one.found.transform,
                    box=warp_box(one.found.transform, region),
                )
            )
        hits.sort(key=lambda hit: -hit.score)
        agreeing = {one.found.image for one in judged}
        rest = zip(ranking.images.tolist(), ranking.scores.tolist(), strict=True)
        hits += [self._hit(image, score) for image, score in rest if image not in agreeing]
        return [replace(hit, rank=rank) for rank, hit in enumerate(hits, 1)]

    def _hit(self, image: int, score: float) -> Hit:
        path = str(self.index.path(image))
        return Hit(rank=0, name=self.index.names[image], path=path, score=score)


def _check_topk(topk: int | None) -> None:
    if topk is not None and topk < 1:
        raise UsageError(f"topk is {topk}: give 1 or more, or None for all images")
