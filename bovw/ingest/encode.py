"""Reads and describes one image, and finds the visual words of its features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2

from bovw.compute.isolation import Failure
from bovw.errors import ImageError
from bovw.features import describer_of
from bovw.images import ImageFile, read_picture, sha256, size_and_time
from bovw.index import ImageRow
from bovw.options import FeatureOptions
from bovw.records import Features, Words
from bovw.vocab import Vocabulary


@dataclass(frozen=True)
class Described:
    """One described image: its catalog row, and its features unless skipped."""

    row: ImageRow
    features: Features | None


def describe_file(image: ImageFile, options: FeatureOptions) -> Described:
    """Read and describe one file; a file that cannot be used becomes a skipped row."""
    cv2.setNumThreads(1)
    row = ImageRow(image.name, image.folder)
    try:
        row = replace(row, sha256=sha256(image.path))
        size, mtime = size_and_time(image.path)
        row = replace(row, size=size, mtime=mtime)
        picture = read_picture(image.path, options.max_size)
        reason = picture.remark or None
        row = replace(row, width=picture.width, height=picture.height, reason=reason)
        features = describer_of(options).describe(picture)
        if not len(features):
            raise ImageError("no features: nothing in it stands out")
    except (ImageError, MemoryError, cv2.error) as error:
        reason = " ".join(str(error).split()) or "out of memory"
        return Described(replace(row, status="skipped", reason=reason), None)
    return Described(replace(row, features=len(features)), features)


def skipped_row(failure: Failure[ImageFile | Described]) -> Described:
    """Return the skipped row of an image whose process crashed or took too long."""
    item, reason = failure.item, failure.reason
    if isinstance(item, Described):
        return Described(replace(item.row, features=0, status="skipped", reason=reason), None)
    size, mtime = size_and_time(item.path)
    row = ImageRow(item.name, item.folder, size, mtime, status="skipped", reason=reason)
    return Described(row, None)


def encode(
    item: ImageFile | Described, options: FeatureOptions, vocabulary: Path
) -> tuple[Described, Words | None]:
    """Describe an image unless that is done, and find one word per feature."""
    one = item if isinstance(item, Described) else describe_file(item, options)
    if not one.features:
        return one, None
    words = _loaded(vocabulary).assign(one.features)
    # Descriptors are large and no longer needed.
    return replace(
        one, features=replace(one.features, descriptors=one.features.descriptors[:0])
    ), words


@lru_cache(maxsize=1)
def _loaded(folder: Path) -> Vocabulary:
    """Load a vocabulary once per process."""
    return Vocabulary.load(folder)
