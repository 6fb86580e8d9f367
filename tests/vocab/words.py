"""Descriptors, planted and drawn, and their nearest words by every distance."""

from __future__ import annotations

import numpy as np

from bovw.options import VocabularyOptions
from bovw.records import Bytes, Features, Floats, Ints

ARRAYS = ("words.npy", "projection.npy", "sources.npy")

SMALL = VocabularyOptions(words=100)


def floats(descriptors: Bytes) -> Floats:
    return descriptors.astype(np.float32)


def clusters(count: int, members: int, spread: int) -> tuple[Bytes, Bytes]:
    """Return planted centres [count, 128] and their members, shuffled."""
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 200, (count, 128)) * (rng.random((count, 128)) < 0.3)
    noise = rng.integers(0, spread + 1, (members, count, 128))
    points = (centres + noise).reshape(-1, 128)
    return centres.astype(np.uint8), rng.permutation(points).astype(np.uint8)


def exact_nearest(values: Floats, words: Floats, count: int) -> Ints:
    """Return the nearest words by computing every distance."""
    distances = (
        (values**2).sum(axis=1)[:, None] - 2 * values @ words.T + (words**2).sum(axis=1)[None]
    )
    return np.argsort(distances, axis=1, kind="stable")[:, :count].astype(np.int32)


def quantisation_error(descriptors: Bytes, words: Floats) -> float:
    """Return the mean squared distance of SIFT [n, 128] to the nearest words."""
    values = floats(descriptors)
    nearest = words[exact_nearest(values, words, 1)[:, 0]]
    return float(np.square(values - nearest, dtype=np.float64).sum(axis=1).mean())


def featured(descriptors: Bytes) -> Features:
    """Give descriptors keypoints, each with another angle."""
    keypoints = np.ones((len(descriptors), 4), np.float32)
    keypoints[:, 3] = np.arange(len(descriptors)) % 360
    return Features(keypoints, descriptors, 64, 64)
