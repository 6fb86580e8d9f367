"""Which features to keep where there are too many."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bovw.records import Floats

# Cells along a picture's longest side that kept features are spread over.
CELLS = 16


def rank_features(keypoints: Floats, strengths: Floats) -> npt.NDArray[np.intp]:
    """Return the order in which features [n, 4] are worth keeping: their rows.

    A feature's rank by strength is added to its rank in an order in which every cell of a grid
    gives its strongest first, then its second, and so on: the strongest of all crowd in a few
    places, and those of empty places are noise.
    """
    if not len(keypoints):
        return np.arange(0)
    side = max(float(np.ptp(keypoints[:, :2], axis=0).max()), 1.0) / CELLS
    columns, rows = np.floor(keypoints[:, :2] / side).T
    by_cell = np.lexsort((-strengths, columns, rows))
    crowded = np.stack([columns, rows])[:, by_cell]
    first = np.flatnonzero(np.r_[True, (np.diff(crowded) != 0).any(axis=0)])
    turn = np.arange(len(by_cell)) - np.repeat(first, np.diff(np.r_[first, len(by_cell)]))
    strongest_first = np.argsort(-strengths, kind="stable")
    cell_by_cell = by_cell[np.lexsort((-strengths[by_cell], turn))]
    ranks = np.empty((2, len(keypoints)), np.int64)
    ranks[0, strongest_first] = ranks[1, cell_by_cell] = np.arange(len(keypoints))
    return np.lexsort((ranks[0], ranks.sum(axis=0)))
