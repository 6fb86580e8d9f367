"""Searches an open index: features, words, ranking, verification, expansion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bovw.compute.threads import available_threads
from bovw.errors import FormatError, NewerFormatError, QueryError, UsageError
from bovw.geometry import warp_box
from bovw.index import Index
from bovw.options import FeatureOptions, SearchOptions
from bovw.ranking import SCORINGS
from bovw.records import Box, Bytes, Features, Hit, Ranking, WordQuery
from bovw.search.query import describe_query
from bovw.search.question import Backend, LocalBackend, LocalQuestion, limit_postings
from bovw.verification import Verified, verify_images
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
        if vocabulary.fingerprint != self.index.meta["fingerprint"]:
            raise FormatError(
                f"{self.index.vocabulary_folder} is not the vocabulary the index was made with: "
                "restore it with `bovw index` and --vocab, giving that one"
            )
        return vocabulary

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
        self, image: Path | str | Bytes, topk: int | None = 20, region: Box | None = None
    ) -> list[Hit]:
        """Return the `topk` images most likely to show what `image` shows; None for all.

        image   a file, or pixels uint8 [h, w] grey or [h, w, 3] in OpenCV's BGR
        region  the part of it to search for: left, top, right, bottom in pixels

        Raises ImageError if the image cannot be used, QueryError if the region lies outside
        of it or holds no features.
        """
        source = Path(image) if isinstance(image, str) else image
        features, region = describe_query(source, region, options=self.feature_options)
        return self.search_features(features, region, topk)

    def search_features(
        self, features: Features, region: Box, topk: int | None = None
    ) -> list[Hit]:
        """Return the `topk` best images for features from `describe_query`; None for all."""
        return self.find(features, region, topk).hits

    def find(self, features: Features, region: Box, topk: int | None = None) -> Found:
        """Search as `search_features` does, and tell which shards have not answered."""
        query = self.word_query(features, region)
        options = self.options if self.expands else replace(self.options, expand=0)
        question = self.backend.ask(self.index, query, options)
        candidates = question.rank(self.options.rerank).images[: self.options.rerank]
        verified = question.verify(candidates)
        confirmed = [v for v in verified if v.confirmed]
        count = None if topk is None else topk + len(confirmed)
        if verified and options.expand:
            linked = bool(self.options.augment and self.index.graph and confirmed)
            ranking = question.rank_expanded(verified[: options.expand], count, linked)
        else:
            ranking = question.rank(count)
        hits = self._hits(ranking, question.scores(confirmed), confirmed, region)
        return Found(hits[:topk], sorted(question.missing))

    def compare(self, features: Features, region: Box, images: Sequence[int]) -> list[Verified]:
        """Verify images, given by their numbers, against a query; return the confirmed ones.

        A search decides the same for its candidates. Any other image ranks after the last of them.
        """
        query = self.word_query(features, region)
        ranking = LocalQuestion(self.index, query, self.options).rank(self.options.rerank)
        rank_of = {image: rank for rank, image in enumerate(ranking.images.tolist(), 1)}
        ranks = [rank_of.get(image, self.options.rerank + 1) for image in images]
        segments, weights = self.index.segments, self.index.statistics.weights
        numbers = np.array(images, np.int32)
        verified = verify_images(query, segments, numbers, weights, self.options, ranks)
        return [one for one in verified if one.confirmed]

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

    def _hits(
        self, ranking: Ranking, scores: list[float], verified: list[Verified], region: Box
    ) -> list[Hit]:
        """Put verified images first, by their evidence times their `scores`, then the rest.

        The best of the ranking's scores is added to theirs, so all scores fall with rank.
        """
        best = float(ranking.scores.max(initial=0))
        combined = [best + v.evidence.weight * s for v, s in zip(verified, scores, strict=True)]
        hits = [
            replace(
                self._hit(v.image, score),
                inliers=v.evidence.inliers,
                transform=v.transform,
                box=warp_box(v.transform, region),
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
