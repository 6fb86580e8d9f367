"""Comparing two images takes the decision that a search takes."""

from __future__ import annotations

import numpy as np
import pytest

from bovw.demo.scenes import Collection
from bovw.index import Index
from bovw.options import SearchOptions
from bovw.search import Searcher, describe_query
from tests.queries import described


@pytest.mark.parametrize(
    "options",
    [SearchOptions(), SearchOptions(scoring="tfidf"), SearchOptions(scoring="asmk", rerank=15)],
    ids=["default", "tfidf", "few"],
)
def test_a_search_and_a_comparison_confirm_the_same(
    index: Index, collection: Collection, options: SearchOptions
) -> None:
    searcher = Searcher(index, options)
    confirmed = 0
    for query in collection.queries[:3]:
        path = collection.root / query.name
        features, region = describe_query(path, options=searcher.feature_options)
        hits = searcher.search_features(features, region)
        # A search looks at its candidates alone, which are the best before expansion.
        first = Searcher(index, SearchOptions(scoring=options.scoring, rerank=0, expand=0))
        looked_at = first.search_features(features, region, options.rerank)
        numbers = [index.names.index(hit.name) for hit in looked_at]
        compared = {one.found.image: one for one in searcher.compare(features, region, numbers)}
        for hit in hits:
            image = index.names.index(hit.name)
            if image in numbers:
                assert (hit.transform is not None) == (image in compared)
            if hit.confirmed:
                confirmed += 1
                one = compared[image]
                assert one.confirmed and one.certainty == hit.certainty
                assert one.false_alarms == hit.false_alarms
                assert one.probability == hit.probability
                assert hit.inliers == one.found.evidence.inliers
                assert hit.transform is not None
                assert np.array_equal(hit.transform, one.found.transform)
    assert confirmed >= 9


def test_without_verification_a_comparison_asks_for_as_much(
    index: Index, collection: Collection
) -> None:
    """Chance is no smaller because a search verifies nothing."""
    query = collection.root / collection.queries[0].name
    searcher = Searcher(index, SearchOptions(rerank=0))
    features, region = described(query, searcher.feature_options)
    compared = searcher.compare(features, region, range(len(index)))
    assert all(one.false_alarms > 0 for one in compared)
    names = {index.names[one.found.image] for one in compared if one.confirmed}
    assert names >= {view.name for view in collection.views_of(0)}
    assert len(names) < len(index)
