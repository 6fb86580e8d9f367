"""One immutable segment: the postings of some images, in memory-mapped .npy files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from bovw.compute.kernels import decode_images, encode_images, find_postings
from bovw.errors import damaged_file, damaged_postings
from bovw.index.arrays import Arrays, sync_folder
from bovw.records import Bytes, Doubles, Features, Ints, Signatures, Words

# Steps of the stored scale in each octave, counted from the image's longest side downwards: 256 of
# them reach to 1/4700 of it, finer than SIFT's smallest feature.
SCALE_STEPS = 21


class Columns(NamedTuple):
    """Postings side by side: int32 [n], int32 [n], and a segment's other columns."""

    words: Ints
    images: Ints
    signatures: Signatures
    positions: npt.NDArray[np.uint16]
    frames: Bytes

    @classmethod
    def joined(cls, parts: Sequence[Columns], bits: int) -> Columns:
        """Put columns one after the other."""
        empty = cls(
            np.empty(0, np.int32),
            np.empty(0, np.int32),
            np.empty((0, bits // 64), np.uint64),
            np.empty((0, 2), np.uint16),
            np.empty((0, 2), np.uint8),
        )
        return cls(*(np.concatenate(column) for column in zip(empty, *parts, strict=True)))


@dataclass(frozen=True)
class Segment(Arrays):
    """Postings sorted by word, then image, then the feature's place in it.

    offsets     int64 [words + 1]: the postings of word w are offsets[w] to offsets[w + 1]
    places      int64 [words + 1]: the gaps of word w are bytes places[w] to places[w + 1]
    gaps        uint8 [m]: image numbers within the segment, as `bovw.compute.kernels` encodes them
    signatures  uint64 [n, bits / 64]
    positions   uint16 [n, 2]: x + 0.5 and y + 0.5 in 65,535ths of the image's longest side
    frames      uint8 [n, 2]: scale in SCALE_STEPS an octave, angle in 256ths of a turn
    sizes       int32 [images, 2]: width and height in pixels
    """

    LAYOUT: ClassVar = {
        "offsets": ("i8", 1),
        "places": ("i8", 1),
        "gaps": ("u1", 1),
        "signatures": ("u8", 2),
        "positions": ("u2", 2),
        "frames": ("u1", 2),
        "sizes": ("i4", 2),
    }

    offsets: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    gaps: Bytes
    signatures: Signatures
    positions: npt.NDArray[np.uint16]
    frames: Bytes
    sizes: Ints

    @classmethod
    def open(cls, folder: Path) -> Segment:
        """Map a segment's files; raises FormatError where one is missing or damaged."""
        segment = cls.load(folder)
        # Kernels go where these say.
        for name, column in (("offsets", segment.signatures), ("places", segment.gaps)):
            bounds = getattr(segment, name)
            if not len(bounds) or bounds[0] != 0 or bounds[-1] != len(column):
                raise damaged_file(folder / f"{name}.npy", "it does not fit the postings")
            if (np.diff(bounds) < 0).any():
                raise damaged_file(folder / f"{name}.npy", "it does not ascend")
        return segment

    @classmethod
    def of(cls, postings: Columns, sizes: Ints, words: int) -> Segment:
        """Sort postings by word; those of a word have to ascend by image, as they come."""
        order = np.argsort(postings.words, kind="stable")
        offsets = np.searchsorted(postings.words[order], np.arange(words + 1)).astype(np.int64)
        gaps, places = encode_images(offsets, postings.images[order])
        return cls(
            offsets,
            places,
            gaps,
            postings.signatures[order],
            postings.positions[order],
            postings.frames[order],
            sizes,
        )

    def columns(self, numbers: Ints) -> Columns:
        """Return the postings of some images, renumbered.

        numbers  int32 [images]: the new number of each, -1 for those left out

        Raises FormatError where the gaps are damaged.
        """
        images = numbers[self.images]
        kept = images >= 0
        words = np.repeat(np.arange(len(self.offsets) - 1, dtype=np.int32), np.diff(self.offsets))
        return Columns(
            words[kept],
            images[kept],
            self.signatures[kept],
            self.positions[kept],
            self.frames[kept],
        )

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of all arrays but the gaps, whose length is their own."""
        return {name: getattr(self, name).shape for name in self.LAYOUT if name != "gaps"}

    @staticmethod
    def shapes_of(words: int, bits: int, images: int, features: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes that a segment of so much has."""
        return {
            "offsets": (words + 1,),
            "places": (words + 1,),
            "signatures": (features, bits // 64),
            "positions": (features, 2),
            "frames": (features, 2),
            "sizes": (images, 2),
        }

    def __len__(self) -> int:
        return len(self.signatures)

    @cached_property
    def images(self) -> Ints:
        """Every posting's image number within the segment, decoded: int32 [n].

        Raises FormatError where the gaps are damaged.
        """
        images: Ints = decode_images(self.offsets, self.places, self.gaps, len(self.sizes))
        if len(images) < len(self):
            raise damaged_postings()
        return images

    def keypoints(self, postings: npt.NDArray[np.int64], images: Ints | int) -> Doubles:
        """Return x, y, scale in pixels and angle in degrees of postings: float64 [n, 4].

        images  int32 [n]: the image number of each, or that of all
        """
        longest = np.reshape(self.sizes[images].max(axis=-1, initial=1), -1)
        frames = self.frames[postings].astype(np.float64)
        keypoints = np.empty((len(postings), 4))
        keypoints[:, :2] = self.positions[postings] * (longest / 65_535)[:, None] - 0.5
        keypoints[:, 2] = longest * np.exp2((frames[:, 0] - 255) / SCALE_STEPS)
        keypoints[:, 3] = frames[:, 1] * (360 / 256)
        return keypoints

    def words(self, postings: npt.NDArray[np.int64]) -> Words:
        """Return the word of each posting."""
        ids = np.searchsorted(self.offsets, postings, side="right") - 1
        return Words(
            ids.astype(np.int32)[:, None],
            self.signatures[postings][:, None],
            self.frames[postings, 1],
        )


class Gathering:
    """Images on their way into a segment."""

    def __init__(self, words: int, bits: int) -> None:
        self._words = words
        self._bits = bits
        self._sizes: list[tuple[int, int]] = []
        self._parts: list[Columns] = []

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, features: Features, ids: Ints, signatures: Signatures) -> int:
        """Add one image whose features have words `ids` [n]; return its number."""
        number = len(self)
        positions, frames = quantise(features)
        images = np.full(len(ids), number, np.int32)
        self._parts.append(Columns(ids, images, signatures, positions, frames))
        self._sizes.append((features.width, features.height))
        return number

    def segment(self) -> Segment:
        """Sort everything gathered by word."""
        postings = Columns.joined(self._parts, self._bits)
        return Segment.of(postings, np.array(self._sizes, np.int32).reshape(-1, 2), self._words)


def merge(segments: Sequence[Segment], live: Sequence[npt.NDArray[np.bool_]]) -> Segment:
    """Put the live images of at least one segment into a new one, in their order.

    live  bool [images] of each segment

    Raises FormatError where the postings are damaged.
    """
    first, parts = 0, []
    for segment, own in zip(segments, live, strict=True):
        numbers = np.where(own, first + np.cumsum(own) - 1, -1).astype(np.int32)
        parts.append(segment.columns(numbers))
        first += int(own.sum())
    sizes = np.concatenate([s.sizes[own] for s, own in zip(segments, live, strict=True)])
    bits = 64 * segments[0].signatures.shape[1]
    return Segment.of(Columns.joined(parts, bits), sizes, len(segments[0].offsets) - 1)


def postings_of(
    segments: Sequence[Segment], images: Ints
) -> Iterator[tuple[Segment, int, npt.NDArray[np.int64]]]:
    """Yield each image's segment, number in it, and postings; passes over a segment once for all.

    Raises FormatError where the postings are damaged.
    """
    starts = np.cumsum([0, *(len(segment.sizes) for segment in segments)])
    holders = np.searchsorted(starts, images, side="right") - 1
    found: dict[int, npt.NDArray[np.int64]] = {}
    for holder in np.unique(holders).tolist():
        segment, own = segments[holder], np.unique(images[holders == holder]) - starts[holder]
        slots = np.full(len(segment.sizes), -1, np.int32)
        slots[own] = np.arange(len(own))
        bounds, postings = find_postings(segment.offsets, segment.places, segment.gaps, slots)
        if not len(bounds):
            raise damaged_postings()
        parts = np.split(postings, bounds[1:-1])
        found.update(zip((own + starts[holder]).tolist(), parts, strict=True))
    for image, holder in zip(images.tolist(), holders.tolist(), strict=True):
        yield segments[holder], int(image - starts[holder]), found[image]


def quantise(features: Features) -> tuple[npt.NDArray[np.uint16], Bytes]:
    """Return positions and frames as a segment keeps them, 6 bytes a feature.

    A place is then known to 1/65,535 of the longest side, a scale to 1.7 %, an angle to 0.7
    degrees: well below SIFT's own errors.
    """
    longest = max(features.width, features.height)
    places = np.rint((features.keypoints[:, :2] + 0.5) * (65_535 / longest))
    octaves = np.log2(np.maximum(features.keypoints[:, 2], 1e-6) / longest)
    scales = np.clip(np.rint(255 + SCALE_STEPS * octaves), 0, 255)
    frames = np.stack([scales.astype(np.uint8), features.angles], axis=1)
    return np.clip(places, 0, 65_535).astype(np.uint16), frames


@dataclass(frozen=True)
class Written:
    """A segment that somebody else has written, on the file system of the index.

    files     the SHA-256 of each of its files
    features  how many postings it has
    """

    folder: Path
    files: dict[str, str]
    features: int

    def __len__(self) -> int:
        return self.features

    def move(self, place: Path) -> dict[str, str]:
        """Move it to a place that is not there yet; return its files."""
        place.parent.mkdir(exist_ok=True)
        self.folder.rename(place)
        sync_folder(place.parent)
        return self.files
