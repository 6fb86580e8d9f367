"""The values passed from stage to stage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Signatures = npt.NDArray[np.uint64]


class Box(NamedTuple):
    """An upright rectangle in pixels: left, top, right, bottom."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class FeatureKind:
    """A kind of local features. A vocabulary fits only features of its own kind.

    name        the describer: "sift"
    dimensions  components of a descriptor
    has_scale, has_angle  whether frames have them, for geometry to use
    """

    name: str
    dimensions: int
    has_scale: bool
    has_angle: bool

    def __str__(self) -> str:
        turned = "" if self.has_angle else "upright "
        return f"{turned}{self.name} features of {self.dimensions} components"


SIFT = FeatureKind("sift", 128, has_scale=True, has_angle=True)


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    pixels  upright: uint8 [h, w] grey, or [h, w, 3] red, green and blue
    scale   pixels of the upright original per pixel of `pixels`, 1 or more. Pixel centres are at
            whole numbers: x in the original is (x + 0.5) * scale - 0.5
    width, height  of the upright original in pixels
    remark  what the user should know of the file, though it can be used
    """

    pixels: Bytes
    scale: float
    width: int
    height: int
    remark: str = ""


@dataclass(frozen=True)
class Features:
    """The local features of one image.

    keypoints    float32 [n, 4]: x, y in pixels of the upright original image, scale in the same
                 pixels, angle in degrees
    descriptors  uint8 [n, kind.dimensions]: whole numbers, compared by Euclidean distance
    width, height  of the upright original image in pixels
    kind         of features
    """

    keypoints: Floats
    descriptors: Bytes
    width: int
    height: int
    kind: FeatureKind = SIFT

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
        """Return the features in these rows."""
        return replace(self, keypoints=self.keypoints[rows], descriptors=self.descriptors[rows])


@dataclass(frozen=True)
class Words:
    """The visual words of one image's features, nearest first.

    ids         int32 [n, m]: m words per feature, 1 in the index and several for a query
    signatures  uint64 [n, m, bits / 64]: the feature's Hamming signature in each of these words
    angles      uint8 [n]: the feature's angle in 256ths of a turn
    """

    ids: Ints
    signatures: Signatures
    angles: Bytes

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, rows: npt.NDArray[np.integer]) -> Words:
        """Return the words of the features in these rows."""
        return Words(self.ids[rows], self.signatures[rows], self.angles[rows])


@dataclass(frozen=True)
class WordQuery:
    """A query in visual words.

    keypoints  float32 [n, 4] of its features
    words      several words for each feature
    region     the queried part of the picture, in its pixels
    """

    keypoints: Floats
    words: Words
    region: Box

    @property
    def side(self) -> float:
        """The longest side of the region in pixels."""
        return max(self.region.x2 - self.region.x1, self.region.y2 - self.region.y1)


class InvertedFile(NamedTuple):
    """The postings of one segment, for kernels; all arrays are read-only.

    offsets     int64 [words + 1]: the postings of word w are offsets[w] to offsets[w + 1]
    places      int64 [words + 1]: the gaps of word w are bytes places[w] to places[w + 1]
    gaps        uint8 [m]: image numbers, ascending in a word, encoded by `bovw.compute.kernels`
    signatures  uint64 [n, bits / 64]
    frames      uint8 [n, 2]: scale, and angle in 256ths of a turn
    images      how many images the segment has
    """

    offsets: Longs
    places: Longs
    gaps: Bytes
    signatures: Signatures
    frames: Bytes
    images: int


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


Certainty = Literal["sure", "likely", "look", "none"]
# False alarms of a match that needs no check by eye.
SURE = 1e-4


@dataclass(frozen=True)
class Hit:
    """One image found.

    rank          from 1
    name          the image's name in the index
    path          the image's absolute path when it was indexed
    score         ranks the hits; comparable within one answer only
    probability   that the image shows what the query shows, comparable between answers; 0 if no
                  geometry agrees
    false_alarms  hits as good as this one that a query without a match has on average; None if no
                  geometry agrees
    confirmed     whether it is a match: the false alarms are at most those asked for
    inliers       one-to-one matches that agree with `transform`
    transform     float64 [3, 3], query pixels to pixels of this image; None if no geometry agrees
    box           float64 [4, 2], the query region's corners carried into this image, clockwise from
                  the top left one; None without a transform
    """

    rank: int
    name: str
    path: str
    score: float
    probability: float = 0.0
    false_alarms: float | None = None
    confirmed: bool = False
    inliers: int = 0
    transform: Doubles | None = None
    box: Doubles | None = None

    @property
    def certainty(self) -> Certainty:
        """How far the match can be trusted, in a word."""
        return certainty(self.false_alarms, self.confirmed)


def certainty(false_alarms: float | None, confirmed: bool) -> Certainty:
    """Say in a word how far a match can be trusted; without false alarms, geometry disagrees."""
    if false_alarms is None:
        return "none"
    if not confirmed:
        return "look"
    return "sure" if false_alarms <= SURE else "likely"
