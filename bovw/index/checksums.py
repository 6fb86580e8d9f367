"""The SHA-256 of an index's files, as its catalog has them, and the files that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bovw.compute.files import file_sha256
from bovw.index.components import COMPONENTS
from bovw.index.layout import holds
from bovw.index.rows import SegmentRow


def damaged_among(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Return the files of an index that are missing or differ from their SHA-256."""
    return [
        name
        for name, digest in files.items()
        if not holds(folder, name) or file_sha256(folder / name) != digest
    ]


def files_of(meta: Mapping[str, Any], segments: Sequence[SegmentRow]) -> dict[str, str]:
    """Return the SHA-256 of every file that a catalog names, except the vocabulary's, by path."""
    expected: dict[str, str] = {}
    for row in segments:
        expected |= segment_files(row)
    for kind in COMPONENTS:
        expected |= component_files(meta, kind)
    return expected


def segment_files(row: SegmentRow) -> dict[str, str]:
    """Return the SHA-256 of every file of a segment, by its path in the index."""
    return {f"segments/{row.id}/{name}": digest for name, digest in row.files.items()}


def component_files(meta: Mapping[str, Any], kind: str) -> dict[str, str]:
    """Return the SHA-256 of every file of a component, by its path in the index."""
    digests = meta.get(f"{kind}_files", {}).items()
    return {f"{meta[kind]}/{name}": digest for name, digest in digests}


def vocabulary_files(meta: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of every file of an index's vocabulary, by its path in the index."""
    digests = meta.get("vocabulary_files", {}).items()
    return {f"{meta['vocabulary']}/{name}": digest for name, digest in digests}
