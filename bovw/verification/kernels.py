"""Just-in-time kernels that find tentative matches in one segment."""

from __future__ import annotations

import numpy as np
from numba import int32, int64, uint8, uint64

from bovw.jit import array, differing_bits, kernel
from bovw.kernels import next_image


@kernel(
    array(int64),
    array(int64),
    array(uint8),
    array(uint64, 2),
    array(int32, 2),
    array(uint64, 3),
    array(int32),
    int64,
)
def find_matches(offsets, places, gaps, signatures, words, query, slots, limit):  # type: ignore[no-untyped-def]
    """Find the postings close to each query feature, sorted by the candidate they belong to.

    offsets, places, gaps, signatures  of the segment
    words    int32 [n, m], -1 for none; `query` uint64 [n, m, bits / 64]: signatures in them
    slots    int32 [images]: each image's place among the candidates, -1 where it is none
    limit    greatest Hamming distance

    Returns (starts, features, postings, distances): candidate c has those from starts[c] to
    starts[c + 1]; starts is empty where the gaps are damaged.
    """
    starts = np.zeros(slots.max() + 2, np.int64)
    features = np.empty(0, np.int32)
    postings = np.empty(0, np.int64)
    distances = np.empty(0, np.int32)
    # Once to count and once to fill: cheaper than sorting the matches afterwards.
    for filling in (False, True):
        if filling:
            starts = np.cumsum(starts)
            features = np.empty(starts[-1], np.int32)
            postings = np.empty(starts[-1], np.int64)
            distances = np.empty(starts[-1], np.int32)
            free = starts.copy()
        for i in range(words.shape[0]):
            for j in range(words.shape[1]):
                word = words[i, j]
                if word < 0:
                    continue
                image = 0
                place, end = places[word], places[word + 1]
                for posting in range(offsets[word], offsets[word + 1]):
                    image, place = next_image(gaps, place, end, image)
                    if not 0 <= image < len(slots):
                        return starts[:0], features[:0], postings[:0], distances[:0]
                    slot = slots[image]
                    if slot < 0:
                        continue
                    distance = differing_bits(query[i, j], signatures[posting])
                    if distance > limit:
                        continue
                    if filling:
                        features[free[slot]] = i
                        postings[free[slot]] = posting
                        distances[free[slot]] = distance
                        free[slot] += 1
                    else:
                        starts[slot + 1] += 1
    return starts, features, postings, distances
