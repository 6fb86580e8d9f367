"""Pictures of nothing but repetition have bounded matches, and still match themselves."""

from __future__ import annotations

import numpy as np
import pytest

from bovw.demo.patterns import PATTERNS, draw_pattern
from bovw.features import describer_of
from bovw.index.building import SegmentBuilder
from bovw.index.segment import Segment
from bovw.options import FeatureOptions, SearchOptions
from bovw.records import Box, Features, Picture, WordQuery
from bovw.search.searcher import Searcher
from bovw.verification import verify_images
from bovw.verification.matches import MOST_MATCHES, tentative_matches

WIDTH, HEIGHT = 640, 480
# An element of these is like every other, in the picture and in others of the kind: that proves
# nothing, not even of the same picture.
ALIKE = ("dots", "checks", "weave", "bricks")


@pytest.fixture(scope="module", params=PATTERNS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def drawn(kind: str, seed: int = 0) -> Features:
    pixels = draw_pattern(kind, seed, (WIDTH, HEIGHT))
    return describer_of(FeatureOptions()).describe(Picture(pixels, 1.0, WIDTH, HEIGHT))


def asked(searcher: Searcher, features: Features) -> tuple[WordQuery, Segment]:
    """Return a picture as a query, and a segment of it alone."""
    words = searcher.vocabulary.assign(features, 5)
    gathering = SegmentBuilder(len(searcher.vocabulary.words), searcher.vocabulary.bits)
    gathering.add(features, words.ids[:, 0].copy(), words.signatures[:, 0].copy())
    query = WordQuery(features.keypoints, words, Box(0, 0, WIDTH, HEIGHT))
    return query, gathering.segment()


def test_a_picture_of_repetition_matches_itself(searcher: Searcher, kind: str) -> None:
    query, segment = asked(searcher, drawn(kind))
    weights = np.ones(len(searcher.vocabulary.words), np.float32)
    one = np.zeros(1, np.int32)
    [matches] = tentative_matches(query, segment, one, weights, SearchOptions())
    assert len(matches) <= MOST_MATCHES
    assert matches.total == len(matches) or len(matches) == MOST_MATCHES
    [found] = verify_images(query, [segment], one, weights, SearchOptions())
    assert found.evidence.tentative == matches.total
    alarms = searcher.calibration.false_alarms(found.evidence.meaning)
    assert kind in ALIKE or alarms < 0.001


@pytest.mark.parametrize(("one", "other"), [("page", "page"), ("dots", "checks"), ("dots", "dots")])
def test_the_same_letters_or_dots_are_no_match(searcher: Searcher, one: str, other: str) -> None:
    query, _ = asked(searcher, drawn(one))
    _, segment = asked(searcher, drawn(other, seed=1))
    weights = np.ones(len(searcher.vocabulary.words), np.float32)
    found = verify_images(query, [segment], np.zeros(1, np.int32), weights, SearchOptions())
    alarms = [searcher.calibration.false_alarms(one.evidence.meaning) for one in found]
    assert all(one > 0.01 for one in alarms)
