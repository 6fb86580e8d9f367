"""Just-in-time kernels that find tentative matches in one segment."""

from __future__ import annotations

import numpy as np
from numba import int32, int64, uint64

from bovw.compute.jit import array, differing_bits, helper, kernel
from bovw.compute.kernels import INVERTED_FILE, fetch_lists, next_image


@helper
def _by_slot(found, starts):  # type: ignore[no-untyped-def]
    """Sort rows by their first column and drop it; the rows of slot s begin at starts[s]."""
    free = starts.copy()
    ordered = np.empty((len(found), found.shape[1] - 1), np.int64)
    for row in found:
        ordered[free[row[0]]] = row[1:]
        free[row[0]] += 1
    return ordered


@kernel(INVERTED_FILE, array(int32, 2), array(uint64, 3), array(int32), int64)
def find_matches(file, words, query, slots, limit):  # type: ignore[no-untyped-def]
    """Find the postings close to each query feature, sorted by candidate.

    file     the segment's inverted file
    words    int32 [n, m], -1 for none; `query` uint64 [n, m, bits / 64]: signatures in them
    slots    int32 [images]: each image's place among the candidates, -1 for other images
    limit    greatest Hamming distance

    Returns (starts, matches int64 [n, 3]). Candidate c has matches starts[c] to starts[c + 1]. Each
    is the row of a query feature, a posting and their distance. starts is empty if the gaps are
    damaged.
    """
    starts = np.zeros(slots.max() + 2, np.int64)
    # A match's slot, feature, posting and distance; the array is doubled when full.
    found = np.empty((1024, 4), np.int64)
    count = 0
    # The candidates' postings of one list.
    own, owners = np.empty(0, np.int64), np.empty(0, np.int32)
    for i in range(words.shape[0]):
        fetch_lists(file, words, i)
        for j in range(words.shape[1]):
            word = words[i, j]
            if word < 0:
                continue
            image, wanted = 0, 0
            place, end = file.places[word], file.places[word + 1]
            if file.offsets[word + 1] - file.offsets[word] > len(own):
                own = np.empty(file.offsets[word + 1] - file.offsets[word], np.int64)
                owners = np.empty(len(own), np.int32)
            for posting in range(file.offsets[word], file.offsets[word + 1]):
                image, place = next_image(file.gaps, place, end, image)
                if not 0 <= image < len(slots):
                    return starts[:0], found[:0]
                # Always written, which is quicker than a branch; few are kept.
                own[wanted] = posting
                owners[wanted] = slots[image]
                wanted += slots[image] >= 0
            for k in range(wanted):
                posting, slot = own[k], owners[k]
                distance = differing_bits(query[i, j], file.signatures[posting])
                if distance > limit:
                    continue
                if count == len(found):
                    found = np.concatenate((found, np.empty_like(found)))
                found[count, 0], found[count, 1] = slot, i
                found[count, 2], found[count, 3] = posting, distance
                starts[slot + 1] += 1
                count += 1
    starts = np.cumsum(starts)
    return starts, _by_slot(found[:count], starts)
