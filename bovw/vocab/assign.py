"""Nearest-word search: in cells of words, compared along their principal directions."""

from __future__ import annotations

from functools import partial

import numpy as np

from bovw.compute.threads import map_rows
from bovw.records import Floats, Ints
from bovw.vocab.cells import Cells, project, scores_of
from bovw.vocab.kernels import LANES, least, nearest_of, shortlist

# Measured over 65,536 words on real RootSIFT: with 10 cells and 12 words, 97 % of the descriptors
# get their exact nearest word.
PROBES = 10
SHORTLIST = 12
# A query is small and takes several words per feature: 99 % of the five nearest are found.
PROBES_FOR_SEVERAL = 20
SHORTLIST_A_WORD = 10


class Assigner:
    """Finds the words nearest to a descriptor.

    A descriptor is compared with the words of the PROBES cells whose centres are nearest to it (an
    inverted file: Jégou, Douze, Schmid, "Product quantization for nearest neighbor search", PAMI
    2011, section 4). They are compared along the words' principal directions first, and the best of
    them exactly. Every number is whole and every sum exact.

    Words are float32 [k, 128] of whole numbers from 0 to 255.
    """

    def __init__(self, words: Floats, cells: Cells | None = None) -> None:
        """Take the words' cells, or compute them."""
        self.cells = cells or Cells.of(words)
        count = len(self.cells.centres)
        order = np.argsort(self.cells.owners, kind="stable")
        sizes = np.bincount(self.cells.owners, minlength=count)
        self._starts = np.cumsum(np.r_[0, -(-sizes // LANES) * LANES])
        places = np.arange(len(order)) + np.repeat(
            self._starts[:-1] - np.cumsum(sizes) + sizes, sizes
        )
        slots = int(self._starts[-1])
        self._numbers = np.full(slots, -1, np.int32)
        self._numbers[places] = order
        self._words = words.astype(np.uint8)
        points = np.zeros((slots, len(self.cells.directions)), np.float32)
        points[places] = project(words, self.cells.directions)[order]
        self._squares = np.full(slots, np.inf, np.float32)
        self._squares[places] = np.square(points[places]).sum(axis=1)
        bounds = self._starts[1:-1]
        self._columns = np.concatenate([cell.T.ravel() for cell in np.split(points, bounds)])

    def nearest(self, descriptors: Floats, count: int = 1, jobs: int = 1) -> Ints:
        """Return the `count` nearest words of each RootSIFT [n, 128]: int32 [n, count].

        Words not found are -1. Every descriptor is searched on its own, so the answer does not
        depend on `jobs`.
        """
        count = min(count, len(self._words))
        search = partial(self._search, count=count)
        return np.concatenate(map_rows(search, descriptors, jobs))

    def _search(self, descriptors: Floats, count: int) -> Ints:
        points = project(descriptors, self.cells.directions)
        scores = scores_of(points, self.cells.centres)
        probed = PROBES if count == 1 else PROBES_FOR_SEVERAL
        probes = least(scores, min(probed, scores.shape[1]))
        kept = max(SHORTLIST, SHORTLIST_A_WORD * count)
        places = shortlist(2 * points, probes, self._columns, self._squares, self._starts, kept)
        candidates = np.where(places < 0, -1, self._numbers[places])
        found: Ints = nearest_of(descriptors.astype(np.uint8), self._words, candidates, count)
        return found
