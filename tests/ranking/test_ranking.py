"""The scores of postings are the scores of the formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bovw.errors import FormatError
from bovw.index.building import SegmentBuilder
from bovw.index.segment import Segment
from bovw.index.statistics import Counts, Statistics
from bovw.options import SearchOptions
from bovw.ranking import SCORINGS
from bovw.ranking.kernels import TURNS, Voters, vote_by_turn
from bovw.records import Features, Floats, InvertedFile, Words
from tests.ranking.twins import (
    BASES,
    TWINS,
    WORDS,
    Case,
    Feature,
    Image,
    Query,
    cases,
    each_scoring,
)

# The fast ones


def as_array(signatures: Sequence[int], bits: int) -> np.ndarray:
    data = b"".join(signature.to_bytes(bits // 8, "little") for signature in signatures)
    return np.frombuffer(data, "<u8").reshape(-1, bits // 64)


def segment_of(images: Sequence[Image], bits: int = 64) -> Segment:
    gathering = SegmentBuilder(WORDS, bits)
    for image in images:
        points = np.ones((len(image), 4), np.float32)
        points[:, 3] = [feature.angle * (360 / 256) for feature in image]
        drawn = Features(points, np.zeros((len(image), 128), np.uint8), 64, 64)
        ids = np.array([feature.word for feature in image], np.int32)
        gathering.add(drawn, ids, as_array([feature.signature for feature in image], bits))
    return gathering.segment()


def words_of(query: Query, bits: int = 64) -> Words:
    several = len(query[0]) if query else 1
    ids = np.array([[feature.word for feature in row] for row in query], np.int32)
    signatures = as_array([feature.signature for row in query for feature in row], bits)
    angles = np.array([row[0].angle for row in query], np.uint8)
    shape = (len(query), several)
    return Words(ids.reshape(shape), signatures.reshape(*shape, bits // 64), angles)


def scores_of(scoring: str, case: Case) -> Floats:
    parts = (case.images[: case.cut], case.images[case.cut :])
    segments = [segment_of(part, case.bits) for part in parts if part]
    statistics = Statistics.of([Counts.of(s) for s in segments], WORDS)
    words = words_of(case.query, case.bits)
    return SCORINGS[scoring](words, [s.inverted_file for s in segments], statistics, case.options)


def scores_between(scoring: str, query: Image, images: Sequence[Image]) -> Floats:
    """Ask with an image's features."""
    asked = [[feature] for feature in query]
    return scores_of(scoring, Case(64, asked, images, 0, SearchOptions()))


def plain(*words: int) -> Image:
    """Make an image whose features have one signature."""
    return [Feature(word) for word in words]


# Formulas


@pytest.mark.slow
@each_scoring
@settings(deadline=None, max_examples=120)
@given(case=cases())
def test_scores_agree_with_their_formula(scoring: str, case: Case) -> None:
    scores = scores_of(scoring, case)
    assert scores.dtype == np.float32
    assert np.allclose(scores, TWINS[scoring](case), rtol=1e-5, atol=1e-7)
    assert (scores >= 0).all()
    assert scoring != "asmk" or (scores <= 1 + 1e-6).all()


@pytest.mark.slow
@each_scoring
@settings(deadline=None, max_examples=60)
@given(case=cases())
def test_scores_do_not_depend_on_segments(scoring: str, case: Case) -> None:
    whole = scores_of(scoring, replace(case, cut=0))
    assert scores_of(scoring, case).tobytes() == whole.tobytes()


@pytest.mark.slow
@each_scoring
@settings(deadline=None, max_examples=60)
@given(case=cases(), data=st.data())
def test_twins_have_one_score(scoring: str, case: Case, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(case.images) - 1))
    twins = replace(case, images=[*case.images, case.images[number]])
    scores = scores_of(scoring, twins)
    assert scores[number] == scores[-1]


@pytest.mark.slow
@each_scoring
@settings(deadline=None, max_examples=60)
@given(
    case=cases(),
    images=st.lists(st.integers(0, 300), min_size=1, max_size=4),
    asked=st.integers(0, 300),
)
def test_degenerate_scores_are_finite(
    scoring: str, case: Case, images: list[int], asked: int
) -> None:
    """All features are the same one, many times over."""
    feature = Feature(1, BASES[0] % 2**case.bits)
    collection = [[feature] * count for count in images]
    scores = scores_of(scoring, replace(case, images=collection, query=[[feature]] * asked))
    assert scores.shape == (len(images),)
    assert np.isfinite(scores).all()
    assert (scores[np.array(images) == 0] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("scoring", ["asmk"])
@settings(deadline=None, max_examples=60)
@given(case=cases())
def test_an_image_is_one_to_itself(scoring: str, case: Case) -> None:
    for number, image in enumerate(case.images):
        asked = replace(case, query=[[feature] for feature in image])
        expected = 1 if image else 0
        scores = scores_of(scoring, asked)
        assert abs(scores[number] - expected) < 1e-6
        assert scores.max() < 1 + 1e-6


@pytest.mark.parametrize("asked", [10, 16, 17, 1000, 3000])
def test_a_word_of_any_number_of_features_has_one_vote(asked: int) -> None:
    """Few of very many are asked for it, and speak for all."""
    images = [plain(0, 1), plain(1, 1, 2), plain(0, 0, 0)]
    once = scores_between("hamming", plain(0), images)
    scores = scores_between("hamming", plain(*[0] * asked), images)
    assert scores * np.sqrt(asked) == pytest.approx(once, rel=1e-5)


# Small collections


@each_scoring
def test_an_image_is_most_like_itself(scoring: str) -> None:
    images = [
        [Feature(0), Feature(0, BASES[0] % 2**64), Feature(1, 7), Feature(2)],
        [Feature(2, 7), Feature(3), Feature(4, 1)],
        [Feature(4), Feature(5, 1), Feature(5, BASES[1] % 2**64), Feature(1)],
    ]
    for number, image in enumerate(images):
        assert scores_between(scoring, image, images).argmax() == number


@each_scoring
def test_one_image_is_found(scoring: str) -> None:
    (score,) = scores_between(scoring, plain(1, 2), [plain(1, 2, 3)])
    assert score > 0.3
    (score,) = scores_between(scoring, plain(4), [plain(1, 2, 3)])
    assert score == 0


@each_scoring
def test_a_word_of_every_image_still_counts(scoring: str) -> None:
    scores = scores_between(scoring, plain(0), [plain(0, 1), plain(0, 2), plain(0, 3)])
    assert (scores > 0).all()


@each_scoring
def test_unknown_words_score_nothing(scoring: str) -> None:
    images = [plain(0, 1), [], plain(2)]
    assert scores_between(scoring, plain(4, 5), images).tolist() == [0, 0, 0]


@each_scoring
@pytest.mark.parametrize("several", [1, 3])
def test_no_words_score_nothing(scoring: str, several: int) -> None:
    segment = segment_of([plain(0, 1), [], plain(2)])
    words = Words(
        np.empty((0, several), np.int32),
        np.empty((0, several, 1), np.uint64),
        np.empty(0, np.uint8),
    )
    scores = SCORINGS[scoring](
        words, [segment.inverted_file], Statistics.of([Counts.of(segment)], WORDS)
    )
    assert scores.tolist() == [0, 0, 0]


@each_scoring
def test_no_images_have_no_scores(scoring: str) -> None:
    score = partial(SCORINGS[scoring], words_of([plain(1)]))
    assert len(score([], Statistics.of([], WORDS))) == 0
    empty = segment_of([])
    assert len(score([empty.inverted_file], Statistics.of([Counts.of(empty)], WORDS))) == 0


@pytest.mark.parametrize("scoring", ["hamming", "asmk"])
def test_far_signatures_score_nothing(scoring: str) -> None:
    opposite = [Feature(0, 2**64 - 1)]
    assert scores_between(scoring, plain(0), [opposite, plain(0)])[0] == 0


def test_repeated_structure_has_one_voice() -> None:
    repeated, images = [plain(0)] * 4, [plain(0, 0, 0), plain(1)]
    case = Case(64, repeated, images, 0, SearchOptions())
    kept_down = scores_of("hamming", case)[0]
    each_voting = scores_of("hamming", replace(case, options=SearchOptions(burstiness=False)))[0]
    assert np.isclose(each_voting, 4 * 3 * kept_down)


def test_votes_that_agree_about_the_turn_count_more() -> None:
    query = [Feature(0), Feature(1), Feature(2)]
    turned = [Feature(0, 0, 64), Feature(1, 0, 66), Feature(2, 0, 60)]
    scattered = [Feature(0, 0, 64), Feature(1, 0, 130), Feature(2, 0, 200)]
    almost_upright = [Feature(0, 0, 250), Feature(1, 0, 7), Feature(2, 0, 0)]
    images = [scattered, turned, almost_upright]
    scores = scores_between("hamming", query, images)
    # Three voices each, and of those 1, 3 and 3 agree.
    assert np.allclose(scores / scores[0], [1, 9 / 5, 12 / 5])
    case = Case(64, [[f] for f in query], images, 0, SearchOptions(consistency=False))
    assert len(set(scores_of("hamming", case).tolist())) == 1


# Damage


@each_scoring
@pytest.mark.parametrize("wrong", [3, 127, 128, 255])
def test_a_damaged_posting_is_an_error(scoring: str, wrong: int) -> None:
    images = [plain(0, 1), plain(1, 1, 2), plain(2)]
    segment = segment_of(images)
    statistics = Statistics.of([Counts.of(segment)] * 2, WORDS)
    query = words_of([plain(1), plain(2)])
    for posting in (1, 2, len(segment) - 1):
        gaps = segment.gaps.copy()
        gaps[posting] = wrong
        damaged = replace(segment, gaps=gaps)
        with pytest.raises(FormatError, match="postings are damaged"):
            files = [segment.inverted_file, damaged.inverted_file]
            SCORINGS[scoring](query, files, statistics)


@pytest.mark.parametrize("vote", [1.0, 5e-324])
@pytest.mark.parametrize("weight", [0.4, 0.0, -1.0, math.nan])
def test_no_weight_makes_votes_leave_their_array(weight: float, vote: float) -> None:
    """Run as Python, where leaving it is an error; compiled code would write beyond it."""
    gaps, asked = np.zeros(3, np.uint8), np.zeros((1, 1), np.int32)
    bounds = np.array([0, 3])
    lists = InvertedFile(
        bounds, bounds, gaps, np.zeros((3, 1), np.uint64), np.zeros((3, 2), np.uint8), 1
    )
    signatures, angles = np.zeros((1, 1, 1), np.uint64), np.zeros(1, np.uint8)
    query = Voters(asked, signatures, angles, np.full((1, 1), weight))
    as_python = cast(Any, vote_by_turn).py_func
    as_python(lists, query, np.full(65, vote), True, np.zeros((1, TURNS)))
