"""What a ranking needs to know of the whole collection; rewritten with every commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bovw.errors import damaged_postings
from bovw.index.arrays import Arrays
from bovw.index.segment import Segment
from bovw.kernels import count_images
from bovw.records import Floats, Ints


@dataclass(frozen=True)
class Statistics(Arrays):
    """Word weights and what images are normalised by.

    weights   float32 [words]: idf squared, idf = log(1 + images / images with the word). The 1
              keeps a collection of one image, where every word is in every image, from weighing
              nothing. The square draws rare words out further than the textbook's idf does
    features  int32 [images]: features of every image
    distinct  int32 [images]: different words of every image
    """

    weights: Floats
    features: Ints
    distinct: Ints

    @classmethod
    def of(cls, segments: Sequence[Segment], words: int) -> Statistics:
        """Count them over all segments, in one pass each.

        Raises FormatError where the postings are damaged.
        """
        counted = [count_images(s.offsets, s.places, s.gaps, len(s.sizes)) for s in segments]
        if not all(len(frequencies) == words for frequencies, _, _ in counted):
            raise damaged_postings()
        none = np.empty(0, np.int32)
        features = np.concatenate([none, *(features for _, features, _ in counted)])
        distinct = np.concatenate([none, *(distinct for _, _, distinct in counted)])
        frequencies = sum((frequencies for frequencies, _, _ in counted), np.zeros(words, np.int64))
        weights = np.log1p(len(features) / np.maximum(frequencies, 1)) ** 2
        return cls(weights.astype(np.float32), features, distinct)
