"""Builds segments: from images one by one, from other segments, or in another process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bovw.compute.files import sync_folder
from bovw.index.segment import SCALE_STEPS, Postings, Segment
from bovw.records import Bools, Features, Ints, Signatures


class SegmentBuilder:
    """Collects the images of a new segment."""

    def __init__(self, words: int, bits: int) -> None:
        self._words = words
        self._bits = bits
        self._sizes: list[tuple[int, int]] = []
        self._parts: list[Postings] = []

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, features: Features, ids: Ints, signatures: Signatures) -> int:
        """Add one image whose features have words `ids` [n]; return its number."""
        number = len(self)
        images = np.full(len(ids), number, np.int32)
        arrays = {"signatures": signatures, **quantise(features)}
        self._parts.append(Postings(ids, images, arrays))
        self._sizes.append((features.width, features.height))
        return number

    def segment(self) -> Segment:
        """Return the segment of all images added, sorted by word."""
        by_image = {"sizes": np.array(self._sizes, np.int32).reshape(-1, 2)}
        return Segment.of(self._parts, by_image, self._words, self._bits)


def quantise(features: Features) -> dict[str, npt.NDArray[Any]]:
    """Return positions and frames as a segment stores them, 6 bytes per feature.

    Positions are exact to 1/65,535 of the longest side, scales to 1.7 %, angles to 0.7 degrees:
    well below SIFT's own errors.
    """
    longest = max(features.width, features.height)
    places = np.rint((features.keypoints[:, :2] + 0.5) * (65_535 / longest))
    octaves = np.log2(np.maximum(features.keypoints[:, 2], 1e-6) / longest)
    scales = np.clip(np.rint(255 + SCALE_STEPS * octaves), 0, 255)
    return {
        "positions": np.clip(places, 0, 65_535).astype(np.uint16),
        "frames": np.stack([scales.astype(np.uint8), features.angles], axis=1),
    }


def merge(segments: Sequence[Segment], live: Sequence[Bools]) -> Segment:
    """Merge the live images of one or more segments into a new one, in order.

    live  bool [images] of each segment

    Raises FormatError if the postings are damaged.
    """
    count, parts = 0, []
    for segment, own in zip(segments, live, strict=True):
        numbers = np.where(own, count + np.cumsum(own) - 1, -1).astype(np.int32)
        parts.append(segment.select(numbers))
        count += int(own.sum())
    first = segments[0]
    by_image = {
        name: np.concatenate([getattr(s, name)[own] for s, own in zip(segments, live, strict=True)])
        for name in first.declared("image")
    }
    words, bits = len(first.offsets) - 1, 64 * first.signatures.shape[1]
    return first.of(parts, by_image, words, bits)


@dataclass(frozen=True)
class StoredSegment:
    """A segment that another process wrote on the index's file system.

    files     the SHA-256 of each of its files
    features  how many postings it has
    """

    folder: Path
    files: dict[str, str]
    features: int

    def __len__(self) -> int:
        return self.features

    def move(self, place: Path) -> dict[str, str]:
        """Move it to `place`, which must not exist; return its files."""
        place.parent.mkdir(exist_ok=True)
        self.folder.rename(place)
        sync_folder(place.parent)
        return self.files
