"""Tentative matches agree with a slow twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bovw.compute.jit import differing_bits, read_only
from bovw.index.building import SegmentBuilder
from bovw.index.segment import Segment
from bovw.options import SearchOptions
from bovw.records import Box, Features, WordQuery, Words
from bovw.verification.kernels import Asking, find_matches
from bovw.verification.matches import CORRELATION, SIGMA, chance_shares, tentative_matches
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
@pytest.mark.parametrize("most", [1, 3, 10, 10_000])
def test_matches_agree_with_a_slow_loop(limit: int, most: int) -> None:
    rng = np.random.default_rng(limit + 1)
    segment = random_segment(rng, images=8, words=6)
    ids = rng.integers(-1, 6, (15, 3)).astype(np.int32)
    query = random_signatures(rng, (15, 3, 2))
    # Some are equal, as where things repeat.
    query[::2] = segment.signatures[0]
    turns = rng.integers(0, 4, 15)
    candidates = [5, 0, 6]
    slots = np.full(8, -1, np.int32)
    slots[candidates] = range(3)
    asking = Asking(*(read_only(column) for column in (ids, query, turns)))
    starts, totals, matches = find_matches(segment.inverted_file, asking, slots, limit, most)
    assert starts[0] == 0
    assert starts[-1] == len(matches)
    for slot, image in enumerate(candidates):
        expected = [
            (distance, abs(turn - int(turns[i])), i, j, posting)
            for i in range(15)
            for j in range(3)
            if ids[i, j] >= 0
            for turn, posting in enumerate(postings_in(segment, ids[i, j], image))
            if (distance := slow_distance(query[i, j], segment.signatures[posting])) <= limit
        ]
        assert totals[slot] == len(expected)
        kept = sorted(sorted(expected)[:most], key=lambda match: match[2:])
        own = matches[starts[slot] : starts[slot + 1]]
        assert own.tolist() == [[i, posting, distance] for distance, _, i, _, posting in kept]


def postings_in(segment: Segment, word: int, image: int) -> list[int]:
    """Return an image's postings in a word, in their order."""
    own = range(segment.offsets[word], segment.offsets[word + 1])
    return [posting for posting in own if segment.images[posting] == image]


def test_of_a_million_matches_the_closest_are_kept() -> None:
    """The first of 1,000 equal features goes with the first of 1,000, the second with the second.

    All of them share one word, and with other words there would be no other answer.
    """
    gathering = SegmentBuilder(1, 128)
    signatures = np.zeros((1000, 2), np.uint64)
    signatures[::2, 1] = 1
    for _ in range(3):
        keypoints = np.ones((1000, 4), np.float32)
        features = Features(keypoints, np.zeros((1000, 128), np.uint8), WIDTH, HEIGHT)
        gathering.add(features, np.zeros(1000, np.int32), signatures)
    segment = gathering.segment()
    columns = np.zeros((1000, 1), np.int32), signatures[:, None], np.arange(1000)
    asking = Asking(*(read_only(column) for column in columns))
    slots = np.arange(3, dtype=np.int32)
    starts, totals, matches = find_matches(segment.inverted_file, asking, slots, 51, 1000)
    assert totals.tolist() == [1_000_000] * 3
    assert starts.tolist() == [0, 1000, 2000, 3000]
    for slot in range(3):
        rows, postings, distances = matches[starts[slot] : starts[slot + 1]].T
        assert rows.tolist() == list(range(1000))
        assert (postings - slot * 1000).tolist() == list(range(1000))
        assert (distances == 0).all()


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


# Chance shares


@pytest.mark.parametrize("bits", [64, 128])
@pytest.mark.parametrize("share", [0.2, 0.4, 0.5])
def test_chance_shares_are_those_of_a_normal_law(bits: int, share: float) -> None:
    """The variance is that of a sum of bits, each pair of which has the same correlation."""
    limit = int(share * bits)
    shares = chance_shares(bits, limit)
    variance = bits / 4 + bits * (bits - 1) * CORRELATION / 4
    law = stats.norm(bits / 2, np.sqrt(variance))
    distances = np.arange(limit + 1)
    expected = law.cdf(distances + 0.5) / law.cdf(limit + 0.5)
    np.testing.assert_allclose(shares, expected, rtol=1e-9)
    assert shares[-1] == 1 and shares[0] > 0
    assert (np.diff(shares) > 0).all()


@pytest.mark.parametrize("bits", [64, 128])
def test_chance_shares_are_those_of_correlated_bits(bits: int) -> None:
    """Bits that differ or not are the signs of normal variables with a part in common."""
    # The correlation of two signs is 2 / pi times the arc sine of that of the variables.
    rng, shared = np.random.default_rng(bits), np.sin(np.pi / 2 * CORRELATION)
    limit, distances = int(0.4 * bits), []
    for _ in range(20):
        own = rng.standard_normal((20_000, bits)) * np.sqrt(1 - shared)
        common = rng.standard_normal((20_000, 1)) * np.sqrt(shared)
        distances.append(np.count_nonzero(own + common > 0, axis=1))
    drawn = np.concatenate(distances)
    assert drawn.var() == pytest.approx(bits / 4 * (1 + (bits - 1) * CORRELATION), rel=0.02)
    kept = drawn[drawn <= limit]
    shares = chance_shares(bits, limit)
    for distance in range(limit - bits // 10, limit + 1):
        assert np.mean(kept <= distance) == pytest.approx(shares[distance], rel=0.15)


@pytest.mark.parametrize("limit", [0, 1, 51])
def test_shares_are_given_to_matches_by_their_distance(limit: int) -> None:
    rng = np.random.default_rng(4)
    segment = random_segment(rng, images=3, words=40)
    found = segment.words(np.arange(len(segment)))
    # Some bits of each signature are turned over: none, one, two and so on.
    flips = np.arange(len(segment)) % 60
    low = np.array([(1 << int(n)) - 1 for n in flips], np.uint64)
    query = replace(found, signatures=found.signatures ^ np.stack([low, low * 0], axis=1)[:, None])
    keypoints = np.ones((len(segment), 4), np.float32)
    keypoints[:, 0] = np.arange(len(segment))
    options = SearchOptions(matching_distance=limit / 128)
    asked = WordQuery(keypoints, query, Box(0, 0, WIDTH, HEIGHT))
    weights = np.ones(40, np.float32)
    shares = chance_shares(128, limit)
    pairs = 0
    for matches in tentative_matches(asked, segment, np.arange(3), weights, options):
        assert ((matches.shares > 0) & (matches.shares <= 1)).all()
        for x, share, weight in zip(matches.query[:, 0], matches.shares, matches.weights,
                                    strict=True):  # fmt: skip
            distance = int(np.searchsorted(shares, share))
            assert shares[distance] == share
            assert weight == pytest.approx(np.exp(-((distance / (SIGMA * 128)) ** 2)))
            pairs += distance == flips[int(x)]
    assert pairs >= np.count_nonzero(flips <= limit)
