"""The names that an index's folder may have. Every path in one is made of these."""

from __future__ import annotations

import os
from pathlib import Path

from bovw.compute.files import is_folder
from bovw.errors import FormatError

# Data about all images of an index: each kind has a folder, which holds numbered versions. An index
# needs the first two.
NEEDED, OPTIONAL = ("statistics", "names"), ("graph", "calibration")
KINDS = (*NEEDED, *OPTIONAL)
# The folders of an index that hold numbered folders.
NUMBERED = ("segments", *KINDS)
# Prefix of folders for segments that workers write and the index has not taken yet.
INCOMING = "incoming-"

# Patterns, for ASCII. None leads out of its folder.
NUMBER = "[1-9][0-9]{0,14}"
ARRAY_FILE = r"\w+\.npy"
VOCABULARY_NAME = "vocabulary-[0-9a-f]{8,64}"
VOCABULARY_FILE = r"\w+\.\w+"
SHARD_NAME = r"[\w-]+"


def inside(folder: Path, place: str) -> Path:
    """Return the path of a folder in an index; `place` is made of the names above.

    Raises FormatError if it, or a folder above it in the index, is a link or no folder.
    """
    path = folder
    for name in place.split("/"):
        path = path / name
        if not is_folder(path):
            raise FormatError(
                f"{path} is missing, or a link that is not followed: `bovw check --repair` may help"
            )
    return path


def check_folders(folder: Path) -> None:
    """Raise FormatError if something else has the name of a folder that an index writes to."""
    for kind in NUMBERED:
        if os.path.lexists(folder / kind) and not is_folder(folder / kind):
            raise FormatError(
                f"{folder / kind} is a link, or no folder: bovw does not follow links inside an "
                "index, so remove it or give another index"
            )


def holds(folder: Path, file: str) -> bool:
    """Tell whether the folders of a file in an index are there, and no links."""
    above = file.split("/")[:-1]
    return all(is_folder(folder.joinpath(*above[: n + 1])) for n in range(len(above)))
