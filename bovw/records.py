"""The values that flow from stage to stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Signatures = npt.NDArray[np.uint64]


class Box(NamedTuple):
    """An upright rectangle in pixels: left, top, right, bottom."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Features:
    """The local features of one image.

    keypoints    float32 [n, 4]: x, y in pixels of the upright original image, scale in the same
                 pixels, angle in degrees
    descriptors  uint8 [n, 128]: SIFT as OpenCV gives it, before RootSIFT
    width, height  of the upright original image in pixels
    """

    keypoints: Floats
    descriptors: Bytes
    width: int
    height: int

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def angles(self) -> Bytes:
        """The keypoints' angles in 256ths of a turn, rounded: uint8 [n]."""
        angles: Bytes = (np.rint(self.keypoints[:, 3] * (256 / 360)) % 256).astype(np.uint8)
        return angles

    def inside(self, box: Box) -> Features:
        """Return the features whose centres lie in `box`, its edges included."""
        x, y = self.keypoints[:, 0], self.keypoints[:, 1]
        return self.rows(
            np.flatnonzero((x >= box.x1) & (x <= box.x2) & (y >= box.y1) & (y <= box.y2))
        )

    def rows(self, rows: npt.NDArray[np.integer]) -> Features:
        """Return some of the features."""
        return Features(self.keypoints[rows], self.descriptors[rows], self.width, self.height)


@dataclass(frozen=True)
class Words:
    """The visual words of one image's features, nearest first.

    ids         int32 [n, m]: m words a feature, 1 in the index and several for a query
    signatures  uint64 [n, m, bits / 64]: the feature's Hamming signature in each of these words
    angles      uint8 [n]: the feature's angle in 256ths of a turn
    """

    ids: Ints
    signatures: Signatures
    angles: Bytes

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, rows: npt.NDArray[np.integer]) -> Words:
        """Return the words of some of the features."""
        return Words(self.ids[rows], self.signatures[rows], self.angles[rows])


class Postings(Protocol):
    """A segment's inverted file, as its readers see it."""

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """Where each word's postings begin: int64 [words + 1]."""

    @property
    def places(self) -> npt.NDArray[np.int64]:
        """Where the gaps of each word's postings begin: int64 [words + 1]."""

    @property
    def gaps(self) -> Bytes:
        """The image numbers, ascending in a word, as `bovw.compute.kernels` has them: uint8 [m]."""

    @property
    def signatures(self) -> Signatures:
        """uint64 [n, bits / 64]."""

    @property
    def frames(self) -> Bytes:
        """Scale, and angle in 256ths of a turn: uint8 [n, 2]."""

    @property
    def sizes(self) -> Ints:
        """Width and height of every image in pixels: int32 [images, 2]."""


@dataclass(frozen=True)
class Ranking:
    """Images by descending score, ties by name.

    images  int32 [k]: image numbers of the index
    scores  float32 [k]
    """

    images: Ints
    scores: Floats

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Hit:
    """One image found.

    rank       from 1
    name       the image's name in the index
    path       where the image lay when it was indexed, absolute
    score      what it is ranked by: comparable within one answer only
    inliers    one-to-one matches that agree with `transform`; 0 where not verified
    transform  float64 [3, 3], query pixels to pixels of this image; None where not verified
    box        float64 [4, 2], the query region's corners carried into this image, clockwise from
               the top left one; None where not verified
    """

    rank: int
    name: str
    path: str
    score: float
    inliers: int = 0
    transform: Doubles | None = None
    box: Doubles | None = None

    @property
    def verified(self) -> bool:
        """Whether geometry confirms the hit."""
        return self.transform is not None
