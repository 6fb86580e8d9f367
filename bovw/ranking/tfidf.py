"""TF-IDF: the cosine between histograms of visual words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bovw.options import SearchOptions
from bovw.ranking.kernels import add_tfidf
from bovw.ranking.postings import Collection, Postings, gather_votes
from bovw.records import Floats, Words


def score_tfidf(
    words: Words,
    segments: Sequence[Postings],
    collection: Collection,
    options: SearchOptions = SearchOptions(),
) -> Floats:
    """Return every image's cosine with the query: float32 [images], 0 to 1.

    A histogram has the word's weight for each word that is there (Sivic and Zisserman, ICCV 2003).
    How often it is there counts for nothing: repeated windows and tiles fill an image with the same
    words (burstiness: Jégou, Douze, Schmid, CVPR 2009), and a term frequency of at most 1 found
    more than its square root. A query feature votes for its nearest word.

    Raises FormatError where the postings are damaged.
    """
    query = np.unique(words.ids[:, 0])
    histogram = collection.weights[query].astype(np.float64)
    products = gather_votes(
        segments,
        lambda segment, into: add_tfidf(segment.offsets, segment.images, query, histogram**2, into),
    )
    cosines = products / ((np.linalg.norm(histogram) or 1.0) * collection.norms)
    return cosines.astype(np.float32)
