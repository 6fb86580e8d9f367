"""Pictures that were drawn: their true homographies are recovered."""

from __future__ import annotations

import numpy as np

from bovw.demo.scenes import Collection, View, transform_between
from bovw.records import Doubles, Ints, WordQuery
from bovw.search.searcher import Searcher
from bovw.verification import LEAST, Verified, verify_images
from tests.queries import described
from tests.verification.planted import CORNERS, carried


def verifications(searcher: Searcher, collection: Collection, query: View) -> list[Verified]:
    features, region = described(collection.root / query.name, searcher.feature_options)
    words = searcher.vocabulary.assign(features, 5)
    index = searcher.index
    everything: Ints = np.arange(len(index), dtype=np.int32)
    weights = index.statistics.weights
    asked = WordQuery(features.keypoints, words, region)
    return verify_images(asked, index.segments, everything, weights, searcher.options)


def scene_error(query: View, view: View, H: Doubles) -> float:
    """Return how far `H` puts the scene's corners from where they are in the view."""
    asked = carried(CORNERS[0], query.homography)
    apart = carried(asked, H) - carried(asked, transform_between(query, view))
    return float(np.linalg.norm(apart, axis=1).max())


def test_true_homographies_are_recovered(searcher: Searcher, collection: Collection) -> None:
    errors, pairs = [], 0
    for query in collection.queries:
        views = {view.name: view for view in collection.views_of(query.scene)}
        pairs += len(views)
        for found in verifications(searcher, collection, query):
            name = searcher.index.names[found.image]
            if name in views and found.evidence.inliers >= 15:
                errors.append(scene_error(query, views[name], found.transform))
    assert len(errors) >= 0.9 * pairs
    assert np.mean(np.array(errors) < 3) >= 0.8
    assert np.median(errors) < 1


def test_most_evidence_comes_first(searcher: Searcher, collection: Collection) -> None:
    found = verifications(searcher, collection, collection.queries[1])
    evidence = [one.evidence.weight for one in found]
    assert evidence == sorted(evidence, reverse=True)
    assert all(one.evidence.inliers == len(one.points) >= LEAST for one in found)
