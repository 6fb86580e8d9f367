"""Hamming embedding: votes by the Hamming distance of two features' signatures."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import iadd

import numpy as np

from bovw.compute.jit import read_only
from bovw.compute.repeats import thin_out
from bovw.compute.threads import available_threads
from bovw.errors import damaged_postings
from bovw.options import SearchOptions
from bovw.ranking.kernels import TURNS, Voters, add_turned, vote_by_turn
from bovw.ranking.votes import Collection, gather_votes
from bovw.records import Doubles, Floats, Ints, InvertedFile, Words

# With this many features a query is worth a second thread. It is split even if there is only one,
# so scores do not depend on the number of threads.
LARGE_QUERY = 1_000


def score_hamming(
    words: Words,
    files: Sequence[InvertedFile],
    collection: Collection,
    options: SearchOptions = SearchOptions(),
) -> Floats:
    """Return a score for every image: float32 [images], 0 for one without a match.

    A query feature looks in the postings of its `options.words` nearest words (multiple assignment:
    Jégou, Douze, Schmid, IJCV 2010). It votes with idf^2 exp(-(h / sigma)^2) for a signature at
    Hamming distance h <= `options.matching_distance` (Hamming embedding, ECCV 2008; the Gaussian:
    CVPR 2009). `options.burstiness` limits repeated structure on both sides, in the spirit of the
    latter: an image gets only a feature's strongest vote, and query features with the same nearest
    word share one vote. `options.consistency` rewards votes that agree about the turn between the
    two pictures (weak geometric consistency, ECCV 2008). Those of the turn with most votes count
    three times, or four times if that turn is none. The sum is divided by the root of the product
    of the image's and the query's number of features.

    Raises FormatError if the postings are damaged.
    """
    voters = _voters(words, collection, options)
    votes = gaussian_votes(64 * words.signatures.shape[2], options)
    half = len(words) // 2 if len(words) >= LARGE_QUERY else 0
    parts = [slice(half), slice(half, None)] if half else [slice(None)]
    shares = [Voters(*(read_only(column[part]) for column in voters)) for part in parts]

    def add(file: InvertedFile, into: Doubles) -> bool:
        def vote(share: Voters) -> Doubles:
            turned = np.zeros((file.images, TURNS))
            if not vote_by_turn(file, share, votes, options.burstiness, turned):
                raise damaged_postings()
            return turned

        with ThreadPoolExecutor(min(len(shares), available_threads())) as threads:
            turned = reduce(iadd, threads.map(vote, shares))
        add_turned(turned, options.consistency, into)
        return True

    gathered = gather_votes(files, add)
    features = np.maximum(collection.features, 1).astype(np.float64) * max(len(words), 1)
    return (gathered / np.sqrt(features)).astype(np.float32)


def _voters(words: Words, collection: Collection, options: SearchOptions) -> Voters:
    """Return a query's features with the weight of each of their votes."""
    ids = thin_out(words.ids[:, : options.words])
    weights = collection.weights[ids].astype(np.float64)
    if options.burstiness:
        weights *= _burst_weights(ids)[:, None]
    return Voters(ids, words.signatures[:, : options.words], words.angles, weights)


def gaussian_votes(bits: int, options: SearchOptions) -> Doubles:
    """Return the vote for every Hamming distance: float64 [bits + 1]."""
    shares = np.arange(bits + 1) / bits
    votes: Doubles = np.exp(-((shares / options.sigma) ** 2))
    votes[shares > options.matching_distance] = 0
    return votes


def _burst_weights(ids: Ints) -> Doubles:
    """Return 1 / the number of features with the same nearest word: float64 [n]."""
    _, word, counts = np.unique(ids[:, 0], return_inverse=True, return_counts=True)
    shares: Doubles = 1 / counts[word]
    return shares
