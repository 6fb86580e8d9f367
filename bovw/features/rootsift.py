"""RootSIFT: Euclidean distance on it is the Hellinger distance on SIFT."""

from __future__ import annotations

import numpy as np

from bovw.records import Bytes, Doubles, Floats

# The L2 norm of a descriptor. Its components are then whole numbers that fit a byte.
NORM = 256
ROOTS = np.sqrt(np.arange(256, dtype=np.float32))


def rootsift(descriptors: Bytes) -> Floats:
    """L1-normalise SIFT [n, 128], take the square root, and round: float32 [n, 128] of 0 to 255.

    Arandjelović and Zisserman, "Three things everyone should know to improve object retrieval",
    CVPR 2012, section 3. Whole numbers make every distance and projection below 2^24 exact in
    float32, so that results depend neither on the order of a sum nor on threads nor on batches.
    """
    sums = np.maximum(descriptors.sum(axis=1, dtype=np.float32, keepdims=True), 1)
    return whole(ROOTS[descriptors] * (NORM / np.sqrt(sums)))


def whole(values: Floats | Doubles) -> Floats:
    """Round to the whole numbers that descriptors and words are kept in."""
    return np.clip(np.rint(values), 0, 255).astype(np.float32)
