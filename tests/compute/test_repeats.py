"""Of the features that share a word, some speak for all."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bovw.compute.repeats import number_repeats, thin_out
from bovw.records import Ints


@given(st.lists(st.integers(-1, 5), max_size=30))
def test_repeats_are_numbered_in_their_order(ids: list[int]) -> None:
    numbers, counts = number_repeats(np.array(ids, np.int32))
    assert numbers.tolist() == [ids[:row].count(word) for row, word in enumerate(ids)]
    assert counts.tolist() == [ids.count(word) for word in ids]


def slow_thin_out(ids: Ints, most: int) -> Ints:
    """Try ever fewer features a word, and keep every so-manyth of each word."""
    kept = ids.copy()
    for column in range(ids.shape[1]):
        given = kept[:, column].tolist()
        counts = Counter(word for word in given if word >= 0)

        def met(asking: int, counts: Counter[int] = counts) -> int:
            return sum(min(count, asking) * count for count in counts.values())

        asking = max(counts.values(), default=1)
        while asking > 1 and met(asking) > most * len(ids):
            asking -= 1
        for row, word in enumerate(given):
            number, count = given[:row].count(word), counts[word]
            # Those ask whose share number / count is the first beyond a multiple of 1 / asking.
            if count > asking and number * asking // count == (number - 1) * asking // count:
                kept[row, column if column else slice(None)] = -1
    return kept


@given(st.lists(st.tuples(*[st.integers(-1, 3)] * 3), max_size=40), st.integers(1, 12))
def test_those_that_speak_for_all_are_those_of_a_slow_loop(
    rows: list[tuple[int, ...]], most: int
) -> None:
    ids = np.array(rows, np.int32).reshape(-1, 3)
    np.testing.assert_array_equal(thin_out(ids, most), slow_thin_out(ids, most))


def test_what_hardly_repeats_stays_as_it_is() -> None:
    ids = np.random.default_rng(0).permutation(5000).reshape(-1, 5).astype(np.int32)
    ids[:100] = 7
    assert thin_out(ids) is ids


def test_of_one_thing_again_and_again_a_few_ask_from_everywhere() -> None:
    kept = thin_out(np.zeros((1000, 2), np.int32), 10)
    assert np.flatnonzero(kept[:, 0] == 0).tolist() == list(range(0, 1000, 100))
    np.testing.assert_array_equal(kept[:, 0], kept[:, 1])
