"""What an index's folder may hold: what a commit names, and what interrupted runs leave."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bovw.errors import FormatError
from bovw.index.catalog import FILE, read_meta
from bovw.index.components import COMPONENTS, NUMBERED
from bovw.index.lock import FILES as LOCK_FILES

# How folders begin in which others write segments that are yet to be taken in.
INCOMING = "incoming-"


def unused(folder: Path, meta: dict[str, Any], segments: Iterable[int]) -> list[Path]:
    """Return the folders in an index that no commit names: what a killed writer left."""
    live = {f"segments/{id}" for id in segments}
    live |= {str(meta[kind]) for kind in COMPONENTS if kind in meta}
    parts = [path for kind in NUMBERED for path in sorted((folder / kind).glob("*"))]
    found = [path for path in parts if f"{path.parent.name}/{path.name}" not in live]
    copies = folder.glob("*vocabulary-*")
    return found + [path for path in sorted(copies) if path.name != meta.get("vocabulary")]


def check_free(folder: Path) -> None:
    """Raise FormatError where `folder` holds an index, or something else that is not one's rest."""
    if read_meta(folder):
        raise FormatError(f"there is an index in {folder} already: give another folder")
    if folder.exists() and not (folder.is_dir() and _is_left_over(folder)):
        raise FormatError(f"{folder} is not an index: give another folder to write to")


def _is_left_over(folder: Path) -> bool:
    """Tell whether a folder is empty, or holds only what an interrupted first build leaves."""
    beginnings = (FILE, "vocabulary-", ".vocabulary-", INCOMING, *LOCK_FILES)
    return all(
        entry.name in NUMBERED or entry.name.startswith(beginnings) for entry in folder.iterdir()
    )
