"""What interrupted runs left in an index's folder, and nothing else: it may hold others' files."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bovw.compute.files import is_folder, is_regular
from bovw.errors import FormatError
from bovw.index.catalog import FILE
from bovw.index.components import COMPONENTS
from bovw.index.layout import INCOMING, NUMBER, NUMBERED, VOCABULARY_NAME
from bovw.index.lock import FILES as LOCK_FILES
from bovw.index.manifest import is_index, read_any_meta
from bovw.index.segment import Segment

# The files of a vocabulary's folder.
_VOCABULARY = ("manifest.json", "words.npy", "projection.npy", "sources.npy", "cells.npz")
_ASIDE = re.compile(rf"\.({VOCABULARY_NAME})\.([0-9a-f]{{32}}|replaced)")
# A file that was to replace another one.
_PART = re.compile(r"\.(writer|shards)\.json\.[0-9a-f]{32}")
_JOURNAL = f"{FILE}-journal"


def unused(folder: Path, meta: dict[str, Any], segments: Iterable[int]) -> list[Path]:
    """Return the folders that no commit names and whose names are an index's, bovw's or not.

    Segments that workers have written are none: the run that they are for may be going on.
    """
    live = {f"segments/{id}" for id in segments}
    live |= {str(meta[kind]) for kind in COMPONENTS if kind in meta}
    parts = [path for kind in NUMBERED for path in _numbered(folder / kind)]
    found = [path for path in parts if f"{path.parent.name}/{path.name}" not in live]
    copies = [path for path in sorted(folder.glob("*vocabulary-*")) if _is_copy(path.name)]
    return found + [path for path in copies if path.name != meta.get("vocabulary")]


def is_left_over(path: Path) -> bool:
    """Tell whether a folder in an index holds nothing but files of the names that bovw writes.

    A folder that a person put there is not one, and no link is.
    """
    if path.name.startswith(INCOMING):
        entries = list(path.iterdir()) if is_folder(path) else []
        return is_folder(path) and all(_holds_only(one, _arrays("segments")) for one in entries)
    if path.parent.name in NUMBERED:
        return bool(re.fullmatch(NUMBER, path.name)) and _holds_only(
            path, _arrays(path.parent.name)
        )
    return _is_copy(path.name) and _holds_only(path, _VOCABULARY)


def remove_left_over(path: Path) -> None:
    """Remove a folder of an index if it is left over, file by file; leave anything else.

    What cannot be removed stays, for the next run.
    """
    if not is_left_over(path):
        return
    with suppress(OSError):
        for entry in path.iterdir():
            if is_folder(entry):
                for file in entry.iterdir():
                    file.unlink()
                entry.rmdir()
            else:
                entry.unlink()
        path.rmdir()


def remove_beginnings(folder: Path) -> None:
    """Remove the folder of an index that was never committed, unless it holds anything else."""
    with suppress(OSError):
        for path in [*unused(folder, {}, ()), *folder.glob(f"{INCOMING}*")]:
            remove_left_over(path)
        for entry in folder.iterdir():
            if entry.name in (*LOCK_FILES, _JOURNAL) or _PART.fullmatch(entry.name):
                entry.unlink()
            elif entry.name in NUMBERED:
                entry.rmdir()
        folder.rmdir()


def check_free(folder: Path) -> None:
    """Raise FormatError if `folder` holds an index, or anything but leftovers of one."""
    if is_index(folder) and read_any_meta(folder):
        raise FormatError(f"there is an index in {folder} already: give another folder")
    if not folder.exists():
        return
    for entry in sorted(folder.iterdir()) if folder.is_dir() else [folder]:
        if not _is_beginning(entry):
            raise FormatError(
                f"{folder} is not an index: give another folder to write to (it holds {entry})"
            )


def _is_beginning(entry: Path) -> bool:
    """Tell whether an interrupted first build may have left an entry of a folder."""
    if entry.name in NUMBERED:
        return is_folder(entry) and all(is_left_over(one) for one in entry.iterdir())
    if entry.name in (FILE, _JOURNAL, *LOCK_FILES) or _PART.fullmatch(entry.name):
        return is_regular(entry)
    return is_left_over(entry)


def _numbered(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if is_folder(folder) else []


def _is_copy(name: str) -> bool:
    """Tell whether a folder's name is that of a vocabulary's copy, whole or not."""
    return bool(re.fullmatch(VOCABULARY_NAME, name) or _ASIDE.fullmatch(name))


def _arrays(kind: str) -> list[str]:
    record = Segment if kind == "segments" else COMPONENTS[kind]
    return [f"{name}.npy" for name in record.declared()]


def _holds_only(folder: Path, names: Collection[str]) -> bool:
    return is_folder(folder) and all(
        entry.name in names and is_regular(entry) for entry in folder.iterdir()
    )
