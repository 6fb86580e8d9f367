"""What the evidence means: false alarms, probabilities, and what decoys say of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bovw.records import Doubles
from bovw.verification import PAIR, Calibration
from bovw.verification.calibration import COUNTED, FALL, LONELY, RELATED, START, VERIFIED

factors = st.floats(1e-3, 1e3)
images = st.integers(1, 1_000_000)
some_meanings = st.floats(-50, 300)
extreme = st.one_of(some_meanings, st.floats(-1e6, 1e6), st.sampled_from([-1e6, 1e6]))
NONE: Doubles = np.empty(0)


@given(factors, some_meanings, images)
def test_false_alarms_and_meaning_are_inverses(
    factor: float, meaning: float, verified: int
) -> None:
    calibration = Calibration(factor)
    alarms = calibration.false_alarms(meaning, verified)
    assert calibration.meaning(alarms, verified) == pytest.approx(meaning, abs=1e-6)


@given(factors, st.floats(1e-9, 1), images)
def test_meaning_and_false_alarms_are_inverses(factor: float, alarms: float, verified: int) -> None:
    calibration = Calibration(factor)
    meaning = calibration.meaning(alarms, verified)
    assert calibration.false_alarms(meaning, verified) == pytest.approx(alarms, rel=1e-9)


@given(factors, extreme, st.floats(0, 1e6), images)
def test_more_evidence_has_fewer_false_alarms(
    factor: float, meaning: float, more: float, verified: int
) -> None:
    calibration = Calibration(factor)
    before, after = (calibration.false_alarms(m, verified) for m in (meaning, meaning + more))
    assert 0 <= after <= before < np.inf


@given(factors, some_meanings, images, images)
def test_more_images_have_more_false_alarms(
    factor: float, meaning: float, verified: int, more: int
) -> None:
    calibration = Calibration(factor)
    fewer, many = (calibration.false_alarms(meaning, n) for n in (verified, verified + more))
    assert 0 < fewer < many


@given(factors, some_meanings)
def test_a_meaning_ten_times_as_rare(factor: float, meaning: float) -> None:
    calibration = Calibration(factor)
    first, rarer = (calibration.false_alarms(m) for m in (meaning, meaning + 1 / FALL))
    assert first == pytest.approx(10 * rarer, rel=1e-9)
    assert calibration.false_alarms(meaning) == pytest.approx(
        factor * Calibration().false_alarms(meaning)
    )


@pytest.mark.parametrize("verified", [1, 2, 19, 20, 21, 100, 5000])
def test_images_further_down_add_less(verified: int) -> None:
    """Rank r adds 1 / r: the sum over all ranks, in plain Python."""
    share = sum(1 / rank for rank in range(1, verified + 1))
    usual = sum(1 / rank for rank in range(1, VERIFIED + 1))
    calibration = Calibration()
    found = calibration.false_alarms(2.0, verified) / calibration.false_alarms(2.0)
    assert found == pytest.approx(share / usual, rel=1e-4)


def test_the_usual_figures() -> None:
    assert Calibration() == Calibration(1.0, 0)
    assert Calibration().false_alarms(0) == pytest.approx(10**START)
    assert Calibration().false_alarms(4) == pytest.approx(10 ** (START - 4 * FALL))
    assert Calibration().false_alarms(4, verified=0) == Calibration().false_alarms(4, verified=1)
    assert PAIR.false_alarms(0, 1) < 0.01


# Probabilities


@given(factors, extreme, st.floats(0, 1e6), images, st.integers(0, 1000))
def test_probabilities_are_shares_that_grow_with_the_evidence(
    factor: float, meaning: float, more: float, verified: int, others: int
) -> None:
    calibration = Calibration(factor)
    less, greater = (
        calibration.probability(calibration.false_alarms(m, verified), others)
        for m in (meaning, meaning + more)
    )
    assert 0 <= less <= greater <= 1
    assert np.isfinite([less, greater]).all()


@given(st.floats(0, 1e300), st.integers(0, 1000), st.integers(1, 1000))
def test_probabilities_grow_with_other_matches(alarms: float, others: int, more: int) -> None:
    calibration = Calibration()
    before, after = (calibration.probability(alarms, n) for n in (others, others + more))
    assert 0 <= before <= after <= 1
    # The first other one may be chance itself.
    assert calibration.probability(alarms, 0) == calibration.probability(alarms, 1)


def test_what_chance_gives_in_no_query_is_certain() -> None:
    assert Calibration().probability(0.0, 0) == 1
    assert Calibration().probability(1e300, 1000) < 1e-200


@pytest.mark.parametrize("others", [0, 1, 5])
def test_the_probability_is_the_share_of_true_ones(others: int) -> None:
    """Agreements of either kind are drawn, and those of about one meaning are counted."""
    rng = np.random.default_rng(others)
    calibration, meaning, width = Calibration(2.0), 3.0, 0.2
    below, above = meaning - width / 2, meaning + width / 2
    chance = calibration.false_alarms(below) - calibration.false_alarms(above)
    # As docstrings have it: so many true ones for a meaning between m and m + 1.
    same = (LONELY + RELATED * max(others - 1, 0)) * width
    queries = 400_000
    wrong, right = rng.poisson(chance, queries).sum(), rng.poisson(same, queries).sum()
    expected = calibration.probability(calibration.false_alarms(meaning), others)
    assert right / (right + wrong) == pytest.approx(expected, rel=0.02)


# Decoys


def best_of_decoys(
    rng: np.random.Generator, factor: float, decoys: int, verified: int = VERIFIED
) -> Doubles:
    """Draw the best agreement of each decoy: the default law times a factor, above -1.

    Of chance agreements with a meaning above m there are so many a query; the meaning above any
    bound is exponential.
    """
    rate = Calibration(factor).false_alarms(COUNTED, verified)
    counts = rng.poisson(rate, decoys)
    best = [COUNTED + rng.exponential(1 / (FALL * np.log(10)), n).max() for n in counts if n]
    below = rng.uniform(COUNTED - 5, COUNTED - 1e-6, decoys // 3)
    return np.concatenate([np.array(best), below])


@pytest.mark.parametrize("verified", [10, 100, 1000])
@pytest.mark.parametrize("factor", [0.1, 1.0, 3.0, 12.0])
def test_decoys_find_the_factor(factor: float, verified: int) -> None:
    rng, decoys = np.random.default_rng(0), 100_000
    found = Calibration.of(best_of_decoys(rng, factor, decoys, verified), decoys, verified)
    assert found.decoys == decoys
    drawn = decoys * Calibration(factor).false_alarms(COUNTED, verified)
    assert found.factor == pytest.approx(factor, rel=0.02 + 3 / np.sqrt(drawn))


def test_few_decoys_hardly_move_the_default() -> None:
    rng = np.random.default_rng(1)
    factors = [Calibration.of(best_of_decoys(rng, 5.0, 3), 3, 100).factor for _ in range(200)]
    assert 1 < np.mean(factors) < 2.5
    # With none at all that agreed.
    assert 0.8 < Calibration.of(NONE, 3, 100).factor < 1
    assert 0.05 < Calibration.of(NONE, 200, 100).factor < 0.15


@pytest.mark.parametrize(("decoys", "verified"), [(0, 100), (0, 0), (200, 0)])
def test_without_decoys_or_images_it_is_the_default(decoys: int, verified: int) -> None:
    found = Calibration.of(NONE, decoys, verified)
    assert found.factor == pytest.approx(1)
    assert found.decoys == decoys


@given(st.lists(extreme, max_size=300), st.integers(0, 300), st.integers(0, 1000))
def test_whatever_decoys_find_the_factor_is_sane(
    meanings: list[float], silent: int, verified: int
) -> None:
    decoys = len(meanings) + silent + 1
    found = Calibration.of(np.array(meanings), decoys, verified)
    assert 0 < found.factor < np.inf
    more = Calibration.of(np.array([*meanings, COUNTED]), decoys, verified)
    assert more.factor > found.factor
