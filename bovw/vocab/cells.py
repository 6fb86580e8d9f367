"""Cells of visual words, which save comparing a descriptor with all words."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bovw.compute.files import open_regular, read_header
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
    def load(cls, path: Path, words: int, dimensions: int) -> Cells:
        """Read the file that `save` wrote for words [words, dimensions].

        Raises ValueError for anything else, OSError if the file cannot be read.
        """
        with open_regular(path) as file:
            try:
                with zipfile.ZipFile(file) as archive:
                    directions = _member(archive, "directions", "<i2", (DIRECTIONS, dimensions))
                    centres = _member(archive, "centres", "<i2", (None, DIRECTIONS))
                    owners = _member(archive, "owners", "<i4", (words,))
            except (KeyError, EOFError, NotImplementedError, zipfile.BadZipFile) as error:
                raise ValueError(str(error)) from error
        # Kernels use these as indices, unchecked.
        if not 0 < len(centres) <= words or owners.min() < 0 or owners.max() >= len(centres):
            raise ValueError("its cells do not match its words")
        return cls(
            directions.astype(np.float32), centres.astype(np.float32), owners.astype(np.int32)
        )


def _member(
    archive: zipfile.ZipFile, name: str, dtype: str, shape: tuple[int | None, ...]
) -> npt.NDArray[Any]:
    """Read an array; None stands for any length. Nothing is read of one that is not as expected."""
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type or info.flag_bits & 1:
        raise ValueError(f"{name} is compressed or encrypted")
    with archive.open(info) as member:
        found, order = read_header(member, np.dtype(dtype), len(shape))
        size = np.dtype(dtype).itemsize * prod(found)
        fits = all(wanted in (None, length) for wanted, length in zip(shape, found, strict=True))
        if not fits or size > info.file_size:
            raise ValueError(f"{name} has the shape {found}")
        return np.frombuffer(member.read(size), dtype).reshape(found, order=order)


def project(values: Floats, directions: Floats) -> Floats:
    """Return coordinates along the directions in whole numbers: float32 [n, d]."""
    points: Floats = np.rint((values @ directions.T) * np.float32(1 / NORM))
    return points


def scores_of(points: Floats, centres: Floats) -> Floats:
    """Return squared distances minus the points' squared norms: float32 [n, cells]."""
    scores: Floats = np.square(centres).sum(axis=1) - 2 * (points @ centres.T)
    return scores
