"""Segments: what was quantised and encoded comes back, in memory and from disk."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bovw.compute.jit import read_only
from bovw.compute.kernels import decode_images, encode_images
from bovw.index.building import SegmentBuilder, merge, quantise
from bovw.index.segment import Segment, postings_of
from bovw.records import Bytes, Features, InvertedFile, Longs
from tests.index.samples import WORDS, gathered, random_features, random_images


@pytest.mark.parametrize("size", [(640, 480), (16, 4000), (100_000, 300)])
def test_geometry_comes_back_within_its_steps(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    features = random_features(rng, 500, size)
    ids = np.zeros(500, np.int32)
    gathering = SegmentBuilder(1, 128)
    gathering.add(features, ids, np.zeros((500, 2), np.uint64))
    stored = gathering.segment().keypoints(np.arange(500), 0)
    assert np.abs(stored[:, :2] - features.keypoints[:, :2]).max() <= 0.6 * max(size) / 65_535
    ratio = stored[:, 2] / features.keypoints[:, 2]
    assert np.abs(np.log2(ratio)).max() <= 0.501 / 21
    turn = np.abs(stored[:, 3] - features.keypoints[:, 3])
    assert np.minimum(turn, 360 - turn).max() <= 180 / 256 + 1e-3


def test_geometry_at_the_limits() -> None:
    keypoints = [[-0.5, -0.5, 1e-9, 360], [639.5, 479.5, 5000, 0], [-9, 900, 0, 359.9]]
    features = Features(np.array(keypoints, np.float32), np.zeros((3, 128), np.uint8), 640, 480)
    positions, frames = quantise(features).values()
    assert positions.tolist() == [[0, 0], [65_535, 49_151], [0, 65_535]]
    assert frames.tolist() == [[0, 0], [255, 0], [0, 0]]


def test_segment_agrees_with_a_dictionary_of_lists() -> None:
    images = random_images(12)
    postings = defaultdict(list)
    for number, (features, words) in enumerate(images):
        positions, frames = quantise(features).values()
        for i, word in enumerate(words.ids[:, 0].tolist()):
            row = (number, *words.signatures[i, 0], *positions[i], *frames[i])
            postings[word].append([int(value) for value in row])
    segment = gathered(images)
    columns = (segment.images[:, None], segment.signatures, segment.positions, segment.frames)
    for word in range(WORDS):
        own = slice(segment.offsets[word], segment.offsets[word + 1])
        rows = zip(*(column[own].tolist() for column in columns), strict=True)
        assert [[v for part in row for v in part] for row in rows] == postings[word]
    assert segment.sizes.tolist() == [[640, 480]] * 12


@settings(deadline=None)
@given(
    lists=st.lists(
        st.lists(st.integers(0, 300) | st.integers(0, 2**31 - 2), max_size=9), max_size=6
    )
)
def test_image_numbers_survive_their_encoding(lists: list[list[int]]) -> None:
    images = np.array([image for own in lists for image in sorted(own)], np.int32)
    offsets = np.cumsum([0, *map(len, lists)])
    gaps, places = encode_images(offsets, images)
    assert decode_images(lists_of(offsets, places, gaps, 2**31 - 1)).tolist() == images.tolist()
    expected = []
    for own in lists:
        for before, image in pairwise([0, *sorted(own)]):
            gap = image - before
            while gap >= 128:
                expected.append(gap % 128 + 128)
                gap //= 128
            expected.append(gap)
    assert gaps.tolist() == expected
    if len(images):
        below = lists_of(offsets, places, gaps, int(images.max()))
        assert decode_images(below).shape == (0,)


def lists_of(offsets: Longs, places: Longs, gaps: Bytes, images: int) -> InvertedFile:
    """Return lists whose postings have neither signatures nor frames."""
    signatures, frames = np.empty((0, 1), np.uint64), np.empty((0, 2), np.uint8)
    return InvertedFile(
        read_only(offsets),
        read_only(places),
        read_only(gaps),
        read_only(signatures),
        read_only(frames),
        images,
    )


def test_the_postings_of_images_are_found() -> None:
    segments = [gathered(random_images(9, seed)) for seed in (1, 2)]
    asked = np.array([11, 3, 0, 3, 17], np.int32)
    found = list(postings_of(segments, asked))
    for image, (segment, number, postings) in zip(asked.tolist(), found, strict=True):
        assert segment is segments[image // 9] and number == image % 9
        assert postings.tolist() == np.flatnonzero(segment.images == number).tolist()
        words = segment.words(postings)
        for posting, word in zip(postings, words.ids[:, 0], strict=True):
            assert segment.offsets[word] <= posting < segment.offsets[word + 1]
        assert words.angles.tolist() == segment.frames[postings, 1].tolist()


def test_segment_without_images() -> None:
    segment = gathered([])
    assert segment.offsets.tolist() == [0] * (WORDS + 1)
    assert segment.keypoints(np.empty(0, np.int64), np.empty(0, np.int32)).shape == (0, 4)


def test_segment_on_disk_is_the_same(tmp_path: Path) -> None:
    segment = gathered(random_images(5))
    segment.save(tmp_path / "1")
    opened = Segment.open(tmp_path / "1")
    for name in Segment.declared():
        first, second = getattr(segment, name), getattr(opened, name)
        assert first.dtype == second.dtype
        assert np.array_equal(first, second)


def test_merging_is_gathering_what_is_live() -> None:
    images = random_images(20)
    rng = np.random.default_rng(3)
    for live in (rng.random(20) < 0.5, np.ones(20, bool), np.zeros(20, bool)):
        parts = [slice(0, 7), slice(7, 8), slice(8, 20)]
        merged = merge([gathered(images[part]) for part in parts], [live[part] for part in parts])
        left = gathered([image for image, own in zip(images, live, strict=True) if own])
        for name in Segment.declared():
            first, second = getattr(merged, name), getattr(left, name)
            assert first.dtype == second.dtype
            assert np.array_equal(first, second)
