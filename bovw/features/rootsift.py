"""RootSIFT: Euclidean distance on it is the Hellinger distance on SIFT."""

from __future__ import annotations

import numpy as np

from bovw.records import Bytes

# The L2 norm of a descriptor. Its components are then whole numbers that fit a byte.
NORM = 256
ROOTS = np.sqrt(np.arange(256, dtype=np.float32))


def rootsift(descriptors: Bytes) -> Bytes:
    """L1-normalise SIFT uint8 [n, 128], take the square root, and round: uint8 [n, 128].

    Arandjelović and Zisserman, "Three things everyone should know to improve object retrieval",
    CVPR 2012, section 3. Whole numbers make every distance and projection below 2^24 exact in
    float32. So results do not depend on the order of a sum, on threads or on batches.
    """
    sums = np.maximum(descriptors.sum(axis=1, dtype=np.float32, keepdims=True), 1)
    roots = np.rint(ROOTS[descriptors] * (NORM / np.sqrt(sums)))
    whole: Bytes = np.clip(roots, 0, 255).astype(np.uint8)
    return whole
