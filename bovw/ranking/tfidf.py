"""TF-IDF: the cosine between histograms of visual words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bovw.errors import FormatError
from bovw.ranking.kernels import add_tfidf
from bovw.records import Floats, Ints, Words


class Postings(Protocol):
    """What a ranking reads of a segment."""

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """Where each word's postings begin: int64 [words + 1]."""

    @property
    def images(self) -> Ints:
        """Image numbers within the segment, int32 [n]."""

    @property
    def sizes(self) -> Ints:
        """One row an image."""


class Weighting(Protocol):
    """What TF-IDF knows of the whole collection."""

    @property
    def weights(self) -> Floats:
        """Of every word, float32 [words]."""

    @property
    def norms(self) -> Floats:
        """L2 norms of every image's histogram, float32 [images]."""


def score_tfidf(words: Words, segments: Sequence[Postings], collection: Weighting) -> Floats:
    """Return every image's cosine with the query: float32 [images], 0 to 1.

    A histogram has sqrt(tf) * weight for each word (Sivic and Zisserman, ICCV 2003; the square root
    against bursts is Jégou, Douze, Schmid, CVPR 2009). A query feature votes for its nearest word.

    Raises FormatError where the postings are damaged.
    """
    query, counts = np.unique(words.ids[:, 0], return_counts=True)
    weights = collection.weights[query].astype(np.float64)
    histogram = weights * np.sqrt(counts)
    scores = []
    for segment in segments:
        into = np.zeros(len(segment.sizes))
        if not add_tfidf(segment.offsets, segment.images, query, histogram * weights, into):
            raise FormatError("the index's postings are damaged: index again with `bovw index`")
        scores.append(into)
    norm = np.linalg.norm(histogram) or 1.0
    cosines: Floats = np.concatenate([*scores, np.empty(0)]) / (norm * collection.norms)
    return cosines.astype(np.float32)
