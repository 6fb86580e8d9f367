"""One immutable segment: the postings of some images, in memory-mapped .npy files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bovw.compute.jit import read_only
from bovw.compute.kernels import decode_images, encode_images, find_postings
from bovw.errors import damaged_file, damaged_postings
from bovw.index.arrays import Arrays, lengths, stored
from bovw.records import Bytes, Doubles, Ints, InvertedFile, Longs, Signatures, Words

# Steps of the stored scale per octave, from the image's longest side downwards. 256 of them reach
# to 1/4700 of it, finer than SIFT's smallest feature.
SCALE_STEPS = 21
Positions = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Postings:
    """Postings for a new segment, as parallel arrays.

    words, images  int32 [n]
    arrays         the segment's arrays with a row per posting, by name: [n, ...] each
    """

    words: Ints
    images: Ints
    arrays: dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Segment(Arrays):
    """Postings sorted by word, then image, then the feature's place in it."""

    offsets: Longs = stored(
        "int64", "words + 1", by="word",
        holds="word w's postings are rows offsets[w] to offsets[w + 1]",
    )  # fmt: skip
    places: Longs = stored(
        "int64",
        "words + 1",
        by="word",
        holds="the gaps of word w's postings are bytes places[w] to places[w + 1]",
    )
    gaps: Bytes = stored(
        "uint8", "bytes", by="segment",
        holds="image number within the segment, as a gap; see below",
    )  # fmt: skip
    signatures: Signatures = stored(
        "uint64", "postings", "bits / 64", by="posting",
        holds="bit b: is the feature beyond its word along direction b",
    )  # fmt: skip
    positions: Positions = stored(
        "uint16", "postings", 2, by="posting",
        holds="x + 0.5 and y + 0.5, in 65,535ths of the longest side",
    )  # fmt: skip
    frames: Bytes = stored(
        "uint8", "postings", 2, by="posting",
        holds=f"255 + {SCALE_STEPS} log2(s / longest side), rounded; angle in 256ths of a turn",
    )  # fmt: skip
    sizes: Ints = stored(
        "int32", "images", 2, by="image", holds="width and height of the upright original in pixels"
    )

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Map a segment's files; raises FormatError if one is missing or damaged."""
        segment = cls.load(folder)
        # Kernels use these as indices, unchecked.
        for name, column in (("offsets", segment.signatures), ("places", segment.gaps)):
            bounds = getattr(segment, name)
            if not len(bounds) or bounds[0] != 0 or bounds[-1] != len(column):
                raise damaged_file(folder / f"{name}.npy", "it does not fit the postings")
            if (np.diff(bounds) < 0).any():
                raise damaged_file(folder / f"{name}.npy", "it does not ascend")
        if segment.sizes.min(initial=1) < 1:
            raise damaged_file(folder / "sizes.npy", "an image has no size")
        return segment

    @classmethod
    def of(
        cls,
        parts: Sequence[Postings],
        by_image: dict[str, npt.NDArray[Any]],
        words: int,
        bits: int,
    ) -> Self:
        """Concatenate postings and sort them by word. Within a word, they must ascend by image.

        by_image  the arrays with a row per image, by name
        """
        none = np.empty(0, np.int32)
        ids = np.concatenate([none, *(part.words for part in parts)])
        images = np.concatenate([none, *(part.images for part in parts)])
        order = np.argsort(ids, kind="stable")
        offsets = np.searchsorted(ids[order], np.arange(words + 1)).astype(np.int64)
        gaps, places = encode_images(offsets, images[order])
        counts = lengths(words, bits, images=0, postings=0)
        by_posting = {
            name: np.concatenate([one.empty(counts), *(part.arrays[name] for part in parts)])[order]
            for name, one in cls.declared("posting").items()
        }
        return cls(offsets=offsets, places=places, gaps=gaps, **by_posting, **by_image)

    def select(self, numbers: Ints) -> Postings:
        """Return the postings of some images, renumbered.

        numbers  int32 [images]: the new number of each, -1 for those left out

        Raises FormatError if the gaps are damaged.
        """
        images = numbers[self.images]
        kept = images >= 0
        words = np.repeat(np.arange(len(self.offsets) - 1, dtype=np.int32), np.diff(self.offsets))
        arrays = {name: getattr(self, name)[kept] for name in self.declared("posting")}
        return Postings(words[kept], images[kept], arrays)

    @cached_property
    def inverted_file(self) -> InvertedFile:
        """The postings, for kernels."""
        return InvertedFile(
            offsets=read_only(self.offsets),
            places=read_only(self.places),
            gaps=read_only(self.gaps),
            signatures=read_only(self.signatures),
            frames=read_only(self.frames),
            images=len(self.sizes),
        )

    def __len__(self) -> int:
        return len(self.signatures)

    @cached_property
    def images(self) -> Ints:
        """Every posting's image number within the segment, decoded: int32 [n].

        Raises FormatError if the gaps are damaged.
        """
        images: Ints = decode_images(self.inverted_file)
        if len(images) < len(self):
            raise damaged_postings()
        return images

    def keypoints(self, postings: Longs, images: Ints | int) -> Doubles:
        """Return x, y, scale in pixels and angle in degrees of postings: float64 [n, 4].

        images  int32 [n]: the image number of each, or one for all
        """
        longest = np.reshape(self.sizes[images].max(axis=-1, initial=1), -1)
        frames = self.frames[postings].astype(np.float64)
        keypoints = np.empty((len(postings), 4))
        keypoints[:, :2] = self.positions[postings] * (longest / 65_535)[:, None] - 0.5
        keypoints[:, 2] = longest * np.exp2((frames[:, 0] - 255) / SCALE_STEPS)
        keypoints[:, 3] = frames[:, 1] * (360 / 256)
        return keypoints

    def words(self, postings: Longs) -> Words:
        """Return the word of each posting."""
        ids = np.searchsorted(self.offsets, postings, side="right") - 1
        return Words(
            ids.astype(np.int32)[:, None],
            self.signatures[postings][:, None],
            self.frames[postings, 1],
        )


def postings_of(segments: Sequence[Segment], images: Ints) -> Iterator[tuple[Segment, int, Longs]]:
    """Yield each image's segment, number in it, and postings; reads each segment once.

    Raises FormatError if the postings are damaged.
    """
    starts = np.cumsum([0, *(len(segment.sizes) for segment in segments)])
    holders = np.searchsorted(starts, images, side="right") - 1
    found: dict[int, Longs] = {}
    for holder in np.unique(holders).tolist():
        segment, own = segments[holder], np.unique(images[holders == holder]) - starts[holder]
        slots = np.full(len(segment.sizes), -1, np.int32)
        slots[own] = np.arange(len(own))
        bounds, postings = find_postings(segment.inverted_file, slots)
        if not len(bounds):
            raise damaged_postings()
        parts = np.split(postings, bounds[1:-1])
        found.update(zip((own + starts[holder]).tolist(), parts, strict=True))
    for image, holder in zip(images.tolist(), holders.tolist(), strict=True):
        yield segments[holder], int(image - starts[holder]), found[image]
