"""TF-IDF: products of histograms of visual words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bovw.options import SearchOptions
from bovw.ranking.kernels import add_tfidf
from bovw.ranking.votes import Collection, gather_votes
from bovw.records import Floats, InvertedFile, Words


def score_tfidf(
    words: Words,
    files: Sequence[InvertedFile],
    collection: Collection,
    options: SearchOptions = SearchOptions(),
) -> Floats:
    """Return a score for every image: float32 [images], 0 for one without a word in common.

    A histogram holds the weight of each word that occurs (Sivic and Zisserman, ICCV 2003). A query
    feature votes for its nearest word. The term frequency is at most 1, which found more than its
    square root: repeated windows and tiles fill an image with the same words (burstiness: Jégou,
    Douze, Schmid, CVPR 2009). The product of the two histograms is divided by the query's L2 norm
    and by the root of the image's number of features. That found more than the image's L2 norm.

    Raises FormatError if the postings are damaged.
    """
    query = np.unique(words.ids[:, 0])
    histogram = collection.weights[query].astype(np.float64)
    products = gather_votes(
        files,
        lambda file, into: add_tfidf(file, query, histogram**2, into),
    )
    features = np.maximum(collection.features, 1).astype(np.float64)
    norms = (np.linalg.norm(histogram) or 1.0) * np.sqrt(features)
    return (products / norms).astype(np.float32)
