"""Just-in-time kernels that count over one segment's postings."""

from __future__ import annotations

import numba


@numba.njit(cache=True, nogil=True)
def count_images(offsets, images, frequencies):  # type: ignore[no-untyped-def]
    """Add to `frequencies` [words] the number of different images among each word's postings."""
    for word in range(len(offsets) - 1):
        last = -1
        for position in range(offsets[word], offsets[word + 1]):
            if images[position] != last:
                last = images[position]
                frequencies[word] += 1


@numba.njit(cache=True, nogil=True)
def add_squared_norms(offsets, images, weights, squares):  # type: ignore[no-untyped-def]
    """Add to `squares` [images] the sum over words of (weight * sqrt(tf))^2 = weight^2 * tf."""
    for word in range(len(offsets) - 1):
        square = weights[word] * weights[word]
        for position in range(offsets[word], offsets[word + 1]):
            squares[images[position]] += square
