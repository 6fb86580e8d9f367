"""Logarithms of the two tail probabilities that evidence is made of, without underflow."""

from __future__ import annotations

import numpy as np

from bovw.records import Doubles

# Terms that are computed in any case.
FAR = 4096
LN_10 = float(np.log(10))


def log_binomial_tails(trials: int, probability: float, most: int) -> Doubles:
    """Return log10 P[Bin(trials, probability) >= k] for k = 0 to `most`: float64 [most + 1].

    More successes than trials have the probability of all of them succeeding.
    """
    # Beyond three times the mean every term is less than half of the one before: those far beyond
    # add nothing.
    done = np.arange(min(trials, int(3 * trials * probability) + most + FAR))
    # Each term of the distribution from the one before.
    ratios = np.log((trials - done) / (done + 1.0)) + np.log(probability / (1 - probability))
    terms = np.concatenate([[0.0], np.cumsum(ratios)]) + trials * np.log1p(-probability)
    tails = np.logaddexp.accumulate(terms[::-1])[::-1]
    return np.minimum(tails, 0.0)[np.minimum(np.arange(most + 1), trials)] / LN_10


def log_gamma_tails(sums: Doubles) -> Doubles:
    """Return log10 P[Gamma(k) >= sums[k - 1]] for k = 1, 2 and so on: float64 [k].

    Gamma(k) is the sum of k exponential variables of mean 1. The tail is that of fewer than k
    events of a Poisson process before that sum.
    """
    events = np.arange(1, len(sums))
    x = np.maximum(sums, 1e-300)[:, None]
    steps = np.log(x) - np.log(events)
    terms = np.concatenate([np.zeros_like(x), np.cumsum(steps, axis=1)], axis=1) - x
    tails: Doubles = np.logaddexp.accumulate(terms, axis=1)
    return np.minimum(tails.diagonal(), 0.0) / LN_10
