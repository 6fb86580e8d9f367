"""Just-in-time kernels that score one segment's postings."""

from __future__ import annotations

import numpy as np
from numba import float64, int32, int64

from bovw.jit import array, kernel


@kernel(array(int64), array(int32), array(int32), array(float64), float64[::1])
def add_tfidf(offsets, images, words, weights, scores):  # type: ignore[no-untyped-def]
    """Add to `scores` [images] the dot product of a query with every image of a segment.

    A posting is one feature; an image's postings in a word are neighbours, so the length of the
    run is its term frequency: score += weight(word) * sqrt(tf).

    Returns False where a damaged file names an image that is not there.
    """
    for i in range(len(words)):
        position = offsets[words[i]]
        end = offsets[words[i] + 1]
        while position < end:
            start = position
            image = images[position]
            while position < end and images[position] == image:
                position += 1
            if not 0 <= image < len(scores):
                return False
            scores[image] += weights[i] * np.sqrt(position - start)
    return True
