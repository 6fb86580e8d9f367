"""The rows of an index's catalog, and what each of their values may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bovw.compute.values import (
    checksum,
    either,
    listing,
    mapping,
    number,
    one_of,
    parse_json,
    record,
    text,
    whole,
)
from bovw.index.layout import (
    ARRAY_FILE,
    KINDS,
    NEEDED,
    NUMBER,
    OPTIONAL,
    VOCABULARY_FILE,
    VOCABULARY_NAME,
)

# What each value may be. Code that has them from the catalog trusts them.
ARRAY_FILES = mapping(text(ARRAY_FILE), checksum)
_NUMBERED = {kind: text(f"{kind}/{NUMBER}") for kind in KINDS}
META = record(
    {
        "format": whole(1),
        "words": whole(1, 2**31 - 1),
        "bits": one_of(*range(64, 1025, 64)),
        "fingerprint": checksum,
        "options": mapping(text(r"\w+"), number),
        "digest": checksum,
        "vocabulary": text(VOCABULARY_NAME),
        "vocabulary_files": mapping(text(VOCABULARY_FILE), checksum),
        **{kind: _NUMBERED[kind] for kind in NEEDED},
        **{f"{kind}_files": ARRAY_FILES for kind in NEEDED},
    },
    {
        **{kind: _NUMBERED[kind] for kind in OPTIONAL},
        **{f"{kind}_files": ARRAY_FILES for kind in OPTIONAL},
        "collection": record({"roots": listing(text()), "exclude": listing(text())}),
    },
)
_COUNT, _ID, _NOTHING = whole(0, 2**31 - 1), whole(1, 10**15), one_of(None)
COLUMNS = {
    "name": text(r"[^\0]+"),
    "folder": text(),
    "size": either(whole(0, 2**63), _NOTHING),
    "mtime": either(whole(-(2**63), 2**63), _NOTHING),
    "sha256": either(checksum, _NOTHING),
    "width": _COUNT,
    "height": _COUNT,
    "features": _COUNT,
    "status": one_of("ok", "skipped"),
    "reason": either(_NOTHING, text()),
    "segment": either(_ID, _NOTHING),
    "number": either(_COUNT, _NOTHING),
}


@dataclass(frozen=True)
class ImageRow:
    """The catalog's row of an image.

    name      path below `folder`, with forward slashes
    folder    absolute path of the folder given
    size      bytes of the file; None, like the next two, if it could not be read
    mtime     of the file in nanoseconds
    sha256    of the file
    width, height  of the upright image in pixels, 0 if it could not be decoded
    features  how many are indexed
    status    "ok" or "skipped"
    reason    why it was skipped; of an image that is "ok", a remark or None
    segment, number  the place of its postings
    """

    name: str
    folder: str
    size: int | None = None
    mtime: int | None = None
    sha256: str | None = None
    width: int = 0
    height: int = 0
    features: int = 0
    status: str = "ok"
    reason: str | None = None
    segment: int | None = None
    number: int | None = None


@dataclass(frozen=True)
class SegmentRow:
    """A live segment: its number, what it holds, and the SHA-256 of each file."""

    id: int
    images: int
    features: int
    files: dict[str, str]


def image_row(row: tuple[Any, ...]) -> ImageRow:
    """Return an image's row; raises ValueError for one that no writer wrote."""
    for check, value in zip(COLUMNS.values(), row, strict=True):
        check(value)
    image = ImageRow(*row)
    held = image.segment is not None and image.number is not None
    if held != (image.status == "ok") or (held and not image.width * image.height):
        raise ValueError(f"the row of image {image.name[:40]!a} contradicts itself")
    return image


def segment_row(row: tuple[Any, ...]) -> SegmentRow:
    """Return a segment's row; raises ValueError for one that no writer wrote."""
    id, images, features, files = row
    for check, value in ((_ID, id), (_COUNT, images), (whole(), features), (text(), files)):
        check(value)
    kept = parse_json(files)
    ARRAY_FILES(kept)
    return SegmentRow(id, images, features, kept)
