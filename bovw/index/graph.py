"""The graph of indexed images that show the same thing, for database-side augmentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bovw.errors import FormatError
from bovw.index.arrays import Arrays, stored
from bovw.index.names import Names
from bovw.records import Floats, Ints

NEIGHBOURS = 10
# With this evidence, a neighbour counts in full: SHARE of its score is added.
FULL_EVIDENCE = 10.0
SHARE = 0.3


@dataclass(frozen=True)
class Graph(Arrays):
    """The neighbours of every image, best first."""

    neighbours: Ints = stored(
        "int32", "images", NEIGHBOURS, by="image",
        holds="numbers of neighbours, best first; -1 if there are fewer",
    )  # fmt: skip
    weights: Floats = stored(
        "float32", "images", NEIGHBOURS, by="image",
        holds="the share of a neighbour's score that is added",
    )  # fmt: skip

    @classmethod
    def of(cls, found: Sequence[Sequence[tuple[int, float]]]) -> Graph:
        """Make a graph of every image's neighbours and the evidence for them, best first."""
        neighbours = np.full((len(found), NEIGHBOURS), -1, np.int32)
        weights = np.zeros((len(found), NEIGHBOURS), np.float32)
        for image, own in enumerate(found):
            for place, (neighbour, evidence) in enumerate(own[:NEIGHBOURS]):
                neighbours[image, place] = neighbour
                weights[image, place] = SHARE * min(1.0, evidence / FULL_EVIDENCE)
        return cls(neighbours, weights)

    def of_image(self, image: int) -> list[tuple[int, float]]:
        """Return an image's neighbours and evidence for them, from which `of` makes the same."""
        own = zip(self.neighbours[image].tolist(), self.weights[image].tolist(), strict=True)
        return [(other, weight * FULL_EVIDENCE / SHARE) for other, weight in own if other >= 0]

    def augment(self, scores: Floats) -> Floats:
        """Add to every image's score those of its neighbours: float32 [images].

        For scores that are sums over features, this is database-side augmentation (Turcot and Lowe,
        "Better matching with fewer features", ICCV workshops 2009): an image gets its neighbours'
        features, too.
        """
        augmented: Floats = scores + (self.weights * scores[self.neighbours]).sum(axis=1)
        return augmented

    @classmethod
    def open(cls, folder: Path, images: int) -> Graph:
        """Read a graph of `images` images; raises FormatError if it is missing or damaged."""
        graph = cls.load(folder)
        least, most = graph.neighbours.min(initial=0), graph.neighbours.max(initial=0)
        inside = least >= -1 and most < max(images, 1)
        # NaN is in no range.
        weighed = bool(((graph.weights >= 0) & (graph.weights <= 1)).all())
        if not graph.fits({"images": images}) or not inside or not weighed:
            raise FormatError(f"{folder} is damaged: make it again with `bovw link`")
        return graph


# Makes a graph once the images have their numbers.
MakeGraph = Callable[[Names], Graph]
