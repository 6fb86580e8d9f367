"""Hamming signatures: a descriptor's position in its word's cell, in a few bits."""

from __future__ import annotations

import numpy as np

from bovw.records import Floats, Ints, Signatures

# The L2 norm of a direction. A residual's norm is at most 512. By Cauchy and Schwarz its projection
# and every partial sum stay below 2^24: exact in float32, in any order.
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
    """Return the signs of the projected residuals, one bit per direction.

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
