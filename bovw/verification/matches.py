"""Tentative matches: features that share a visual word and whose signatures are close."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import erfc
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bovw.errors import damaged_postings
from bovw.options import SearchOptions
from bovw.records import Doubles, Floats, Ints, InvertedFile, Longs, WordQuery
from bovw.verification.kernels import find_matches

# Width of the Gaussian that weighs a Hamming distance, as a share of the bits: 16 of 64 in Jégou,
# Douze, Schmid, "Improving bag-of-features for large scale image search", IJCV 2010.
SIGMA = 0.25
# Correlation of two bits of unrelated signatures in one word; see docs/trust.md.
CORRELATION = 0.013


class Segment(Protocol):
    """The part of a segment that matching reads."""

    @property
    def inverted_file(self) -> InvertedFile:
        """Its postings."""

    @property
    def sizes(self) -> Ints:
        """Width and height of every image in pixels: int32 [images, 2]."""

    def keypoints(self, postings: Longs, images: Ints | int) -> Doubles:
        """Return x, y, scale and angle of postings of these images: float64 [n, 4]."""


@dataclass(frozen=True)
class Matches:
    """The tentative matches of a query with one image, by descending weight.

    query      float64 [n, 4]: x, y, scale, angle of the query's feature
    found      float64 [n, 4]: the same of the image's feature
    weights    float64 [n]: idf times the Gaussian of the Hamming distance
    shares     float64 [n]: the share of chance matches that are at least as close, above 0
    """

    query: Doubles
    found: Doubles
    weights: Doubles
    shares: Doubles

    def __len__(self) -> int:
        return len(self.weights)


def tentative_matches(
    query: WordQuery,
    segment: Segment,
    candidates: npt.NDArray[np.integer],
    weights: Floats,
    options: SearchOptions,
) -> Iterator[Matches]:
    """Yield the matches of a query with each of the candidates, in their order.

    candidates  image numbers within the segment
    weights     idf squared of every word
    """
    slots = np.full(len(segment.sizes), -1, np.int32)
    slots[candidates] = np.arange(len(candidates))
    file, words = segment.inverted_file, query.words
    bits = 64 * words.signatures.shape[2]
    limit = int(options.matching_distance * bits)
    starts, matches = find_matches(file, words.ids, words.signatures, slots, limit)
    if not len(starts):
        raise damaged_postings()
    rows, postings, distances = matches.T
    shared = np.searchsorted(file.offsets, postings, side="right") - 1
    shares = chance_shares(bits, limit)[distances]
    strengths = np.sqrt(weights[shared]) * np.exp(-((distances / (SIGMA * bits)) ** 2))
    keypoints = query.keypoints.astype(np.float64)
    owners = np.repeat(candidates.astype(np.int32), np.diff(starts))
    found = segment.keypoints(postings, owners)
    for start, end in pairwise(starts):
        own = start + np.argsort(-strengths[start:end], kind="stable")
        yield Matches(keypoints[rows[own]], found[own], strengths[own], shares[own])


@cache
def chance_shares(bits: int, limit: int) -> Doubles:
    """Return the share of chance matches within each Hamming distance: float64 [limit + 1].

    Distances of unrelated signatures are about normal, around half of the bits. Matches within
    `limit` of them are kept.
    """
    width = np.sqrt(bits / 4 * (1 + (bits - 1) * CORRELATION))
    below = [erfc((bits / 2 - d - 0.5) / (width * np.sqrt(2))) for d in range(limit + 1)]
    shares: Doubles = np.array(below) / below[-1]
    return shares
