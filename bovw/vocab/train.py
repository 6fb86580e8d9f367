"""Clusters descriptors into visual words."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits

from bovw.compute.processes import Workers, map_processes
from bovw.records import Bytes, Doubles, Floats
from bovw.vocab.assign import Assigner

# Up to this many words, one flat k-means is quicker than two levels and their rounds.
FLAT_WORDS = 1024
# With fewer descriptors per word, some words only stand for one feature's noise.
DESCRIPTORS_A_WORD = 8
# Descriptors for each coarse cell; more do not improve its centre.
COARSE_SAMPLE = 400
BLOCK = 65_536


def whole(values: Floats | Doubles) -> Floats:
    """Round to whole numbers from 0 to 255, as descriptors and words are stored."""
    return np.clip(np.rint(values), 0, 255).astype(np.float32)


def feasible_words(asked: int, descriptors: int) -> int:
    """Return how many words `descriptors` descriptors can support, at most `asked`, at least 1."""
    return max(1, min(asked, descriptors // DESCRIPTORS_A_WORD))


def train_words(
    descriptors: Bytes,
    words: int,
    seed: int,
    rounds: int,
    jobs: int,
    cluster: Workers | None = None,
) -> Floats:
    """Cluster descriptors [n, d] into at most `words` visual words.

    Small vocabularies come from one MiniBatchKMeans (Sculley, WWW 2010). Large ones take two
    levels: coarse cells, then words in each cell in proportion to its mass. `rounds` rounds of
    Lloyd's algorithm with approximate assignment follow (Philbin et al., CVPR 2007).

    Returns float32 [k, d]; k is less than `words` only if too few descriptors differ. The result
    depends on the descriptors, their order and `seed`, never on `jobs` or the cluster. A cluster's
    workers share the cells and the sums of the rounds.
    """
    if words <= FLAT_WORDS:
        centres = _cluster(descriptors.astype(np.float32), words, seed)
    else:
        centres = _two_levels(descriptors, words, seed, jobs, cluster)
    for _ in range(rounds):
        centres = _lloyd_round(descriptors, centres, jobs, cluster)
    centres = whole(centres)
    _, first = np.unique(centres, axis=0, return_index=True)
    return centres[np.sort(first)]


def _blocks(descriptors: Bytes) -> Iterator[Floats]:
    for start in range(0, len(descriptors), BLOCK):
        yield descriptors[start : start + BLOCK].astype(np.float32)


def _cluster(values: Floats, words: int, seed: int) -> Floats:
    """Run MiniBatchKMeans on float32 [n, d], in one thread to fix the order of sums."""
    if words >= len(values):
        return values
    model = MiniBatchKMeans(
        n_clusters=words,
        batch_size=max(1024, words),
        init_size=min(len(values), 3 * words),
        n_init=1,
        max_iter=10,
        max_no_improvement=None,
        compute_labels=False,
        random_state=seed,
    )
    with threadpool_limits(1), warnings.catch_warnings():
        # Duplicate descriptors leave centres without members; the rounds move or merge them.
        warnings.simplefilter("ignore")
        centres: Floats = model.fit(values).cluster_centers_
    return centres.astype(np.float32)


def _two_levels(
    descriptors: Bytes, words: int, seed: int, jobs: int, cluster: Workers | None
) -> Floats:
    cells = round(words**0.5)
    rng = np.random.default_rng(seed)
    sample = rng.choice(
        len(descriptors), min(len(descriptors), COARSE_SAMPLE * cells), replace=False
    )
    coarse = _cluster(descriptors[np.sort(sample)].astype(np.float32), cells, seed)
    members = _members(descriptors, coarse, jobs)
    counts = _in_proportion(np.array([len(m) for m in members]), words)
    cells_and_words = (
        (descriptors[rows], int(count))
        for rows, count in zip(members, counts, strict=True)
        if count
    )
    function = partial(_cluster_cell, seed)
    if cluster:
        return np.concatenate(list(cluster.map(function, cells_and_words)))
    return np.concatenate(list(map_processes(function, cells_and_words, jobs)))


def _cluster_cell(seed: int, cell: tuple[Bytes, int]) -> Floats:
    descriptors, words = cell
    return _cluster(descriptors.astype(np.float32), words, seed)


def _members(descriptors: Bytes, centres: Floats, jobs: int) -> list[npt.NDArray[np.intp]]:
    """Return the rows of the descriptors assigned to each centre."""
    assigner = Assigner(centres)
    labels = np.concatenate([assigner.nearest(b, jobs=jobs)[:, 0] for b in _blocks(descriptors)])
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(1, len(centres))))


def _in_proportion(masses: npt.NDArray[Any], total: int) -> npt.NDArray[np.int64]:
    """Divide `total` among cells by mass (largest remainders); no share exceeds its mass."""
    exact = masses * (total / masses.sum())
    shares = np.floor(exact).astype(np.int64)
    largest = np.argsort(shares - exact, kind="stable")[: total - shares.sum()]
    shares[largest] += 1
    capped: npt.NDArray[np.int64] = np.minimum(shares, masses)
    return capped


def _lloyd_round(descriptors: Bytes, centres: Floats, jobs: int, cluster: Workers | None) -> Floats:
    """Move each centre to the mean of the descriptors assigned to it.

    A centre without members moves onto a descriptor of one of the largest clusters. So a bad start
    loses no word.
    """
    if cluster:
        parts = np.array_split(descriptors, cluster.count)
        # Sums of whole numbers are exact in any order.
        added = list(cluster.map(partial(_add_up, centres, 1), parts))
    else:
        added = [_add_up(centres, jobs, descriptors)]
    sums = sum(one[0] for one in added)
    labels = np.concatenate([one[1] for one in added])
    counts = np.bincount(labels, minlength=len(centres))
    means = whole(sums / np.maximum(counts, 1)[:, None])
    empty = np.flatnonzero(counts == 0)
    means[empty] = _stand_ins(descriptors, labels, counts, len(empty))
    return means


def _add_up(
    centres: Floats, jobs: int, descriptors: Bytes
) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any]]:
    """Return the sum of each centre's nearest descriptors, and each descriptor's centre."""
    assigner = Assigner(centres)
    sums = np.zeros(centres.shape, np.float64)
    labels = [np.empty(0, np.int32)]
    for values in _blocks(descriptors):
        nearest = assigner.nearest(values, jobs=jobs)[:, 0]
        ones, columns = np.ones(len(nearest), np.float32), np.arange(len(nearest))
        shape = len(centres), len(nearest)
        sums += scipy.sparse.csr_array((ones, (nearest, columns)), shape) @ values
        labels.append(nearest)
    return sums, np.concatenate(labels)


def _stand_ins(
    descriptors: Bytes, labels: npt.NDArray[Any], counts: npt.NDArray[Any], wanted: int
) -> Floats:
    """Return one member of each of the `wanted` largest clusters, as new centres."""
    largest = np.argsort(-counts, kind="stable")[:wanted]
    first = np.full(len(counts), -1)
    first[labels[::-1]] = np.arange(len(labels))[::-1]
    rows = np.where(first[largest] >= 0, first[largest], 0)
    return descriptors[rows].astype(np.float32)
