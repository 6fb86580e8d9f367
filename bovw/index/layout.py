"""The content of an index's folder: files that a commit names, and interrupted runs' leftovers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bovw.errors import FormatError
from bovw.index.catalog import FILE, read_meta
from bovw.index.components import COMPONENTS, NUMBERED
from bovw.index.lock import FILES as LOCK_FILES

# Prefix of folders for segments that workers write and the index has not taken yet.
INCOMING = "incoming-"


def unused(folder: Path, meta: dict[str, Any], segments: Iterable[int]) -> list[Path]:
    """Return the folders in an index that no commit names, left by a killed writer."""
    live = {f"segments/{id}" for id in segments}
    live |= {str(meta[kind]) for kind in COMPONENTS if kind in meta}
    parts = [path for kind in NUMBERED for path in sorted((folder / kind).glob("*"))]
    found = [path for path in parts if f"{path.parent.name}/{path.name}" not in live]
    copies = folder.glob("*vocabulary-*")
    return found + [path for path in sorted(copies) if path.name != meta.get("vocabulary")]


def check_free(folder: Path) -> None:
    """Raise FormatError if `folder` holds an index, or anything but leftovers of one."""
    if read_meta(folder):
        raise FormatError(f"there is an index in {folder} already: give another folder")
    if folder.exists() and not (folder.is_dir() and _is_left_over(folder)):
        raise FormatError(f"{folder} is not an index: give another folder to write to")


def _is_left_over(folder: Path) -> bool:
    """Tell whether a folder is empty, or holds only leftovers of an interrupted first build."""
    beginnings = (FILE, "vocabulary-", ".vocabulary-", INCOMING, *LOCK_FILES)
    return all(
        entry.name in NUMBERED or entry.name.startswith(beginnings) for entry in folder.iterdir()
    )
