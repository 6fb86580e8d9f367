"""Logarithms of the two tail probabilities that evidence is made of, without underflow."""

from __future__ import annotations

import numpy as np

from bovw.records import Doubles, Longs

# Terms that are computed in any case.
FAR = 4096
# Events in the rows that are computed together.
SHORT = 64
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


def log_gamma_tails(counts: Longs, sums: Doubles) -> Doubles:
    """Return log10 P[Gamma(k) >= sum] for each of the counts k [n] and its sum: float64 [n].

    Gamma(k) is the sum of k exponential variables of mean 1. The tail is that of fewer than k
    events of a Poisson process before that sum.
    """
    tails = np.zeros(len(counts))
    # Few counts are large, so that most rows are short.
    for rows in (counts <= SHORT, counts > SHORT):
        events = np.arange(int(counts[rows].max(initial=0)))
        factorials = np.cumsum(np.log(np.maximum(events, 1)))
        x = np.maximum(sums[rows], 1e-300)[:, None]
        terms = np.where(events < counts[rows][:, None], events * np.log(x) - factorials, -np.inf)
        tails[rows] = np.logaddexp.reduce(terms, axis=1, initial=-np.inf) - x[:, 0]
    return np.minimum(tails, 0.0) / LN_10
