"""Hamming signatures: where in its word's cell a descriptor lies, in a few bits."""

from __future__ import annotations

import numpy as np

from bovw.records import Floats, Ints, Signatures

# The L2 norm of a direction. By Cauchy and Schwarz a projection of a residual, whose norm is 512 at
# most, and each of its partial sums stay below 2^24: exact in float32, whatever the order.
NORM = 1 << 14


def random_projection(bits: int, dimensions: int, seed: int) -> Floats:
    """Return `bits` orthogonal random directions of whole numbers: float32 [bits, dimensions].

    Jégou, Douze, Schmid, "Hamming embedding and weak geometric consistency", ECCV 2008.
    """
    gaussian = np.random.default_rng(seed).standard_normal((dimensions, dimensions))
    directions, _ = np.linalg.qr(gaussian)
    rounded: Floats = np.rint(directions.T[:bits] * NORM).astype(np.int16).astype(np.float32)
    return rounded


def sign(descriptors: Floats, words: Floats, ids: Ints, projection: Floats) -> Signatures:
    """Return the signs of the projected residuals, one bit a direction.

    Thresholding at the word itself, as ASMK does (Tolias, Avrithis, Jégou, ICCV 2013), needs no
    table and found as much as thresholds at each word's median.

    descriptors  RootSIFT [n, d]
    words        [k, d]
    ids          int32 [n, m]
    projection   [bits, d]

    Returns uint64 [n, m, bits / 64].
    """
    residuals = descriptors[:, None] - words[ids]
    bits = residuals @ projection.T > 0
    signatures: Signatures = np.packbits(bits, axis=-1, bitorder="little").view("<u8")
    return signatures
