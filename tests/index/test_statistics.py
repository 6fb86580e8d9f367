"""Statistics: counts and weights by their formulas, however images are cut into segments."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bovw.index.statistics import Counts, Statistics
from bovw.records import Features, Words
from tests.index.samples import WORDS, gathered, random_features, random_images, random_words


def slow_statistics(images: Sequence[tuple[Features, Words]]) -> dict[str, list[float]]:
    """Count and weigh by the formulas, from lists of words."""
    lists = [words.ids[:, 0].tolist() for _, words in images]
    weights = []
    for word in range(WORDS):
        frequency = sum(word in words for words in lists)
        weights.append(math.log(1 + len(lists) / max(frequency, 1)) ** 2)
    return {
        "weights": weights,
        "features": [len(words) for words in lists],
        "distinct": [len(set(words)) for words in lists],
    }


def statistics_of(*parts: Sequence[tuple[Features, Words]]) -> Statistics:
    """Count over segments, one of each part, of which all images are live."""
    counts = [Counts.of(gathered(part)) for part in parts]
    return Statistics.of(counts, WORDS)


def test_statistics_agree_with_their_formulas() -> None:
    images = random_images(20)
    rng = np.random.default_rng(1)
    images.append((random_features(rng, 0, (640, 480)), random_words(rng, 0)))
    expected = slow_statistics(images)
    for parts in ([images], [images[:7], images[7:8], images[8:]]):
        statistics = statistics_of(*parts)
        assert np.allclose(statistics.weights, expected["weights"], rtol=1e-6)
        assert statistics.features.tolist() == expected["features"]
        assert statistics.distinct.tolist() == expected["distinct"]


def test_statistics_do_not_depend_on_segments() -> None:
    images = random_images(20)
    whole, parts = statistics_of(images), statistics_of(images[:9], images[9:])
    for name in Statistics.declared():
        assert getattr(whole, name).tobytes() == getattr(parts, name).tobytes()


def test_statistics_of_nothing() -> None:
    assert np.isfinite(statistics_of([]).weights).all()
    assert len(statistics_of().features) == 0


def test_removed_images_count_for_nothing() -> None:
    images = random_images(20)
    live = np.arange(20) % 3 > 0
    counted = Statistics.of([Counts.of(gathered(images), live)], WORDS)
    left = statistics_of([image for image, is_live in zip(images, live, strict=True) if is_live])
    assert counted.weights.tobytes() == left.weights.tobytes()
    assert counted.live.tolist() == live.tolist()
    for name in ("features", "distinct"):
        assert getattr(counted, name)[live].tolist() == getattr(left, name).tolist()
        assert not getattr(counted, name)[~live].any()
