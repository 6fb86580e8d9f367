"""Words and signatures of descriptors, against slow loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bovw.records import Bytes
from bovw.vocab import Vocabulary
from bovw.vocab.assign import (
    PROBES,
    PROBES_FOR_SEVERAL,
    SHORTLIST,
    SHORTLIST_A_WORD,
    Assigner,
)
from bovw.vocab.cells import Cells, project
from bovw.vocab.signatures import random_projection, sign
from bovw.vocab.train import train_words
from tests.vocab.words import exact_nearest, featured, floats

# Assignment


@pytest.mark.slow
@pytest.mark.parametrize(("count", "least"), [(1, 0.95), (5, 0.95)])
def test_assigner_agrees_with_every_distance(sift: Bytes, count: int, least: float) -> None:
    words = train_words(sift[::2], 400, 0, 1, 1)
    values = floats(sift[1::2])
    found = Assigner(words).nearest(values, count)
    truth = exact_nearest(values, words, count)
    shared = [len(set(a) & set(b)) for a, b in zip(found.tolist(), truth.tolist(), strict=True)]
    assert sum(shared) >= least * truth.size


@pytest.mark.slow
def test_assigner_does_not_depend_on_jobs_nor_batches(vocabulary: Vocabulary, sift: Bytes) -> None:
    values = floats(sift[:500])
    whole = vocabulary.assigner.nearest(values, 5, jobs=2)
    alone = [vocabulary.assigner.nearest(values[i : i + 1], 5)[0] for i in range(len(values))]
    assert np.array_equal(whole, alone)


@pytest.mark.slow
def test_assigner_searches_the_nearest_cells_exactly(sift: Bytes) -> None:
    """With as many shortlisted as the cells probed hold, the exact nearest of those are found."""
    words, values = train_words(sift[::2], 900, 0, 1, 1), floats(sift[1:401:2])
    cells = Cells.of(words)
    assert len(cells.centres) == 30
    assert np.array_equal(
        cells.owners, exact_nearest(project(words, cells.directions), cells.centres, 1)[:, 0]
    )
    points = project(values, cells.directions)
    probed = exact_nearest(points, cells.centres, PROBES_FOR_SEVERAL)
    found = Assigner(words, cells).nearest(values, 100)
    for row, value in enumerate(values):
        near = np.flatnonzero(np.isin(cells.owners, probed[row]))
        truth = near[exact_nearest(value[None], words[near], 100)[0]]
        assert len(near) <= 100 * SHORTLIST_A_WORD, "the shortlist holds all of them"
        got = found[row][found[row] >= 0]
        assert np.array_equal(got, truth)


def test_shortlists_agree_with_a_slow_loop(sift: Bytes) -> None:
    """Along the principal directions, the shortlisted are the nearest in the cells probed."""
    words, values = train_words(sift[::2], 400, 0, 1, 1), floats(sift[1:61:2])
    cells = Cells.of(words)
    points, queries = project(words, cells.directions), project(values, cells.directions)
    probed = exact_nearest(queries, cells.centres, PROBES)
    found = Assigner(words, cells).nearest(values, 1)[:, 0]
    for row, query in enumerate(queries):
        distances = ((points - query) ** 2).sum(axis=1)
        near = [w for w in range(len(words)) if cells.owners[w] in probed[row]]
        short = sorted(near, key=lambda w: distances[w])[:SHORTLIST]
        best = min(short, key=lambda w: (((words[w] - values[row]) ** 2).sum(), w))
        assert found[row] == best


@pytest.mark.parametrize("count", [1, 2, 9])
def test_a_few_words_are_all_found(sift: Bytes, count: int) -> None:
    words = np.unique(floats(sift[:count]), axis=0)
    found = Assigner(words).nearest(floats(sift[:50]), 20)
    assert np.array_equal(found, exact_nearest(floats(sift[:50]), words, len(words)))


def test_saved_cells_give_the_same_answers(
    vocabulary: Vocabulary, sift: Bytes, tmp_path: Path
) -> None:
    values = floats(sift)
    first = Assigner(vocabulary.words)
    first.cells.save(tmp_path / "cells.npz")
    second = Assigner(vocabulary.words, Cells.load(tmp_path / "cells.npz", 100, 128))
    assert np.array_equal(first.nearest(values, 5), second.nearest(values, 5))


@pytest.mark.parametrize(
    "change",
    [
        {"owners": np.zeros(99, np.int32)},
        {"owners": np.full(100, 10, np.int32)},
        {"owners": np.full(100, -1, np.int32)},
        {"directions": np.zeros((31, 128), np.int16)},
        {"centres": np.zeros((10, 31), np.int16)},
    ],
)
def test_cells_of_other_words_are_refused(
    change: dict[str, np.ndarray], vocabulary: Vocabulary, tmp_path: Path
) -> None:
    assert len(vocabulary.words) == 100
    vocabulary.assigner.cells.save(tmp_path / "cells.npz")
    with np.load(tmp_path / "cells.npz") as saved:
        content = {**saved, **change}
    np.savez(tmp_path / "cells.npz", **content)
    with pytest.raises(ValueError, match=r"cells|shape"):
        Cells.load(tmp_path / "cells.npz", 100, 128)


def test_no_descriptors_have_no_words(vocabulary: Vocabulary) -> None:
    words = vocabulary.assign(featured(np.empty((0, 128), np.uint8)), 5)
    assert words.ids.shape == (0, 5)
    assert words.signatures.shape == (0, 5, 2)


# Signatures


def test_directions_are_orthogonal() -> None:
    projection = random_projection(128, 128, 0)
    products = projection.astype(np.float64) @ projection.T.astype(np.float64) / 2**28
    assert np.abs(products - np.eye(128)).max() < 1e-3
    assert np.array_equal(random_projection(64, 128, 0), projection[:64])


@pytest.mark.parametrize("bits", [64, 128])
def test_signatures_agree_with_a_slow_loop(vocabulary: Vocabulary, sift: Bytes, bits: int) -> None:
    values, words = floats(sift[:6]), vocabulary.words
    projection = random_projection(bits, 128, 3)
    ids = exact_nearest(values, words, 3)
    signatures = sign(values, words, ids, projection)
    assert signatures.shape == (6, 3, bits // 64)
    assert signatures.dtype == np.uint64
    for row, value in enumerate(values.astype(int).tolist()):
        for place, word in enumerate(ids[row]):
            number = 0
            for bit, direction in enumerate(projection.astype(int).tolist()):
                residuals = zip(value, words[word].astype(int).tolist(), direction, strict=True)
                number |= (sum((v - w) * d for v, w, d in residuals) > 0) << bit
            got = sum(int(part) << 64 * i for i, part in enumerate(signatures[row, place]))
            assert got == number


def test_signatures_do_not_depend_on_batches(vocabulary: Vocabulary, sift: Bytes) -> None:
    whole = vocabulary.assign(featured(sift), 3)
    for size in (1, 7, 300):
        part = vocabulary.assign(featured(sift[:size]), 3)
        assert np.array_equal(part.ids, whole.ids[:size])
        assert np.array_equal(part.signatures, whole.signatures[:size])
        assert np.array_equal(part.angles, whole.angles[:size])


def test_angles_are_256ths_of_a_turn(vocabulary: Vocabulary, sift: Bytes) -> None:
    features = featured(sift[:6])
    features.keypoints[:, 3] = [0, 0.7, 1.5, 180, 359.2, 359.9]
    assert vocabulary.assign(features).angles.tolist() == [0, 0, 1, 128, 255, 0]
