"""Query expansion: verified images ask with what they have in the query's place, and no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest

from bovw.errors import FormatError
from bovw.index.building import SegmentBuilder
from bovw.index.segment import Segment
from bovw.index.statistics import Counts, Statistics
from bovw.ranking import SCORINGS
from bovw.records import Box, Doubles, Features, Floats, Words
from bovw.search.expansion import FULL_EVIDENCE, expand
from bovw.verification import Evidence, Verified

Point = tuple[float, float]
Score = Callable[[Words], Floats]

WORDS = 30
WIDTH, HEIGHT = 640, 480
SAME = np.eye(3)
REGION = Box(100, 50, 300, 250)
INSIDE, OUTSIDE = (200.0, 150.0), (500.0, 150.0)
# Twice as large, turned by a quarter: (x, y) of the query lies at (520 - 2 y, 2 x + 10).
TURNED = np.array([[0, -2, 520], [2, 0, 10], [0, 0, 1.0]])
BENT = np.array([[1.1, 0.1, -30], [-0.05, 0.9, 20], [8e-4, -3e-4, 1]])

each_scoring = pytest.mark.parametrize("scoring", SCORINGS)


@dataclass(frozen=True)
class Image:
    """An image whose features lie at points; each has its word, and the word for a signature."""

    words: Sequence[int]
    points: Sequence[Point]


def inside(*words: int) -> Image:
    return Image(words, [INSIDE] * len(words))


def segment_of(images: Sequence[Image]) -> Segment:
    gathering = SegmentBuilder(WORDS, 64)
    for image in images:
        points = np.ones((len(image.words), 4), np.float32)
        points[:, :2] = np.reshape(image.points, (-1, 2))
        features = Features(points, np.zeros((len(points), 128), np.uint8), WIDTH, HEIGHT)
        words = words_of(image.words)
        gathering.add(features, words.ids[:, 0], words.signatures[:, 0])
    return gathering.segment()


def words_of(ids: Sequence[int]) -> Words:
    column = np.array(ids, np.int32)[:, None]
    return Words(column, column[:, :, None].astype(np.uint64), np.zeros(len(column), np.uint8))


def verified(image: int, evidence: float = FULL_EVIDENCE, H: Doubles = SAME) -> Verified:
    return Verified(image, H, np.empty((0, 4)), Evidence(0, 0, 0, evidence, 0, 0, 0, 0))


def scorer(segments: Sequence[Segment], scoring: str = "hamming") -> Score:
    statistics = Statistics.of([Counts.of(s) for s in segments], WORDS)
    return partial(
        SCORINGS[scoring], files=[s.inverted_file for s in segments], collection=statistics
    )


class Listener:
    """Scores every image 1, and keeps the words it was asked with, sorted."""

    def __init__(self, images: int) -> None:
        self.images = images
        self.asked: list[list[int]] = []

    def __call__(self, words: Words) -> Floats:
        assert words.ids.shape == (len(words), 1)
        assert words.signatures.shape == (len(words), 1, 1)
        assert words.ids.tolist() == words.signatures[:, 0].tolist()
        self.asked.append(sorted(words.ids[:, 0].tolist()))
        return np.ones(self.images, np.float32)


def asked_by(
    images: Sequence[Image], found: Sequence[Verified], *cuts: int, region: Box = REGION
) -> list[list[int]]:
    """Return the words that the verified images of a collection ask with."""
    starts, ends = (0, *cuts), (*cuts, len(images))
    segments = [segment_of(images[a:b]) for a, b in zip(starts, ends, strict=True)]
    listener = Listener(len(images))
    expand(np.zeros(len(images), np.float32), found, region, segments, listener)
    return listener.asked


# Who asks, and with what


def carried(points: Sequence[Point], H: Doubles) -> list[Point]:
    """Return where the query's points lie in the image."""
    there = [(float(x / d), float(y / d)) for x, y, d in (H @ (*point, 1) for point in points)]
    # Stay within the square whose positions a segment keeps.
    assert all(0 < x < WIDTH and 0 < y < WIDTH for x, y in there)
    return there


@pytest.mark.parametrize("H", [SAME, TURNED, BENT], ids=["same", "turned", "bent"])
def test_only_what_lies_in_the_region_asks(H: Doubles) -> None:
    points = [(101, 51), (299, 249), (200, 150), (98, 150), (302, 150), (200, 48), (200, 252)]
    image = Image(range(7), carried(points, H))
    assert asked_by([image], [verified(0, H=H)]) == [[0, 1, 2]]


def test_what_lies_behind_the_horizon_does_not_ask() -> None:
    """The query's plane vanishes at x = 200: what the map says of beyond is not to be seen."""
    H = np.array([[-0.5, 0, 200], [-0.5, 0.5, 100], [-1 / 200, 0, 1]])
    image = Image([1, 2], carried([(150, 150), (500, 150)], H))
    found = [verified(0, H=H)]
    assert asked_by([image], found, region=Box(100, 50, 600, 250)) == [[1]]


def test_an_image_without_features_in_the_region_adds_nothing() -> None:
    images = [Image([1, 2], [OUTSIDE] * 2), inside(1)]
    assert asked_by(images, [verified(0)]) == []
    scores = np.array([0.5, 0.25], np.float32)
    segments = [segment_of(images)]
    assert expand(scores, [verified(0)], REGION, segments, scorer(segments)).tolist() == [0.5, 0.25]
    assert asked_by([inside(), inside(1)], [verified(0), verified(1)]) == [[1]]


@pytest.mark.parametrize("cuts", [(), (1,), (2,), (1, 3), (0,), (2, 2), (4,)])
def test_images_of_all_segments_ask_with_their_own(cuts: tuple[int, ...]) -> None:
    images = [inside(1, 2, 2), Image([3, 4], [INSIDE, OUTSIDE]), inside(5), inside(2, 6)]
    found = [verified(number) for number in (3, 0, 1)]
    assert asked_by(images, found, *cuts) == [[2, 6], [1, 2, 2], [3]]


# What they add


def test_without_verified_images_scores_stay() -> None:
    scores = np.array([0.5, 0, 0.25], np.float32)
    segments = [segment_of([inside(1), inside(2), inside()])]
    expanded = expand(scores, [], REGION, segments, scorer(segments))
    assert expanded.dtype == np.float32
    assert expanded.tobytes() == scores.tobytes()


@each_scoring
def test_an_image_adds_nothing_to_itself(scoring: str) -> None:
    segments = [segment_of([inside(1, 2), inside(2, 3)])]
    scores = np.array([0.5, 0.25], np.float32)
    expanded = expand(scores, [verified(0)], REGION, segments, scorer(segments, scoring))
    assert expanded[0] == scores[0]
    assert expanded[1] > scores[1]


def test_the_given_scores_are_left_as_they_were() -> None:
    segments = [segment_of([inside(1, 2), inside(2, 3)])]
    scores = np.array([0.5, 0.25], np.float32)
    expand(scores, [verified(0), verified(1)], REGION, segments, scorer(segments))
    assert scores.tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    ("evidence", "share"), [(0, 0), (1.25, 0.25), (2.5, 0.5), (4.0, 0.8), (5, 1), (60, 1)]
)
def test_weak_evidence_adds_in_proportion(evidence: float, share: float) -> None:
    assert FULL_EVIDENCE == 5
    images = [inside(1), inside(2), inside(3)]
    scores = np.array([0.5, 0.25, 0], np.float32)
    found = [verified(1, evidence)]
    expanded = expand(scores, found, REGION, [segment_of(images)], Listener(3))
    assert np.allclose(expanded, [0.5 + share, 0.25, share])


def slow_expansion(
    scores: Floats, found: Sequence[Verified], images: Sequence[Image], score: Score
) -> list[float]:
    """Ask with lists of words, one feature after another."""
    expanded: list[float] = scores.tolist()
    for one in found:
        image, asked = images[one.image], []
        for word, (x, y) in sorted(zip(image.words, image.points, strict=True)):
            across, down, depth = np.linalg.solve(one.transform, (x, y, 1))
            if depth > 0 and REGION.x1 <= across / depth <= REGION.x2:
                asked += [word] if REGION.y1 <= down / depth <= REGION.y2 else []
        added = score(words_of(asked)).tolist() if asked else [0] * len(images)
        for number, value in enumerate(added):
            if number != one.image:
                expanded[number] += min(one.evidence.weight / FULL_EVIDENCE, 1) * value
    return expanded


@each_scoring
@pytest.mark.parametrize("seed", range(8))
def test_expansion_agrees_with_its_slow_twin(scoring: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = [
        Image(rng.integers(0, WORDS, n).tolist(), rng.uniform(0, (WIDTH, HEIGHT), (n, 2)).tolist())
        for n in rng.integers(0, 40, 9).tolist()
    ]
    segments = [segment_of(images[:4]), segment_of(images[4:])]
    score = scorer(segments, scoring)
    maps = (SAME, TURNED, BENT)
    found = [
        verified(number, float(rng.uniform(0, 8)), maps[rng.integers(3)])
        for number in rng.permutation(9)[:5].tolist()
    ]
    scores = rng.uniform(0, 1, 9).astype(np.float32)
    expanded = expand(scores, found, REGION, segments, score)
    assert (expanded > scores).any()
    assert np.allclose(expanded, slow_expansion(scores, found, images, score), rtol=1e-5)


@each_scoring
@pytest.mark.parametrize("cut", [1, 2, 4])
def test_an_image_reached_through_another_rises(scoring: str, cut: int) -> None:
    """The query has words 0 to 4: it shares some with A, A with B, B with C alone."""
    a = Image([0, 1, 2, 9, 10], [INSIDE] * 3 + [OUTSIDE] * 2)
    b, c = inside(2, 3, 4, 5, 6), inside(5, 6, 7)
    other, beside = inside(20, 21), inside(9, 10)
    images = [other, c, beside, a, b]
    segments = [segment_of(images[:cut]), segment_of(images[cut:])]
    score = scorer(segments, scoring)
    scores = score(words_of([0, 1, 2, 3, 4]))
    assert (scores[:3] == 0).all() and (scores[3:] > 0).all()
    through_a = expand(scores, [verified(3)], REGION, segments, score)
    assert through_a[4] > scores[4]
    assert (through_a[:3] == 0).all()
    through_b = expand(scores, [verified(3), verified(4)], REGION, segments, score)
    assert through_b[1] > 0
    # What lies beside the query's place in A leads nowhere.
    assert (through_b[[0, 2]] == 0).all()


# Damage


@pytest.mark.parametrize("wrong", [2, 127, 128, 255])
def test_a_damaged_posting_is_an_error(wrong: int) -> None:
    """Scoring may have seen nothing of it: it reads the query's words alone."""
    segment = segment_of([inside(1, 2), inside(3, 4)])
    score = scorer([segment])
    gaps = segment.gaps.copy()
    gaps[0] = wrong
    damaged = replace(segment, gaps=gaps)
    with pytest.raises(FormatError, match="damaged"):
        expand(np.zeros(2, np.float32), [verified(1)], REGION, [damaged], score)
