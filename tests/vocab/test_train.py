"""Descriptors become words, the same ones every time."""

from __future__ import annotations

import numpy as np
import pytest

from bovw.records import Bytes
from bovw.vocab import Vocabulary, train
from bovw.vocab.train import feasible_words, train_words
from tests.vocab.words import SMALL, clusters, featured, floats, quantisation_error


@pytest.mark.parametrize(
    ("asked", "descriptors", "words"),
    [(100, 800, 100), (100, 799, 99), (100, 16, 2), (100, 7, 1), (1, 10_000, 1)],
)
def test_few_descriptors_lower_the_number_of_words(
    asked: int, descriptors: int, words: int
) -> None:
    assert feasible_words(asked, descriptors) == words


def test_training_gives_as_many_words_as_asked(vocabulary: Vocabulary) -> None:
    assert vocabulary.words.shape == (100, 128)
    assert vocabulary.projection.shape == (128, 128)
    assert vocabulary.settings["words"] == 100
    assert len(np.unique(vocabulary.words, axis=0)) == 100
    assert vocabulary.sources.tolist() == [3, 9]


def test_training_on_few_descriptors(sift: Bytes) -> None:
    few = Vocabulary.train(sift[:41], SMALL)
    assert len(few.words) == 5
    assert few.assign(featured(sift[:7]), 10).ids.shape == (7, 5)


def test_training_on_one_descriptor(sift: Bytes) -> None:
    one = Vocabulary.train(sift[:1], SMALL)
    assert one.words.tolist() == floats(sift[:1]).tolist()


@pytest.mark.parametrize("flat_words", [1024, 20])
def test_identical_descriptors_make_one_word(
    monkeypatch: pytest.MonkeyPatch, sift: Bytes, flat_words: int
) -> None:
    monkeypatch.setattr(train, "FLAT_WORDS", flat_words)
    same = np.repeat(sift[:1], 2000, axis=0)
    assert train_words(same, 100, 0, 2, 1).tolist() == floats(sift[:1]).tolist()


@pytest.mark.parametrize("flat_words", [1024, 20])
def test_duplicates_do_no_harm(
    monkeypatch: pytest.MonkeyPatch, sift: Bytes, flat_words: int
) -> None:
    monkeypatch.setattr(train, "FLAT_WORDS", flat_words)
    words = train_words(np.repeat(sift[:30], 60, axis=0), 64, 0, 2, 1)
    assert 10 <= len(words) <= 30
    assert len(np.unique(words, axis=0)) == len(words)
    assert np.isfinite(words).all()


@pytest.mark.slow
@pytest.mark.parametrize("flat_words", [1024, 64])
def test_training_does_not_depend_on_jobs(
    monkeypatch: pytest.MonkeyPatch, sift: Bytes, flat_words: int
) -> None:
    monkeypatch.setattr(train, "FLAT_WORDS", flat_words)
    first, second = (train_words(sift, 300, 0, 2, jobs) for jobs in (1, 2))
    assert first.tobytes() == second.tobytes()
    assert train_words(sift, 300, 1, 2, 1).tobytes() != first.tobytes()


@pytest.mark.slow
def test_two_levels_are_about_as_good_as_one(monkeypatch: pytest.MonkeyPatch, sift: Bytes) -> None:
    flat = train_words(sift, 300, 0, 2, 1)
    monkeypatch.setattr(train, "FLAT_WORDS", 64)
    two_levels = train_words(sift, 300, 0, 2, 1)
    assert 285 <= len(two_levels) <= 300
    error = quantisation_error(sift, two_levels)
    assert error < 1.1 * quantisation_error(sift, flat)


def test_more_words_than_one_level_takes(sift: Bytes) -> None:
    words = train_words(sift, train.FLAT_WORDS + 76, 0, 1, 1)
    assert train.FLAT_WORDS < len(words) <= train.FLAT_WORDS + 76


@pytest.mark.slow
@pytest.mark.parametrize("flat_words", [1024, 10])
def test_planted_clusters_are_found(monkeypatch: pytest.MonkeyPatch, flat_words: int) -> None:
    monkeypatch.setattr(train, "FLAT_WORDS", flat_words)
    centres, members = clusters(count=40, members=50, spread=4)
    words = train_words(members, 80, 0, 2, 1)
    gaps = np.linalg.norm(floats(centres + 2)[:, None] - words[None], axis=2).min(axis=1)
    # Centres lie about 200 apart, members within 25 of theirs.
    assert gaps.max() < 40
