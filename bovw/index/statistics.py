"""What a ranking needs to know of the whole collection; rewritten with every commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bovw.index.segment import Segment, load_array, save_array
from bovw.records import Doubles, Floats


@dataclass(frozen=True)
class Statistics:
    """Word weights and image norms.

    weights  float32 [words]: idf squared, idf = log(1 + images / images with the word). The 1 keeps
             a collection of one image, where every word is in every image, from weighing nothing.
             The square draws rare words out further than the textbook's idf does: measured, it is
             worth 1 to 3 points of every data set
    norms    float32 [images]: L2 norms of the TF-IDF histograms sqrt(tf) * weight, never 0
    """

    weights: Floats
    norms: Floats

    @classmethod
    def of(cls, segments: Sequence[Segment], words: int) -> Statistics:
        """Count them over all segments, in one pass each."""
        images = sum(len(segment.sizes) for segment in segments)
        frequencies = sum((_image_counts(s) for s in segments), np.zeros(words, np.int64))
        weights = np.log1p(images / np.maximum(frequencies, 1)) ** 2
        squares = [_squared_norms(segment, weights) for segment in segments]
        norms = np.sqrt(np.concatenate([*squares, np.empty(0)]))
        norms[norms == 0] = 1
        return cls(weights.astype(np.float32), norms.astype(np.float32))

    def save(self, folder: Path) -> dict[str, str]:
        """Write and flush the files into a new folder; return their SHA-256 by name."""
        folder.mkdir(parents=True)
        return {
            f"{name}.npy": save_array(folder / f"{name}.npy", getattr(self, name))
            for name in self.__dataclass_fields__
        }

    @classmethod
    def open(cls, folder: Path) -> Statistics:
        """Read them; raises FormatError where a file is missing or damaged."""
        return cls(**{name: load_array(folder, name) for name in cls.__dataclass_fields__})


def _image_counts(segment: Segment) -> npt.NDArray[np.int64]:
    """Return how many images have each word: int64 [words]."""
    first = np.ones(len(segment.images) + 1, np.int64)
    first[1:-1] = segment.images[1:] != segment.images[:-1]
    first[segment.offsets] = 1
    before = np.concatenate([[0], np.cumsum(first[:-1])])
    counts: npt.NDArray[np.int64] = np.diff(before[segment.offsets])
    return counts


def _squared_norms(segment: Segment, weights: Doubles) -> Doubles:
    """Return every image's sum over words of (weight * sqrt(tf))^2 = weight^2 * tf."""
    squares = np.repeat(weights**2, np.diff(segment.offsets))
    summed = np.bincount(segment.images, squares, len(segment.sizes))
    return summed.astype(np.float64)
