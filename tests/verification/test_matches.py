"""Tentative matches agree with a slow twin."""

from __future__ import annotations

import numpy as np
import pytest

from bovw.compute.jit import differing_bits
from bovw.index.building import SegmentBuilder
from bovw.index.segment import Segment
from bovw.options import SearchOptions
from bovw.records import Box, Features, WordQuery, Words
from bovw.verification.kernels import find_matches
from bovw.verification.matches import tentative_matches
from tests.verification.planted import HEIGHT, WIDTH


def random_segment(rng: np.random.Generator, images: int, words: int) -> Segment:
    gathering = SegmentBuilder(words, 128)
    for count in rng.integers(1, 30, images).tolist():
        keypoints = rng.uniform(1, 400, (count, 4)).astype(np.float32)
        features = Features(keypoints, np.zeros((count, 128), np.uint8), WIDTH, HEIGHT)
        ids = rng.integers(0, words, count).astype(np.int32)
        gathering.add(features, ids, random_signatures(rng, (count, 2)))
    return gathering.segment()


def random_signatures(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(0, 2**64, shape, dtype=np.uint64)


def slow_distance(first: np.ndarray, second: np.ndarray) -> int:
    return sum(bin(int(a) ^ int(b)).count("1") for a, b in zip(first, second, strict=True))


def test_differing_bits_agree_with_counting_them() -> None:
    signatures = random_signatures(np.random.default_rng(0), (50, 2))
    signatures[0], signatures[1] = 0, 2**64 - 1
    for first in signatures:
        for second in signatures[:10]:
            assert differing_bits(first, second) == slow_distance(first, second)


@pytest.mark.parametrize("limit", [-1, 50, 60, 128])
def test_matches_agree_with_a_slow_loop(limit: int) -> None:
    rng = np.random.default_rng(limit + 1)
    segment = random_segment(rng, images=8, words=6)
    ids = rng.integers(-1, 6, (15, 3)).astype(np.int32)
    query = random_signatures(rng, (15, 3, 2))
    candidates = [5, 0, 6]
    slots = np.full(8, -1, np.int32)
    slots[candidates] = range(3)
    starts, matches = find_matches(segment.inverted_file, ids, query, slots, limit)
    assert starts[0] == 0
    assert starts[-1] == len(matches)
    for slot, image in enumerate(candidates):
        expected = [
            (i, posting, distance)
            for i in range(15)
            for j in range(3)
            if ids[i, j] >= 0
            for posting in range(segment.offsets[ids[i, j]], segment.offsets[ids[i, j] + 1])
            if segment.images[posting] == image
            if (distance := slow_distance(query[i, j], segment.signatures[posting])) <= limit
        ]
        own = matches[starts[slot] : starts[slot + 1]]
        assert [tuple(match) for match in own.tolist()] == expected


def test_matches_carry_their_geometry_and_the_best_come_first() -> None:
    rng = np.random.default_rng(3)
    segment = random_segment(rng, images=4, words=5)
    keypoints = rng.uniform(1, 400, (20, 4)).astype(np.float32)
    features = Features(keypoints, np.zeros((20, 128), np.uint8), WIDTH, HEIGHT)
    ids = rng.integers(0, 5, (20, 2)).astype(np.int32)
    words = Words(ids, random_signatures(rng, (20, 2, 2)), features.angles)
    weights = rng.uniform(1, 30, 5).astype(np.float32)
    options = SearchOptions(matching_distance=0.5)
    candidates = np.array([2, 0])
    query = WordQuery(keypoints, words, Box(0, 0, WIDTH, HEIGHT))
    each = list(tentative_matches(query, segment, candidates, weights, options))
    assert len(each) == 2
    for image, matches in zip(candidates, each, strict=True):
        assert len(matches) > 5
        assert (np.diff(matches.weights) <= 0).all()
        own = segment.keypoints(np.flatnonzero(segment.images == image), int(image))
        assert {tuple(row) for row in matches.query} <= {tuple(row) for row in keypoints}
        assert {tuple(row) for row in matches.found} <= {tuple(row) for row in own}
