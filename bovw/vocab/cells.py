"""Cells of visual words, which save comparing a descriptor with all words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bovw.records import Floats, Ints
from bovw.vocab.kernels import least

# Principal directions: 32 hold 92 % of the variance of 65,536 words of real RootSIFT.
DIRECTIONS = 32
# The L2 norm of a direction, kept in whole numbers.
NORM = 1024
ROUNDS = 10


@dataclass(frozen=True)
class Cells:
    """Words divided into sqrt(words) cells by k-means along principal directions.

    directions  float32 [d, 128], whole numbers: words and descriptors are projected to them
    centres     float32 [cells, d], whole numbers
    owners      int32 [words]: the cell of each word
    """

    directions: Floats
    centres: Floats
    owners: Ints

    @classmethod
    def of(cls, words: Floats) -> Cells:
        """Divide words [k, 128] into sqrt(k) cells."""
        _, vectors = np.linalg.eigh(np.cov(words, rowvar=False, bias=True, dtype=np.float64))
        directions = np.rint(vectors.T[: -DIRECTIONS - 1 : -1] * NORM).astype(np.float32)
        points = project(words, directions)
        count = max(1, round(len(words) ** 0.5))
        centres = points[np.linspace(0, len(points) - 1, count).astype(np.intp)]
        for _ in range(ROUNDS):
            owners = least(scores_of(points, centres), 1)[:, 0]
            sizes = np.bincount(owners, minlength=count)
            sums = [np.bincount(owners, along, count) for along in points.T]
            means = np.rint(np.stack(sums, axis=1) / np.maximum(sizes, 1)[:, None])
            centres = np.where(sizes[:, None] > 0, means, centres).astype(np.float32)
        return cls(directions, centres, least(scores_of(points, centres), 1)[:, 0])

    def save(self, path: Path) -> None:
        """Write one .npz file."""
        np.savez(
            path,
            directions=self.directions.astype("<i2"),
            centres=self.centres.astype("<i2"),
            owners=self.owners.astype("<i4"),
        )

    @classmethod
    def load(cls, path: Path, words: int) -> Cells:
        """Read the file that `save` wrote for this many words.

        Raises ValueError for other shapes, or an error of `numpy.load`.
        """
        with np.load(path) as arrays:
            directions, centres, owners = (arrays[name] for name in cls.__dataclass_fields__)
        # Kernels use these as indices, unchecked.
        fits = directions.ndim == 2 and len(directions) == DIRECTIONS
        fits = fits and centres.ndim == 2 and centres.shape[1] == DIRECTIONS
        fits = fits and owners.shape == (words,) and bool((owners < len(centres)).all())
        if not fits or (owners < 0).any():
            raise ValueError("its cells do not match its words")
        return cls(
            directions.astype(np.float32), centres.astype(np.float32), owners.astype(np.int32)
        )


def project(values: Floats, directions: Floats) -> Floats:
    """Return coordinates along the directions in whole numbers: float32 [n, d]."""
    points: Floats = np.rint((values @ directions.T) * np.float32(1 / NORM))
    return points


def scores_of(points: Floats, centres: Floats) -> Floats:
    """Return squared distances minus the points' squared norms: float32 [n, cells]."""
    scores: Floats = np.square(centres).sum(axis=1) - 2 * (points @ centres.T)
    return scores
