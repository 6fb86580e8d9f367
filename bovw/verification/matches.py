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

from bovw.compute.jit import read_only
from bovw.compute.repeats import number_repeats, thin_out
from bovw.errors import damaged_postings
from bovw.options import SearchOptions
from bovw.records import Doubles, Floats, Ints, InvertedFile, Longs, WordQuery
from bovw.verification.kernels import Asking, find_matches

# Width of the Gaussian that weighs a Hamming distance, as a share of the bits: 16 of 64 in Jégou,
# Douze, Schmid, "Improving bag-of-features for large scale image search", IJCV 2010.
SIGMA = 0.25
# Matches kept of a candidate. 27 of 6,000 candidates of photographs have more.
MOST_MATCHES = 4096
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
    left_out   further ones: of very many only the closest are kept
    """

    query: Doubles
    found: Doubles
    weights: Doubles
    shares: Doubles
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def total(self) -> int:
        """All matches, kept or not: chance has all of them to choose from."""
        return len(self) + self.left_out


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
    columns = thin_out(words.ids), words.signatures, number_repeats(words.ids[:, 0])[0]
    asking = Asking(*(read_only(column) for column in columns))
    starts, totals, matches = find_matches(file, asking, slots, limit, MOST_MATCHES)
    if not len(starts):
        raise damaged_postings()
    rows, postings, distances = matches.T
    shared = np.searchsorted(file.offsets, postings, side="right") - 1
    shares = chance_shares(bits, limit)[distances]
    strengths = np.sqrt(weights[shared]) * np.exp(-((distances / (SIGMA * bits)) ** 2))
    keypoints = query.keypoints.astype(np.float64)
    owners = np.repeat(candidates.astype(np.int32), np.diff(starts))
    found = segment.keypoints(postings, owners)
    for (start, end), total in zip(pairwise(starts), totals.tolist(), strict=True):
        own = start + np.argsort(-strengths[start:end], kind="stable")
        left_out = total - len(own)
        yield Matches(keypoints[rows[own]], found[own], strengths[own], shares[own], left_out)


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
