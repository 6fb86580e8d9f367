"""What decoys found in an index, which says how much chance gives there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bovw.errors import FormatError
from bovw.index.arrays import FREE, Arrays, stored
from bovw.records import Doubles, Longs


@dataclass(frozen=True)
class Decoys(Arrays):
    """How well mirrored images of an index agreed with its other images.

    Nothing in the collection shows what a mirrored image shows, so this is chance.
    """

    meanings: Doubles = stored(
        "float64", FREE, by="index",
        holds="meaning of each decoy's best agreement, descending",
    )  # fmt: skip
    counts: Longs = stored(
        "int64", 3, by="index",
        holds="decoys asked, images verified for each, images there were",
    )  # fmt: skip

    @classmethod
    def of(cls, meanings: list[float], asked: int, verified: int, images: int) -> Decoys:
        """Record the best that `asked` decoys found, each among `verified` of all `images`."""
        ordered = np.sort(np.array(meanings, np.float64))[::-1]
        return cls(ordered, np.array([asked, verified, images], np.int64))

    @property
    def asked(self) -> int:
        """How many decoys were asked."""
        return int(self.counts[0])

    @property
    def verified(self) -> int:
        """How many images were verified for each."""
        return int(self.counts[1])

    @property
    def images(self) -> int:
        """How many images the index had then."""
        return int(self.counts[2])

    @classmethod
    def open(cls, folder: Path) -> Decoys:
        """Read what decoys found; raises FormatError if it is missing or damaged."""
        decoys = cls.load(folder)
        if not decoys.fits({}) or decoys.counts.min() < 0 or not np.isfinite(decoys.meanings).all():
            raise FormatError(
                f"{folder} is damaged: `bovw check --repair` removes it, `bovw calibrate` makes it "
                "again"
            )
        return decoys
