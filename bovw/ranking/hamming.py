"""Hamming embedding: votes by how close two features' signatures are."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import iadd

import numpy as np

from bovw.compute.parallel import available_threads
from bovw.errors import damaged_postings
from bovw.options import SearchOptions
from bovw.ranking.kernels import TURNS, add_turned, vote_by_turn
from bovw.ranking.votes import Collection, gather_votes
from bovw.records import Doubles, Floats, Postings, Words

# Features from which a query is worth a second thread: the halves' votes are added afterwards, so
# that scores do not depend on how many threads there are.
LARGE_QUERY = 1_000


def score_hamming(
    words: Words,
    segments: Sequence[Postings],
    collection: Collection,
    options: SearchOptions = SearchOptions(),
) -> Floats:
    """Return a score for every image: float32 [images], 0 for one without a match.

    A query feature looks in the lists of its `options.words` nearest words (multiple assignment:
    Jégou, Douze, Schmid, IJCV 2010), and votes with idf^2 exp(-(h / sigma)^2) for a signature at
    Hamming distance h <= `options.matching_distance` (Hamming embedding, ECCV 2008; the Gaussian:
    CVPR 2009). Where `options.burstiness`, repeated structure is kept down on both sides, in the
    spirit of the latter: an image gets a feature's strongest vote alone, and the features of the
    query that share a nearest word share one voice. Where `options.consistency`, votes also count
    for how much they agree about the turn between the two pictures (weak geometric consistency,
    ECCV 2008): those of the turn with most votes count three times, four times where it is none.
    The sum is divided by the root of the numbers of features, of the image and of the query.

    Raises FormatError where the postings are damaged.
    """
    ids = np.ascontiguousarray(words.ids[:, : options.words])
    signatures = np.ascontiguousarray(words.signatures[:, : options.words])
    weights = collection.weights[ids].astype(np.float64)
    if options.burstiness:
        weights *= _voices(words)[:, None]
    votes = gaussian_votes(64 * words.signatures.shape[2], options)
    half = len(words) // 2 if len(words) >= LARGE_QUERY else 0
    parts = [slice(half), slice(half, None)] if half else [slice(None)]

    def add(segment: Postings, into: Doubles) -> bool:
        def vote(part: slice) -> Doubles:
            turned = np.zeros((len(segment.sizes), TURNS))
            if not vote_by_turn(
                segment.offsets,
                segment.places,
                segment.gaps,
                segment.signatures,
                segment.frames,
                ids[part],
                signatures[part],
                words.angles[part],
                weights[part],
                votes,
                options.burstiness,
                turned,
            ):
                raise damaged_postings()
            return turned

        with ThreadPoolExecutor(min(len(parts), available_threads())) as threads:
            turned = reduce(iadd, threads.map(vote, parts))
        add_turned(turned, options.consistency, into)
        return True

    gathered = gather_votes(segments, add)
    features = np.maximum(collection.features, 1).astype(np.float64) * max(len(words), 1)
    return (gathered / np.sqrt(features)).astype(np.float32)


def gaussian_votes(bits: int, options: SearchOptions) -> Doubles:
    """Return the vote for every Hamming distance: float64 [bits + 1]."""
    shares = np.arange(bits + 1) / bits
    votes: Doubles = np.exp(-((shares / options.sigma) ** 2))
    votes[shares > options.matching_distance] = 0
    return votes


def _voices(words: Words) -> Doubles:
    """Return the share of a voice that each feature has: float64 [n]."""
    _, word, counts = np.unique(words.ids[:, 0], return_inverse=True, return_counts=True)
    voices: Doubles = 1 / counts[word]
    return voices
