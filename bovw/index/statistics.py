"""What a ranking needs to know of the whole collection; rewritten with every commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from bovw.compute.kernels import count_images
from bovw.errors import damaged_postings
from bovw.index.arrays import Arrays
from bovw.index.segment import Segment
from bovw.records import Floats, Ints

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Counts:
    """What the live images of one segment hold.

    frequencies  int64 [words]: live images that have each word
    features     int32 [images]: features of every image, 0 for a removed one
    distinct     int32 [images]: different words of every image
    live         bool [images]
    """

    frequencies: npt.NDArray[np.int64]
    features: Ints
    distinct: Ints
    live: Bools

    @classmethod
    def of(cls, segment: Segment, live: Bools | None = None) -> Counts:
        """Count in one pass, all images or the live ones [images].

        Raises FormatError where the postings are damaged.
        """
        live = np.ones(len(segment.sizes), np.bool_) if live is None else live
        frequencies, features, distinct = count_images(
            segment.offsets, segment.places, segment.gaps, live
        )
        if len(frequencies) < len(segment.offsets) - 1:
            raise damaged_postings()
        return cls(frequencies, features, distinct, live)


@dataclass(frozen=True)
class Statistics(Arrays):
    """Word weights and what images are normalised by.

    weights   float32 [words]: idf squared, idf = log(1 + images / images with the word). The 1
              keeps a collection of one image, where every word is in every image, from weighing
              nothing. The square draws rare words out further than the textbook's idf does
    features  int32 [images]: features of every image
    distinct  int32 [images]: different words of every image
    live      bool [images]: False for a removed image, whose postings are still in its segment
    """

    LAYOUT: ClassVar = {
        "weights": ("f4", 1),
        "features": ("i4", 1),
        "distinct": ("i4", 1),
        "live": ("b1", 1),
    }

    weights: Floats
    features: Ints
    distinct: Ints
    live: Bools

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
