"""The two tail probabilities agree with SciPy's, and stay finite where these underflow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bovw.records import Doubles
from bovw.verification.tails import LN_10, log_binomial_tails, log_gamma_tails

# SciPy's own logarithms lose digits in far tails, and below this they are minus infinity.
FAR = -290.0


def slow_binomial(trials: int, probability: float, most: int) -> Doubles:
    successes = np.minimum(np.arange(most + 1), trials)
    tails = stats.binom.logsf(successes - 1, trials, probability) / LN_10
    return np.asarray(tails, np.float64)


def slow_gamma(sums: Doubles) -> Doubles:
    tails = stats.gamma.logsf(sums, np.arange(1, len(sums) + 1)) / LN_10
    return np.asarray(tails, np.float64)


def check(tails: Doubles, expected: Doubles) -> None:
    assert tails.dtype == np.float64 and tails.shape == expected.shape
    assert np.isfinite(tails).all() and (tails <= 0).all()
    near = expected > FAR
    np.testing.assert_allclose(tails[near], expected[near], rtol=1e-6, atol=1e-9)
    assert (tails[~near] < FAR + 5).all()


@pytest.mark.parametrize("trials", [5_000, 100_000, 16_000_000])
@pytest.mark.parametrize("probability", [1e-6, 1e-3, 0.3])
def test_many_trials_take_no_more_than_their_mean(trials: int, probability: float) -> None:
    check(log_binomial_tails(trials, probability, 64), slow_binomial(trials, probability, 64))


@given(st.integers(1, 3000), st.floats(1e-6, 0.5), st.integers(0, 70))
@settings(max_examples=200, deadline=None)
def test_binomial_tails_are_those_of_scipy(trials: int, probability: float, most: int) -> None:
    tails = log_binomial_tails(trials, probability, most)
    check(tails, slow_binomial(trials, probability, most))
    assert tails[0] == pytest.approx(0, abs=1e-9)
    assert (np.diff(tails) <= 0).all()


@pytest.mark.parametrize("trials", [0, 1, 2, 3, 63, 64, 65, 40_000])
@pytest.mark.parametrize("probability", [1e-12, 1e-3, 0.5])
def test_few_and_many_trials(trials: int, probability: float) -> None:
    tails = log_binomial_tails(trials, probability, 64)
    check(tails, slow_binomial(trials, probability, 64))
    assert (np.diff(tails) <= 0).all()


def test_every_success_is_all_that_one_trial_can_have() -> None:
    assert log_binomial_tails(1, 1e-3, 3) == pytest.approx([0, -3, -3, -3])


@given(st.integers(2, 5000), st.integers(1, 64))
def test_more_trials_make_as_many_successes_likelier(trials: int, successes: int) -> None:
    fewer, more = (log_binomial_tails(n, 1e-3, successes) for n in (trials - 1, trials))
    assert (more >= fewer - 1e-9)[:trials].all()


def gamma_tails(sums: Doubles) -> Doubles:
    """Return the tails of sums of 1, 2 and so on."""
    return log_gamma_tails(np.arange(1, len(sums) + 1), sums)


@given(st.lists(st.floats(0, 200), min_size=1, max_size=200))
@settings(max_examples=200, deadline=None)
def test_gamma_tails_are_those_of_scipy(values: list[float]) -> None:
    check(gamma_tails(np.array(values)), slow_gamma(np.array(values)))


@given(st.lists(st.floats(0, 40), min_size=1, max_size=64))
@settings(max_examples=100, deadline=None)
def test_gamma_tails_are_those_of_few_events(values: list[float]) -> None:
    """Fewer than k events of a Poisson process before the sum."""
    sums = np.array(values)
    events = np.arange(len(sums))
    expected = stats.poisson.logcdf(events, sums) / LN_10
    check(gamma_tails(sums), expected)


@pytest.mark.parametrize("value", [0.0, 1e-300, 1e-9, 1.0, 64.0, 700.0, 1e4])
@pytest.mark.parametrize("count", [1, 2, 64])
def test_extreme_sums(value: float, count: int) -> None:
    sums = np.full(count, value)
    tails = gamma_tails(sums)
    check(tails, slow_gamma(sums))
    # More variables reach the same sum more easily.
    assert (np.diff(tails) >= 0).all()


@given(st.integers(1, 64), st.floats(0, 1e4), st.floats(0, 100))
def test_a_greater_sum_is_less_likely(count: int, value: float, more: float) -> None:
    lower, higher = (gamma_tails(np.full(count, v)) for v in (value, value + more))
    assert (higher <= lower + 1e-9).all()


def test_nothing_has_no_tail() -> None:
    assert gamma_tails(np.empty(0)).shape == (0,)
