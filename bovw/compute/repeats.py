"""Bounds what features cost that repeat: a query's work grows with its features, not their square.

A page of text, a wall or a halftone has hundreds of features in one visual word, as has every
picture of its kind. They say the same, so some of them may speak for all.
"""

from __future__ import annotations

import numpy as np

from bovw.records import Ints, Longs

# Features of a query in one word that a feature meets, itself included, on average. 1 of 504
# photographs has more than this, 99 of 100 have fewer than 11; drawn walls and pages have 60 to
# 1,400.
MOST_ALIKE = 16


def thin_out(ids: Ints, most: int = MOST_ALIKE) -> Ints:
    """Let only some of the features that share a word ask for it: int32 [n, m], -1 for none.

    So many ask, at most, that features meet `most` others in their word on average; every column
    is looked at alone. Those that ask are spread evenly over the rows. A feature that does not ask
    for its nearest word asks for no other: some that are like it do.

    ids  int32 [n, m]: m words of each feature, nearest first, -1 for none
    """
    for column in range(ids.shape[1]):
        rows = np.flatnonzero(ids[:, column] >= 0)
        counts = np.sort(np.unique(ids[rows, column], return_counts=True)[1])
        if counts @ counts <= most * len(ids):
            continue
        asking = _asking(counts, most * len(ids))
        numbers, alike = number_repeats(ids[rows, column])
        ids = ids.copy()
        silent = rows[numbers * asking % alike >= asking]
        ids[silent, column if column else slice(None)] = -1
    return ids


def number_repeats(ids: Ints) -> tuple[Longs, Longs]:
    """Return how many earlier entries equal each one, and how many do in all: int64 [n] each."""
    order = np.argsort(ids, kind="stable")
    firsts = np.flatnonzero(np.diff(ids[order], prepend=ids.min(initial=0) - 1))
    lengths = np.diff(firsts, append=len(ids))
    numbers, counts = np.empty(len(ids), np.int64), np.empty(len(ids), np.int64)
    numbers[order] = np.arange(len(ids)) - np.repeat(firsts, lengths)
    counts[order] = np.repeat(lengths, lengths)
    return numbers, counts


def _asking(counts: Longs, most: int) -> int:
    """Return how many may ask in a word, so that those that ask meet `most` in all; at least 1.

    counts  int64 [words], ascending: features in each word
    """
    squares, more = np.cumsum(counts**2), counts[::-1].cumsum()[::-1]
    # What they meet if each word's own number ask, at most, in all of them. All would be too many.
    met = squares + counts * (more - counts)
    first = int(np.searchsorted(met, most, side="right"))
    below = int(squares[first - 1]) if first else 0
    return max(1, (most - below) // int(more[first]))
