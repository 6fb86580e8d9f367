"""Searches of a drawn collection: its scenes are found, however they are asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from bovw.demo.scenes import Collection, draw_scene, scene_box
from bovw.errors import ImageError, QueryError, UsageError
from bovw.geometry import warp_box
from bovw.index import Index
from bovw.options import FeatureOptions, SearchOptions
from bovw.records import Box
from bovw.search import limit_postings, question, rank_images
from bovw.search.question import LocalBackend
from bovw.search.searcher import Searcher
from bovw.verification import Calibration
from tests.queries import described, search
from tests.search.hits import each_scoring, same

# Finding


@pytest.mark.parametrize("rerank", [100, 0])
def test_every_query_finds_its_own_scene_first(
    index: Index, collection: Collection, rerank: int
) -> None:
    searcher = Searcher(index, SearchOptions(rerank=rerank))
    for query in collection.queries:
        hits = search(searcher, collection.root / query.name, 3)
        assert {hit.name for hit in hits} == {v.name for v in collection.views_of(query.scene)}
        assert all(hit.confirmed == (rerank > 0) for hit in hits)


@pytest.mark.slow
def test_a_region_finds_its_scene(searcher: Searcher, collection: Collection) -> None:
    for query in collection.queries:
        box = scene_box(query.homography)
        middle = Box(
            *((3 * a + b) / 4 for a, b in ((box.x1, box.x2), (box.y1, box.y2))),
            *((a + 3 * b) / 4 for a, b in ((box.x1, box.x2), (box.y1, box.y2))),
        )
        hit = searcher.search(collection.root / query.name, topk=1, region=middle)[0]
        assert hit.name in {view.name for view in collection.views_of(query.scene)}
        assert hit.transform is not None
        assert hit.box is not None
        assert np.allclose(hit.box, warp_box(hit.transform, middle))


@pytest.mark.parametrize("as_file", [True, False])
def test_a_region_of_a_large_picture_is_seen_at_its_own_resolution(
    searcher: Searcher, collection: Collection, tmp_path: Path, as_file: bool
) -> None:
    query = collection.queries[0]
    small = cv2.imread(str(collection.root / query.name))
    assert small is not None
    height, width = small.shape[:2]
    large = np.full((3000, 4000, 3), 128, np.uint8)
    large[2100 : 2100 + height, 1700 : 1700 + width] = small
    cv2.imwrite(str(tmp_path / "large.png"), large)
    region = Box(1700, 2100, 1700 + width, 2100 + height)
    # OpenCV's colours are in the other order.
    asked = tmp_path / "large.png" if as_file else np.ascontiguousarray(large[..., ::-1])
    [part] = searcher.search(asked, 1, region)
    cv2.imwrite(str(tmp_path / "cut.png"), small)
    [cut] = searcher.search(tmp_path / "cut.png", 1)
    assert part.name == cut.name in {view.name for view in collection.views_of(query.scene)}
    assert (part.inliers, part.confirmed) == (cut.inliers, True)
    assert part.box is not None and cut.box is not None
    np.testing.assert_allclose(part.box, cut.box, atol=0.5)


def test_hits_are_ranked_and_verified_ones_lead(searcher: Searcher, collection: Collection) -> None:
    for query in collection.queries:
        hits = search(searcher, collection.root / query.name)
        assert [hit.rank for hit in hits] == list(range(1, len(searcher.index) + 1))
        assert sorted(hit.name for hit in hits) == sorted(searcher.index.names)
        unverified = [hit.score for hit in hits if not hit.confirmed]
        assert unverified == sorted(unverified, reverse=True)
        assert all(hit.score > max(unverified, default=0) for hit in hits if hit.confirmed)
        scores = [hit.score for hit in hits]
        assert scores == sorted(scores, reverse=True)
        confirmed = [hit.confirmed for hit in hits]
        assert confirmed == sorted(confirmed, reverse=True)
        for hit in hits:
            agrees = hit.transform is not None
            assert agrees == (hit.box is not None) == (hit.inliers >= 3)
            assert agrees == (hit.false_alarms is not None) == (hit.probability > 0)
            most = searcher.options.max_false_alarms
            assert hit.confirmed == (hit.false_alarms is not None and hit.false_alarms <= most)
        agreeing = [hit.transform is not None for hit in hits]
        assert agreeing == sorted(agreeing, reverse=True)


@each_scoring
@pytest.mark.parametrize("rerank", [100, 2, 0])
@pytest.mark.parametrize("expand", [30, 1, 0])
def test_scores_fall_with_rank(
    index: Index, collection: Collection, scoring: str, rerank: int, expand: int
) -> None:
    searcher = Searcher(index, SearchOptions(scoring=scoring, rerank=rerank, expand=expand))
    for query in collection.queries[:2]:
        hits = search(searcher, collection.root / query.name)
        assert [hit.rank for hit in hits] == list(range(1, len(index) + 1))
        scores = [hit.score for hit in hits]
        assert np.isfinite(scores).all()
        assert scores == sorted(scores, reverse=True)
        confirmed = [hit.confirmed for hit in hits]
        assert confirmed == sorted(confirmed, reverse=True)


@pytest.mark.slow
@each_scoring
def test_expansion_leaves_verified_hits_on_top(
    index: Index, collection: Collection, scoring: str
) -> None:
    """It moves the others alone, whose scores it only adds to."""
    for query in collection.queries[:3]:
        image = collection.root / query.name
        off, on = (
            search(Searcher(index, SearchOptions(scoring=scoring, expand=expand)), image)
            for expand in (0, 30)
        )
        count = sum(hit.confirmed for hit in off)
        assert count >= 2
        assert all(hit.confirmed for hit in on[:count])
        assert same([replace(hit, score=0) for hit in on[:count]],
                    [replace(hit, score=0) for hit in off[:count]])  # fmt: skip
        # Above the best of the others, by the same steps.
        steps = [np.diff([hit.score for hit in hits[:count]]) for hits in (off, on)]
        assert np.allclose(steps[0], steps[1], rtol=1e-9, atol=1e-9)
        before = {hit.name: hit.score for hit in off[count:]}
        after = {hit.name: hit.score for hit in on[count:]}
        assert before.keys() == after.keys()
        assert all(after[name] >= score for name, score in before.items())
        assert any(after[name] > score for name, score in before.items())


def test_expansion_without_verified_hits_changes_nothing(
    index: Index, collection: Collection
) -> None:
    image = collection.root / collection.queries[0].name
    for options, factor in ((SearchOptions(rerank=0), 1.0), (SearchOptions(), 1e301)):
        searchers = Searcher(index, replace(options, expand=0)), Searcher(index, options)
        for searcher in searchers:
            # Where chance gives everything, nothing that agrees is worth a look.
            vars(searcher)["calibration"] = Calibration(factor)
        without, expanded = (search(searcher, image) for searcher in searchers)
        assert not any(hit.confirmed or hit.transform is not None for hit in without)
        assert same(expanded, without)


@pytest.mark.slow
def test_pixels_are_as_good_as_their_file(
    searcher: Searcher, collection: Collection, tmp_path: Path
) -> None:
    pixels = cv2.imread(str(collection.root / collection.queries[0].name), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(tmp_path / "query.png"), pixels)
    from_file = searcher.search(tmp_path / "query.png")
    assert same(searcher.search(np.asarray(pixels, np.uint8)), from_file)
    assert same(searcher.search(str(tmp_path / "query.png")), from_file)


def test_more_hits_than_images(searcher: Searcher, collection: Collection) -> None:
    query = collection.root / collection.queries[0].name
    assert len(search(searcher, query, 10_000)) == len(searcher.index)
    assert len(search(searcher, query, 2)) == 2
    for topk in (0, -1):
        with pytest.raises(UsageError, match=f"topk is {topk}: give 1 or more"):
            searcher.search(query, topk)
        with pytest.raises(UsageError, match="topk"):
            search(searcher, query, topk)


def test_searching_twice_gives_the_same(searcher: Searcher, collection: Collection) -> None:
    query = collection.root / collection.queries[2].name
    assert same(searcher.search(query), searcher.search(query))


@each_scoring
@pytest.mark.parametrize("count", [1, 2, 3, 300])
def test_few_or_equal_features_rank_and_verify_nothing(
    scoring: str, count: int, index: Index, collection: Collection
) -> None:
    """One, two or three features, and one feature three hundred times."""
    searcher = Searcher(index, SearchOptions(scoring=scoring))
    picture = collection.root / collection.queries[0].name
    features, region = described(picture, searcher.feature_options)
    rows = np.arange(count) if count < 4 else np.zeros(count, np.int64)
    few = replace(
        features, keypoints=features.keypoints[rows], descriptors=features.descriptors[rows]
    )
    hits = searcher.search_features(few, region)
    assert len(hits) == len(index)
    assert not any(hit.confirmed for hit in hits)
    scores = np.array([hit.score for hit in hits])
    assert np.isfinite(scores).all() and (np.diff(scores) <= 0).all()
    alone = Searcher(index, SearchOptions(scoring=scoring, rerank=0))
    assert same(hits, alone.search_features(few, region)), "the ranking is unchanged"


# Queries that cannot be answered


def test_a_query_without_features(searcher: Searcher) -> None:
    with pytest.raises(QueryError, match="no features"):
        searcher.search(np.full((200, 200), 128, np.uint8))


@pytest.mark.parametrize("region", [(700, 0, 800, 100), (0, 0, 0, 50), (50, 50, 10, 90)])
def test_a_region_outside(
    searcher: Searcher, collection: Collection, region: tuple[float, ...]
) -> None:
    with pytest.raises(QueryError, match="region"):
        searcher.search(collection.root / collection.queries[0].name, region=Box(*region))


def test_a_region_without_features(searcher: Searcher, collection: Collection) -> None:
    path = collection.root / collection.queries[0].name
    with pytest.raises(QueryError, match="too small: a side of 16 pixels"):
        searcher.search(path, region=Box(0.1, 0.1, 0.2, 0.2))
    plain = np.full((2000, 2000), 128, np.uint8)
    plain[:100, :100] = draw_scene(1)[:100, :100, 0]
    with pytest.raises(QueryError, match="no features"):
        searcher.search(plain, region=Box(500, 500, 900, 900))


def test_a_missing_query(searcher: Searcher, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        searcher.search(tmp_path / "nothing.jpg")


def test_an_unknown_scoring(index: Index) -> None:
    with pytest.raises(UsageError, match="tfidf"):
        Searcher(index, SearchOptions(scoring="luck"))


# What a query does not need, it does not do


@pytest.mark.parametrize("count", [0, 1, 3, 7, 8, 50])
def test_the_best_are_ranked_as_all_are(searcher: Searcher, count: int) -> None:
    rng = np.random.default_rng(count)
    # Few different scores, so that ties are cut through.
    scores = rng.integers(0, 3, len(searcher.index)).astype(np.float32)
    best, everything = (
        rank_images(searcher.index, scores, count),
        rank_images(searcher.index, scores),
    )
    assert np.array_equal(best.images, everything.images[:count])
    assert np.array_equal(best.scores, everything.scores[:count])


@pytest.mark.parametrize("topk", [1, 2, 5])
def test_few_hits_are_the_first_of_all(
    searcher: Searcher, collection: Collection, topk: int
) -> None:
    image = collection.database / collection.views[0].name
    few, everything = search(searcher, image, topk), search(searcher, image)
    assert len(everything) == len(searcher.index)
    assert [(hit.name, hit.score, hit.rank) for hit in few] == [
        (hit.name, hit.score, hit.rank) for hit in everything[:topk]
    ]


def test_long_lists_leave_fewer_words(
    searcher: Searcher, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, _ = described(collection.database / collection.views[0].name, FeatureOptions())
    words = searcher.vocabulary.assign(features, 5)
    lengths = np.sum([np.diff(one.offsets) for one in searcher.index.segments], axis=0)
    looked_at = np.cumsum([lengths[column[column >= 0]].sum() for column in words.ids.T])
    for most, kept in ((looked_at[4], 5), (looked_at[2] + 1, 3), (looked_at[1], 2), (1, 1)):
        monkeypatch.setattr(question, "MOST_POSTINGS", most)
        fewer = limit_postings(words, searcher.index, LocalBackend().most_postings(searcher.index))
        assert np.array_equal(fewer.ids, words.ids[:, :kept])
        assert np.array_equal(fewer.signatures, words.signatures[:, :kept])
    # One word a feature, not expanded: what was asked for is found all the same.
    found = search(searcher, collection.database / collection.views[0].name, 1)
    assert found[0].name == collection.views[0].name
