"""Random queries and collections, and their scores by slow loops over the formulas."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pytest
from hypothesis import strategies as st

from bovw.options import SearchOptions
from bovw.ranking import SCORINGS


class Feature(NamedTuple):
    """A word, the signature in it, and the angle in 256ths of a turn."""

    word: int
    signature: int = 0
    angle: int = 0


# A query's feature has several words and signatures, nearest first, and the first one's angle.
Image = Sequence[Feature]

Query = Sequence[Sequence[Feature]]

WORDS = 6


# Of 128 bits; the low 64 of them serve shorter signatures.
BASES = (0x9F3A_5C17_E04B_D286_1B7E_C95D_3860_F4A2, 0x06C9_B5E2_7D13_48AF_E87A_021C_94D6_5B3F)

each_scoring = pytest.mark.parametrize("scoring", SCORINGS)


@dataclass(frozen=True)
class Case:
    """A query and a collection, which is split into two segments at image `cut`."""

    bits: int
    query: Query
    images: Sequence[Image]
    cut: int
    options: SearchOptions


def close_signatures(bits: int) -> st.SearchStrategy[int]:
    """Draw signatures that differ from one of two in a few bits."""
    flips = st.sets(st.integers(0, bits - 1), max_size=bits // 2)
    base = st.sampled_from([base % 2**bits for base in BASES])
    return st.builds(lambda base, flips: base ^ sum(1 << bit for bit in flips), base, flips)


def features(bits: int) -> st.SearchStrategy[Feature]:
    signatures = st.integers(0, 2**bits - 1) | close_signatures(bits)
    return st.builds(Feature, st.integers(0, WORDS - 1), signatures, st.integers(0, 255))


def queries(bits: int) -> st.SearchStrategy[Query]:
    """Draw features with as many words each; further words may be missing."""

    def rows(several: int) -> st.SearchStrategy[Query]:
        further = features(bits) | st.just(Feature(-1))
        row = st.tuples(features(bits), *(further for _ in range(several - 1)))
        return st.lists(row, max_size=8)

    return st.integers(1, 4).flatmap(rows)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    bits = draw(st.sampled_from([64, 128]))
    options = SearchOptions(
        words=draw(st.integers(1, 4)),
        burstiness=draw(st.booleans()),
        consistency=draw(st.booleans()),
        matching_distance=draw(st.sampled_from([0.0, 0.25, 0.4, 1.0])),
        sigma=draw(st.sampled_from([0.1, 0.2, 0.5])),
    )
    image = st.lists(features(bits), max_size=10)
    images = draw(st.lists(image, min_size=1, max_size=6))
    return Case(bits, draw(queries(bits)), images, draw(st.integers(0, 6)), options)


# The slow twins


def slow_weight(word: int, images: Sequence[Image]) -> float:
    frequency = sum(any(word == own.word for own in image) for image in images)
    return math.log(1 + len(images) / max(frequency, 1)) ** 2


def slow_tfidf(case: Case) -> list[float]:
    """Return products of dictionaries that have a weight for each word that is there."""

    def histogram(words: set[int]) -> dict[int, float]:
        return {word: slow_weight(word, case.images) for word in words}

    def norm(values: dict[int, float]) -> float:
        return math.sqrt(sum(value**2 for value in values.values())) or 1.0

    asked = histogram({row[0].word for row in case.query})
    scores = []
    for image in case.images:
        own = histogram({own.word for own in image})
        product = sum(value * own.get(word, 0) for word, value in asked.items())
        scores.append(product / (norm(asked) * math.sqrt(len(image) or 1)))
    return scores


def slow_hamming(case: Case) -> list[float]:
    """Return sums of idf^2 exp(-(h / sigma)^2), kept down by the root of the features.

    Where turns are looked at, those that agree to within a 16th of a turn and its neighbours count
    three times, or four.
    """
    scores = []
    for image in case.images:
        by_turn = [0.0] * 16
        for row in case.query:
            votes = []
            for word, signature, _ in row[: case.options.words]:
                for own, other, angle in image:
                    share = (signature ^ other).bit_count() / case.bits
                    if word == own and share <= case.options.matching_distance:
                        closeness = math.exp(-((share / case.options.sigma) ** 2))
                        turn = (angle - row[0].angle + 8) % 256 // 16
                        votes.append((slow_weight(word, case.images) * closeness, turn))
            if case.options.burstiness:
                sharing = sum(row[0].word == other[0].word for other in case.query)
                strongest = max(votes, key=by_vote, default=(0.0, 0))
                votes = [(strongest[0] / sharing, strongest[1])]
            for vote, turn in votes:
                by_turn[turn] += vote
        agreeing = [by_turn[t - 1] + by_turn[t] + by_turn[(t + 1) % 16] for t in range(16)]
        counted = max(2 * max(agreeing), 3 * agreeing[0]) if case.options.consistency else 0
        total = sum(by_turn) + counted
        scores.append(total / math.sqrt(max(len(image), 1) * max(len(case.query), 1)))
    return scores


def by_vote(vote: tuple[float, int]) -> float:
    return vote[0]


def slow_asmk(case: Case) -> list[float]:
    """Return normalised sums of u^3 over the words that both have."""

    def aggregated(features: Sequence[Feature]) -> dict[int, int]:
        majorities = {}
        for word in {feature.word for feature in features if feature.word >= 0}:
            own = [feature.signature for feature in features if feature.word == word]
            counts = [sum(signature >> bit & 1 for signature in own) for bit in range(case.bits)]
            majorities[word] = sum(1 << i for i, n in enumerate(counts) if 2 * n >= len(own))
        return majorities

    asked = aggregated([feature for row in case.query for feature in row[: case.options.words]])
    scores = []
    for image in case.images:
        own, total = aggregated(image), 0.0
        for word in asked.keys() & own.keys():
            similarity = 1 - 2 * (asked[word] ^ own[word]).bit_count() / case.bits
            total += similarity**3 if similarity > 0 else 0
        scores.append(total / math.sqrt(max(len(own), 1) * max(len(asked), 1)))
    return scores


TWINS: dict[str, Callable[[Case], list[float]]] = {
    "tfidf": slow_tfidf,
    "hamming": slow_hamming,
    "asmk": slow_asmk,
}
