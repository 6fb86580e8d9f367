"""Stage 5: the scores of postings are the scores of the formula."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bovw.index.segment import Gathering, Segment
from bovw.index.statistics import Statistics
from bovw.ranking import SCORINGS, score_tfidf
from bovw.records import Features, Floats, Words

WORDS = 12
word_lists = st.lists(st.integers(0, WORDS - 1), max_size=15)
collections = st.lists(word_lists, min_size=1, max_size=8)


def slow_tfidf(query: list[int], images: Sequence[list[int]]) -> list[float]:
    """Return cosines between dictionaries of sqrt(tf) * log(1 + N / df)^2."""

    def weight(word: int) -> float:
        frequency = sum(word in image for image in images)
        return math.log(1 + len(images) / max(frequency, 1)) ** 2

    def histogram(words: list[int]) -> dict[int, float]:
        return {word: math.sqrt(tf) * weight(word) for word, tf in Counter(words).items()}

    def norm(values: dict[int, float]) -> float:
        return math.sqrt(sum(value**2 for value in values.values())) or 1.0

    asked = histogram(query)
    scores = []
    for image in map(histogram, images):
        product = sum(value * image.get(word, 0) for word, value in asked.items())
        scores.append(product / (norm(asked) * norm(image)))
    return scores


def segment_of(images: Sequence[list[int]]) -> Segment:
    gathering = Gathering(WORDS, 64)
    for words in images:
        count = len(words)
        points = np.ones((count, 4), np.float32)
        features = Features(points, np.zeros((count, 128), np.uint8), 64, 64)
        gathering.add(features, np.array(words, np.int32), np.zeros((count, 1), np.uint64))
    return gathering.segment()


def words_of(query: list[int], several: int = 1) -> Words:
    """Make the query's words; further words of a feature must not count."""
    ids = np.full((len(query), several), WORDS - 1, np.int32)
    ids[:, 0] = query
    return Words(ids, np.zeros((*ids.shape, 1), np.uint64))


def fast_tfidf(
    query: list[int], images: Sequence[list[int]], several: int = 1, cut: int = 0
) -> Floats:
    segments = [segment_of(part) for part in (images[:cut], images[cut:]) if part]
    statistics = Statistics.of(segments, WORDS)
    return score_tfidf(words_of(query, several), segments, statistics)


@settings(deadline=None, max_examples=150)
@given(word_lists, collections, st.integers(1, 3), st.integers(0, 8))
def test_tfidf_agrees_with_its_formula(
    query: list[int], images: list[list[int]], several: int, cut: int
) -> None:
    scores = fast_tfidf(query, images, several, cut)
    assert scores.dtype == np.float32
    assert np.allclose(scores, slow_tfidf(query, images), rtol=1e-5, atol=1e-7)
    assert np.isfinite(scores).all()
    assert (scores >= 0).all()
    assert (scores <= 1 + 1e-6).all()


@settings(deadline=None, max_examples=50)
@given(word_lists, collections, st.integers(0, 8))
def test_scores_do_not_depend_on_segments(
    query: list[int], images: list[list[int]], cut: int
) -> None:
    whole, parts = fast_tfidf(query, images), fast_tfidf(query, images, cut=cut)
    assert whole.tobytes() == parts.tobytes()


def test_an_image_is_most_like_itself() -> None:
    images = [[0, 0, 1, 2], [2, 3, 4], [4, 5, 5, 5, 6]]
    for number, image in enumerate(images):
        scores = fast_tfidf(image, images)
        assert scores.argmax() == number
        assert abs(scores[number] - 1) < 1e-6


def test_one_image_is_found() -> None:
    assert fast_tfidf([1, 2], [[1, 2, 3]])[0] > 0.5


def test_a_word_of_every_image_still_counts() -> None:
    scores = fast_tfidf([0], [[0, 1], [0, 2], [0, 3]])
    assert (scores > 0).all()


def test_unknown_words_and_no_words_score_nothing() -> None:
    images = [[0, 1], [], [2]]
    assert fast_tfidf([7, 8], images).tolist() == [0, 0, 0]
    assert fast_tfidf([], images).tolist() == [0, 0, 0]


def test_no_images_have_no_scores() -> None:
    assert len(score_tfidf(words_of([1]), [], Statistics.of([], WORDS))) == 0
    empty = segment_of([])
    assert len(score_tfidf(words_of([1]), [empty], Statistics.of([empty], WORDS))) == 0


def test_every_scoring_gives_every_image_a_finite_score() -> None:
    segment = segment_of([[0, 1], [2, 2], []])
    for score in SCORINGS.values():
        scores = score(words_of([0, 2, 9]), [segment], Statistics.of([segment], WORDS))
        assert scores.shape == (3,)
        assert np.isfinite(scores).all()
