"""Statistics of the whole collection for rankings, rewritten with every commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bovw.compute.kernels import count_images
from bovw.errors import damaged_postings
from bovw.index.arrays import Arrays, stored
from bovw.index.segment import Segment
from bovw.records import Bools, Floats, Ints, Longs

# The weight of a word that one image of 10^13 has.
MOST_WEIGHT = 900.0


@dataclass(frozen=True)
class Counts:
    """Counts of the live images of one segment.

    frequencies  int64 [words]: live images that have each word
    features     int32 [images]: features of every image, 0 for a removed one
    distinct     int32 [images]: different words of every image
    live         bool [images]
    """

    frequencies: Longs
    features: Ints
    distinct: Ints
    live: Bools

    @classmethod
    def of(cls, segment: Segment, live: Bools | None = None) -> Counts:
        """Count all images, or the live ones [images], in one pass.

        Raises FormatError if the postings are damaged.
        """
        live = np.ones(len(segment.sizes), np.bool_) if live is None else live
        frequencies, features, distinct = count_images(segment.inverted_file, live)
        if len(frequencies) < len(segment.offsets) - 1:
            raise damaged_postings()
        return cls(frequencies, features, distinct, live)


@dataclass(frozen=True)
class Statistics(Arrays):
    """Word weights, and the counts that normalise images.

    The 1 in the idf keeps weights above 0 in a collection of one image, where every word is in
    every image. The square favours rare words more than the textbook's idf does.
    """

    weights: Floats = stored(
        "float32", "words", by="word",
        holds="idf squared, idf = log(1 + images / images with the word)",
    )  # fmt: skip
    features: Ints = stored(
        "int32", "images", by="image", holds="how many features an image has; 0 if removed"
    )
    distinct: Ints = stored(
        "int32", "images", by="image", holds="how many different words an image has; 0 if removed"
    )
    live: Bools = stored("bool", "images", by="image", holds="false for a removed image")

    def fits(self, counts: Mapping[str, int]) -> bool:
        """Tell whether the shapes are as declared, and the numbers such as counting gives."""
        counted = self.features.min(initial=0) >= 0 and self.distinct.min(initial=0) >= 0
        # NaN is in no range.
        weighed = ((self.weights >= 0) & (self.weights <= MOST_WEIGHT)).all()
        return super().fits(counts) and bool(counted and weighed)

    @classmethod
    def of(cls, counts: Sequence[Counts], words: int) -> Statistics:
        """Add up the counts of all segments."""
        none = np.empty(0, np.int32)
        features = np.concatenate([none, *(c.features for c in counts)])
        distinct = np.concatenate([none, *(c.distinct for c in counts)])
        live = np.concatenate([np.empty(0, np.bool_), *(c.live for c in counts)])
        frequencies = sum((c.frequencies for c in counts), np.zeros(words, np.int64))
        weights = np.log1p(live.sum() / np.maximum(frequencies, 1)) ** 2
        return cls(weights.astype(np.float32), features, distinct, live)
