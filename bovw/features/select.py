"""Selection of the features to keep if there are too many."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bovw.records import Floats

# Cells along a picture's longest side; kept features are spread over them.
CELLS = 16


def rank_features(keypoints: Floats, strengths: Floats) -> npt.NDArray[np.intp]:
    """Return the rows of features [n, 4], those most worth keeping first.

    Two ranks are added. The rank by strength alone crowds a few places. The other takes every grid
    cell's strongest feature, then every cell's second, and so on. Alone it would keep the noise of
    empty places.
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
