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


@pytest.fixture(scope="module", params=PATTERNS)
def pattern(request: pytest.FixtureRequest) -> Features:
    pixels = draw_pattern(request.param, 0, (WIDTH, HEIGHT))
    return describer_of(FeatureOptions()).describe(Picture(pixels, 1.0, WIDTH, HEIGHT))


def asked(searcher: Searcher, features: Features) -> tuple[WordQuery, Segment]:
    """Return a picture as a query, and a segment of it alone."""
    words = searcher.vocabulary.assign(features, 5)
    gathering = SegmentBuilder(len(searcher.vocabulary.words), searcher.vocabulary.bits)
    gathering.add(features, words.ids[:, 0].copy(), words.signatures[:, 0].copy())
    query = WordQuery(features.keypoints, words, Box(0, 0, WIDTH, HEIGHT))
    return query, gathering.segment()


def test_a_picture_of_repetition_matches_itself(searcher: Searcher, pattern: Features) -> None:
    query, segment = asked(searcher, pattern)
    weights = np.ones(len(searcher.vocabulary.words), np.float32)
    one = np.zeros(1, np.int32)
    [matches] = tentative_matches(query, segment, one, weights, SearchOptions())
    assert len(matches) <= MOST_MATCHES
    assert matches.total == len(matches) or len(matches) == MOST_MATCHES
    [found] = verify_images(query, [segment], one, weights, SearchOptions())
    assert found.evidence.tentative == matches.total
    assert searcher.calibration.false_alarms(found.evidence.meaning) < 0.001
