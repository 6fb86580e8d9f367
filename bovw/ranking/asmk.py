"""ASMK*: one aggregated binary residual per word and image, matched selectively."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bovw.options import SearchOptions
from bovw.ranking.kernels import add_asmk
from bovw.ranking.votes import Collection, gather_votes
from bovw.records import Doubles, Floats, Ints, InvertedFile, Signatures, Words

# Selectivity and threshold of Tolias, Avrithis, Jégou, ICCV 2013, section 5.
ALPHA = 3.0
TAU = 0.0


def score_asmk(
    words: Words,
    files: Sequence[InvertedFile],
    collection: Collection,
    options: SearchOptions = SearchOptions(),
) -> Floats:
    """Return every image's similarity to the query: float32 [images], 0 to 1.

    Tolias, Avrithis, Jégou, "To aggregate or not to aggregate", ICCV 2013. In every word that both
    have, u is the similarity of the two aggregated signatures. It counts u^ALPHA if u > TAU. The
    sum is normalised: an image is 1 to itself. The paper takes the signs of the summed residuals.
    The index keeps only each residual's signs, so their majority stands in. Both are the same if an
    image has one feature in a word.

    Raises FormatError if the postings are damaged.
    """
    ids, signatures = _aggregate(words, options.words)
    votes = selective_votes(64 * words.signatures.shape[2])
    gathered = gather_votes(files, lambda file, into: add_asmk(file, ids, signatures, votes, into))
    counts = np.maximum(collection.distinct, 1).astype(np.float64) * max(len(ids), 1)
    return (gathered / np.sqrt(counts)).astype(np.float32)


def selective_votes(bits: int) -> Doubles:
    """Return the vote for every Hamming distance: float64 [bits + 1]."""
    similarities = 1 - 2 * np.arange(bits + 1) / bits
    votes: Doubles = np.where(similarities > TAU, np.abs(similarities) ** ALPHA, 0.0)
    return votes


def _aggregate(words: Words, count: int) -> tuple[Ints, Signatures]:
    """Return the query's different words [k] and the majority of the signatures in each."""
    ids = words.ids[:, :count].reshape(-1)
    bits = np.unpackbits(
        words.signatures[:, :count].reshape(len(ids), words.signatures.shape[2]).view(np.uint8),
        axis=1,
        bitorder="little",
    )
    order = np.argsort(ids, kind="stable")[np.count_nonzero(ids < 0) :]
    different, starts, counts = np.unique(ids[order], return_index=True, return_counts=True)
    if not len(different):
        return different, words.signatures[:0, 0]
    sums = np.add.reduceat(bits[order], starts, axis=0, dtype=np.int64)
    majority = 2 * sums >= counts[:, None]
    return different, np.packbits(majority, axis=1, bitorder="little").view("<u8")
