"""Images of random features, and indexes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bovw.index import Index, IndexWriter
from bovw.index.building import SegmentBuilder
from bovw.index.rows import ImageRow
from bovw.index.segment import Segment, postings_of
from bovw.records import Features, Words

WORDS = 30


def random_features(rng: np.random.Generator, count: int, size: tuple[int, int]) -> Features:
    # The smallest scale that a segment tells apart is 1/4700 of the longest side.
    scales = max(size) * 2 ** rng.uniform(-12, -2, count)
    x, y = rng.uniform(0, size[0] - 1, count), rng.uniform(0, size[1] - 1, count)
    keypoints = np.stack([x, y, scales, rng.uniform(0, 360, count)], axis=1).astype(np.float32)
    return Features(keypoints, np.zeros((count, 128), np.uint8), *size)


def random_words(rng: np.random.Generator, count: int) -> Words:
    ids = rng.integers(0, WORDS, (count, 1)).astype(np.int32)
    signatures = rng.integers(0, 2**63, (count, 1, 2)).astype(np.uint64)
    return Words(ids, signatures, rng.integers(0, 256, count).astype(np.uint8))


def random_images(count: int, seed: int = 0) -> list[tuple[Features, Words]]:
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 40, count).tolist()
    return [(random_features(rng, n, (640, 480)), random_words(rng, n)) for n in counts]


def gathered(images: Sequence[tuple[Features, Words]]) -> Segment:
    gathering = SegmentBuilder(WORDS, 128)
    for features, words in images:
        gathering.add(features, words.ids[:, 0], words.signatures[:, 0])
    return gathering.segment()


def row_of(name: str, features: int = 0, folder: str = "/photos/") -> ImageRow:
    return ImageRow(name, folder, 1234, 5678, "ab" * 32, 640, 480, features, "ok")


def fill(started: IndexWriter, names: Sequence[str], seed: int = 0) -> None:
    """Add images of random features, without a commit."""
    started.vocabulary_folder.mkdir(parents=True, exist_ok=True)
    for name, (features, words) in zip(names, random_images(len(names), seed), strict=True):
        started.add(row_of(name, len(features)), features, words)


def create(folder: Path) -> IndexWriter:
    return IndexWriter.create(folder, WORDS, 128, "f" * 64, {"max_size": 1024})


def written(folder: Path, names: Sequence[str], seed: int = 0) -> Index:
    with create(folder) as started:
        fill(started, names, seed)
        started.commit()
    return Index.open(folder)


def content(index: Index) -> dict[str, tuple[object, ...]]:
    """Return all that is known of every image of an index, wherever it is kept."""
    found: dict[str, tuple[object, ...]] = {}
    for image in np.flatnonzero(index.statistics.live).tolist():
        ((segment, number, postings),) = postings_of(index.segments, np.array([image], np.int32))
        words = segment.words(postings)
        found[index.names[image]] = (
            str(index.path(image)),
            segment.sizes[number].tolist(),
            words.ids.tolist(),
            words.signatures.tolist(),
            segment.keypoints(postings, number).tolist(),
            int(index.statistics.features[image]),
            int(index.statistics.distinct[image]),
        )
    return found


def assert_holds_the_same(first: Index, second: Index) -> None:
    assert content(first) == content(second)
    assert first.statistics.weights.tobytes() == second.statistics.weights.tobytes()
    assert len(first) == len(second) and first.features == second.features
