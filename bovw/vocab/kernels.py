"""Just-in-time kernels of the nearest-word search.

All values are whole numbers below 2^24, which float32 adds exactly in any order.
"""

from __future__ import annotations

import numpy as np
from numba import float32, int32, int64, njit, uint8

from bovw.compute.jit import array, helper, kernel

# Dimensions that `_distances` adds at a time, for fewer passes over its sums.
STRIDE = 8
# Cells are padded to a multiple of this many words, which are added at once.
LANES = 16


@helper
def _keep_least(values, names, value, name):  # type: ignore[no-untyped-def]
    """Insert a value into an ascending list and drop the greatest, which must exceed it."""
    place = len(values) - 1
    while place > 0 and values[place - 1] > value:
        values[place] = values[place - 1]
        names[place] = names[place - 1]
        place -= 1
    values[place] = value
    names[place] = name


@kernel(array(float32, 2), int64)
def least(values, count):  # type: ignore[no-untyped-def]
    """Return the columns of each row's `count` least values, ascending: int32 [n, count]."""
    columns = np.full((len(values), count), -1, np.int32)
    kept = np.empty(count, np.float32)
    for row in range(len(values)):
        kept[:] = np.inf
        for column in range(values.shape[1]):
            if values[row, column] < kept[-1]:
                _keep_least(kept, columns[row], values[row, column], column)
    return columns


@helper
def _keep_nearest(kept, found, distances, start):  # type: ignore[no-untyped-def]
    """Insert the distances [n] of the words from `start` on into a list of the nearest."""
    greatest = kept[-1]
    for j in range(len(distances)):
        if distances[j] < greatest:
            _keep_least(kept, found, distances[j], start + j)
            greatest = kept[-1]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _distances(first, second, words, to_first, to_second):  # type: ignore[no-untyped-def]
    """Subtract the products of two queries [d] with words [d, n] from two arrays [n].

    Two queries at a time, because reading the words takes as long as multiplying them.
    """
    for k in range(0, len(first), STRIDE):
        q0, q1, q2, q3 = first[k], first[k + 1], first[k + 2], first[k + 3]
        q4, q5, q6, q7 = first[k + 4], first[k + 5], first[k + 6], first[k + 7]
        p0, p1, p2, p3 = second[k], second[k + 1], second[k + 2], second[k + 3]
        p4, p5, p6, p7 = second[k + 4], second[k + 5], second[k + 6], second[k + 7]
        x0, x1, x2, x3 = words[k], words[k + 1], words[k + 2], words[k + 3]
        x4, x5, x6, x7 = words[k + 4], words[k + 5], words[k + 6], words[k + 7]
        for j in range(to_first.size):
            a, b, c, d, e, f, g, h = x0[j], x1[j], x2[j], x3[j], x4[j], x5[j], x6[j], x7[j]
            to_first[j] -= q0 * a + q1 * b + q2 * c + q3 * d + q4 * e + q5 * f + q6 * g + q7 * h
            to_second[j] -= p0 * a + p1 * b + p2 * c + p3 * d + p4 * e + p5 * f + p6 * g + p7 * h


@helper
def _by_cell(probes, cells):  # type: ignore[no-untyped-def]
    """Return the queries that probe each cell: (starts int64 [cells + 1], rows int32 [n p]).

    A number that is no cell's is left out.
    """
    starts = np.zeros(cells + 1, np.int64)
    for cell in probes.flat:
        if 0 <= cell < cells:
            starts[cell + 1] += 1
    starts = np.cumsum(starts)
    free = starts.copy()
    rows = np.empty(probes.size, np.int32)
    for row in range(len(probes)):
        for cell in probes[row]:
            if 0 <= cell < cells:
                rows[free[cell]] = row
                free[cell] += 1
    return starts, rows


@kernel(array(float32, 2), array(int32, 2), array(float32), array(float32), array(int64), int64)
def shortlist(queries, probes, coordinates, squares, starts, count):  # type: ignore[no-untyped-def]
    """Find the words nearest to each query in the cells that it probes.

    queries      [n, d], twice the coordinates, d a multiple of STRIDE
    probes       int32 [n, p]: numbers of cells
    coordinates  cell c's words from d * starts[c] on: [d, words of c]
    squares      squared norm of every word, words ordered by cell
    starts       int64 [cells + 1]: the words of cell c are starts[c] to starts[c + 1]

    Returns the words' places in that order: int32 [n, count], -1 if there are fewer. It goes cell
    by cell, to read a cell's coordinates from memory once for all queries.
    """
    dimensions = queries.shape[1]
    first, rows = _by_cell(probes, len(starts) - 1)
    found = np.full((len(queries), count), -1, np.int32)
    kept = np.full((len(queries), count), np.inf, np.float32)
    for cell in range(len(starts) - 1):
        start, end = starts[cell], starts[cell + 1]
        words = coordinates[dimensions * start : dimensions * end].reshape(dimensions, end - start)
        ones, others = np.empty(end - start, np.float32), np.empty(end - start, np.float32)
        for asker in range(first[cell], first[cell + 1], 2):
            # The last of an odd number is paired with itself.
            pair = min(2, first[cell + 1] - asker)
            one, other = rows[asker], rows[asker + pair - 1]
            ones[:] = others[:] = squares[start:end]
            _distances(queries[one], queries[other], words, ones, others)
            _keep_nearest(kept[one], found[one], ones, start)
            if pair == 2:
                _keep_nearest(kept[other], found[other], others, start)
    return found


@kernel(array(uint8, 2), array(uint8, 2), array(int32, 2), int64)
def nearest_of(queries, words, shortlists, count):  # type: ignore[no-untyped-def]
    """Return the `count` nearest of each query's shortlisted words: int32 [n, count].

    Ties go to the lower number; -1 if there are fewer.
    """
    nearest = np.full((len(queries), count), -1, np.int32)
    kept = np.empty(count, np.int64)
    for row in range(len(queries)):
        kept[:] = 1 << 62
        for word in shortlists[row]:
            if word < 0:
                continue
            distance = np.int32(0)
            for j in range(words.shape[1]):
                difference = np.int32(queries[row, j]) - np.int32(words[word, j])
                distance += difference * difference
            key = (np.int64(distance) << 32) + word
            if key < kept[-1]:
                _keep_least(kept, nearest[row], key, word)
    return nearest
