"""What a ranking needs to know of the whole collection; rewritten with every commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bovw.index.arrays import Arrays
from bovw.index.segment import Segment
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
        """Count them over all segments, in one pass each."""
        images = sum(len(segment.sizes) for segment in segments)
        firsts = [_first_postings(segment) for segment in segments]
        frequencies = np.zeros(words, np.int64)
        for segment, first in zip(segments, firsts, strict=True):
            before = np.concatenate([[0], np.cumsum(first)])
            frequencies += np.diff(before[segment.offsets])
        weights = np.log1p(images / np.maximum(frequencies, 1)) ** 2
        features = [_count(segment, segment.images) for segment in segments]
        distinct = [_count(s, s.images[first]) for s, first in zip(segments, firsts, strict=True)]
        none = np.empty(0, np.int32)
        return cls(
            weights.astype(np.float32),
            np.concatenate([none, *features]),
            np.concatenate([none, *distinct]),
        )


def _first_postings(segment: Segment) -> npt.NDArray[np.bool_]:
    """Tell which postings are the first of their word and image: bool [n]."""
    first = np.ones(len(segment.images) + 1, np.bool_)
    first[1:-1] = segment.images[1:] != segment.images[:-1]
    first[segment.offsets] = True
    return first[:-1]


def _count(segment: Segment, images: Ints) -> Ints:
    """Return how often each image of a segment is named: int32 [images]."""
    return np.bincount(images, minlength=len(segment.sizes)).astype(np.int32)
