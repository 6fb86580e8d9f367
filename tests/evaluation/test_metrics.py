"""The measures, against the protocol's test vector and a slow, literal reading of compute_ap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bovw.evaluation.metrics import (
    average_precision,
    bootstrap_interval,
    first_is_positive,
    interpolated,
    means_of_halves,
    precision_at,
    precision_recall,
    ukbench_score,
)

NAMES = [f"image{number}" for number in range(8)]


@st.composite
def judged_rankings(draw: st.DrawFn) -> tuple[list[str], set[str], set[str]]:
    """A ranking of some of the names, at least one positive, and junk that is none of them."""
    ranking = draw(st.permutations(NAMES))[: draw(st.integers(0, len(NAMES)))]
    positives = draw(st.sets(st.sampled_from(NAMES), min_size=1))
    junk = draw(st.sets(st.sampled_from(NAMES)))
    return ranking, positives, junk - positives


def compute_ap(ranking: list[str], positives: set[str], junk: set[str]) -> float:
    """Integrate precision over recall by trapezoids, image by image, as the Oxford program does."""
    area, seen, found = 0.0, 0, 0
    old_recall, old_precision = 0.0, 1.0
    for name in ranking:
        if name in junk:
            continue
        seen += 1
        found += name in positives
        recall, precision = found / len(positives), found / seen
        area += (recall - old_recall) * (old_precision + precision) / 2
        old_recall, old_precision = recall, precision
    return area


def test_the_vector_of_the_protocol() -> None:
    vector = (["a", "b", "d", "c"], {"a", "c"}, {"b"})
    assert average_precision(*vector) == pytest.approx(0.7916667, abs=1e-7)
    assert average_precision(*vector, form="rectangle") == pytest.approx(0.8333333, abs=1e-7)


@pytest.mark.slow
@given(judged_rankings())
def test_official_is_compute_ap(judged: tuple[list[str], set[str], set[str]]) -> None:
    assert average_precision(*judged) == pytest.approx(compute_ap(*judged))


@pytest.mark.slow
@given(judged_rankings())
def test_rectangle_is_never_smaller(judged: tuple[list[str], set[str], set[str]]) -> None:
    official, rectangle = average_precision(*judged), average_precision(*judged, form="rectangle")
    assert 0 <= official <= rectangle + 1e-12
    assert rectangle <= 1 + 1e-12


@given(judged_rankings())
def test_junk_is_as_if_it_were_not_there(judged: tuple[list[str], set[str], set[str]]) -> None:
    ranking, positives, junk = judged
    clean = [name for name in ranking if name not in junk]
    assert average_precision(*judged) == average_precision(clean, positives)
    assert first_is_positive(*judged) == first_is_positive(clean, positives)
    assert precision_at(*judged, k=3) == precision_at(clean, positives, set(), k=3)


@pytest.mark.parametrize("form", ["official", "rectangle"])
def test_a_perfect_ranking_scores_one_and_a_positive_never_found_counts(form: str) -> None:
    assert average_precision(["a", "b", "x"], {"a", "b"}, form=form) == 1  # type: ignore[arg-type]
    assert average_precision(["a", "x"], {"a", "b"}, form=form) == 0.5  # type: ignore[arg-type]
    assert average_precision(["x"], {"a"}, form=form) == 0  # type: ignore[arg-type]


def test_precision_is_taken_at_the_last_positive_where_that_comes_first() -> None:
    ranking = ["j", "a", "x", "b", "y", "z"]
    assert precision_at(ranking, {"a", "b"}, {"j"}, 1) == 1
    assert precision_at(ranking, {"a", "b"}, {"j"}, 2) == 1 / 2
    assert precision_at(ranking, {"a", "b"}, {"j"}, 10) == 2 / 3
    assert precision_at(["x", "y"], {"a"}, set(), 5) == 0


def test_first_is_positive() -> None:
    assert first_is_positive(["j", "a", "x"], {"a"}, {"j"})
    assert not first_is_positive(["x", "a"], {"a"})
    assert not first_is_positive([], {"a"})
    assert not first_is_positive(["j"], {"a"}, {"j"})


def test_ukbench_counts_the_first_four() -> None:
    group = {"a", "b", "c", "d"}
    assert ukbench_score(["a", "b", "c", "d"], group) == 4
    assert ukbench_score(["a", "x", "b", "y", "c", "d"], group) == 2


def test_a_name_ranked_twice_is_refused_by_every_measure() -> None:
    twice = ["a", "x", "x"]
    with pytest.raises(ValueError, match="twice"):
        average_precision(twice, {"a"})
    with pytest.raises(ValueError, match="twice"):
        precision_at(twice, {"a"}, set(), 1)
    with pytest.raises(ValueError, match="twice"):
        first_is_positive(twice, {"a"})
    with pytest.raises(ValueError, match="twice"):
        ukbench_score(twice, {"a"})


def test_a_query_without_positives_has_no_score() -> None:
    with pytest.raises(ValueError, match="without positives"):
        average_precision(["a"], set())
    with pytest.raises(ValueError, match="without positives"):
        precision_at(["a"], set(), set(), 1)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        precision_at(["a"], {"a"}, set(), 0)
    with pytest.raises(ValueError, match="'area'"):
        average_precision(["a"], {"a"}, form="area")  # type: ignore[arg-type]


def test_the_interval_holds_the_mean_and_is_reproducible() -> None:
    values = [0.1, 0.4, 0.5, 0.9, 0.3, 0.7]
    low, high = bootstrap_interval(values, NAMES[:6], rounds=500)
    assert min(values) < low < sum(values) / 6 < high < max(values)
    assert (low, high) == bootstrap_interval(values, NAMES[:6], rounds=500)
    assert (low, high) != bootstrap_interval(values, NAMES[:6], rounds=500, seed=1)
    wider = bootstrap_interval(values, NAMES[:6], confidence=0.99, rounds=500)
    assert wider[0] < low
    assert high < wider[1]


def test_whole_landmarks_are_drawn() -> None:
    """Two landmarks, one always right and one always wrong: half of the means are 0 or 1."""
    values, groups = [1.0] * 20 + [0.0] * 20, ["a"] * 20 + ["b"] * 20
    assert bootstrap_interval(values, groups, rounds=500) == (0, 1)
    alone = [str(number) for number in range(40)]
    low, high = bootstrap_interval(values, alone, rounds=500)
    assert 0.3 < low < 0.5 < high < 0.7
    assert bootstrap_interval(values, ["a"] * 40, rounds=500) == (low, high)


def test_unequal_landmarks_weigh_by_their_queries() -> None:
    """The mean of a draw is over its queries, so that it is a mean that queries could have."""
    low, high = bootstrap_interval([1.0, 0.0, 0.0, 0.0], ["a", "b", "b", "b"], 0.2, rounds=2000)
    assert (low, high) == (0.25, 0.25)


@pytest.mark.parametrize(
    ("values", "groups", "confidence", "rounds"),
    [
        ([], [], 0.95, 10),
        ([1.0], ["a", "b"], 0.95, 10),
        ([1.0], ["a"], 1, 10),
        ([1.0], ["a"], 0, 9),
    ],
)
def test_the_interval_refuses(
    values: list[float], groups: list[str], confidence: float, rounds: int
) -> None:
    with pytest.raises(ValueError, match="with"):
        bootstrap_interval(values, groups, confidence, rounds)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_halves_make_the_whole(values: list[float]) -> None:
    first, second = means_of_halves(values)
    larger, smaller = (len(values) + 1) // 2, len(values) // 2
    assert first * larger + second * smaller == pytest.approx(sum(values))
    assert (first, second) == means_of_halves(values)


def test_halves_are_drawn_at_random() -> None:
    first, second = means_of_halves([0.0] * 500 + [1.0] * 500)
    assert 0.4 < first < 0.6 and 0.4 < second < 0.6
    alternating = means_of_halves([0.0, 1.0] * 500)
    assert 0.4 < alternating[0] < 0.6, "not every other query"


def test_one_value_is_both_halves() -> None:
    assert means_of_halves([0.25]) == (0.25, 0.25)
    with pytest.raises(ValueError, match="no values"):
        means_of_halves([])


@pytest.mark.slow
@given(judged_rankings())
def test_the_curve_holds_the_average_precision(
    case: tuple[list[str], set[str], set[str]],
) -> None:
    ranking, positives, junk = case
    curve = precision_recall(ranking, positives, junk)
    kept = [name for name in ranking if name not in junk]
    ends = [kept[: place + 1] for place, name in enumerate(kept) if name in positives]
    for (recall, precision), seen in zip(curve, ends, strict=True):
        found = len(positives & set(seen))
        assert (recall, precision) == (found / len(positives), found / len(seen))
    area = sum(precision for _, precision in curve) / len(positives)
    assert area == pytest.approx(average_precision(ranking, positives, junk, "rectangle"))


def test_a_curve_without_positives_is_refused() -> None:
    with pytest.raises(ValueError, match="without positives"):
        precision_recall(NAMES, set())


@pytest.mark.slow
@given(judged_rankings(), st.sampled_from([2, 11, 101]))
def test_interpolation_takes_the_best_from_a_recall_on(
    case: tuple[list[str], set[str], set[str]], points: int
) -> None:
    curve = precision_recall(*case)
    expected = [
        max((p for r, p in curve if r >= i / (points - 1) - 1e-12), default=0.0)
        for i in range(points)
    ]
    assert interpolated(curve, points) == expected
