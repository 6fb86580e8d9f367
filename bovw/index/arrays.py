"""Records whose fields are arrays, kept as one memory-mapped .npy file each."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from bovw.errors import damaged_file


@dataclass(frozen=True)
class Arrays:
    """What records of arrays share: their files are called as their fields are.

    LAYOUT  the type and the number of dimensions of each
    """

    LAYOUT: ClassVar[dict[str, tuple[str, int]]] = {}

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map the files read-only; raises FormatError where one is missing or damaged."""
        return cls(**{name: load_array(folder, name, *cls.LAYOUT[name]) for name in cls.LAYOUT})

    def save(self, folder: Path) -> dict[str, str]:
        """Write and flush the files into a new folder; return their SHA-256 by name."""
        folder.mkdir(parents=True)
        files = {
            f"{name}.npy": save_array(folder / f"{name}.npy", getattr(self, name))
            for name in self.LAYOUT
        }
        sync_folder(folder)
        sync_folder(folder.parent)
        return files


def load_array(folder: Path, name: str, dtype: str, dimensions: int) -> npt.NDArray[Any]:
    """Map `name`.npy read-only; raises FormatError where it is missing or not as it should be."""
    path = folder / f"{name}.npy"
    try:
        # A plain view: kernels are compiled for arrays, not for np.memmap.
        array = np.asarray(np.load(path, mmap_mode="r"))
    except Exception as error:  # a damaged header is parsed as Python, and fails in as many ways
        raise damaged_file(path, str(error)) from error
    fits = array.dtype == np.dtype(dtype).newbyteorder("<") and array.ndim == dimensions
    if not fits or not array.flags.c_contiguous:
        raise damaged_file(path, f"it holds {array.dtype} of {array.ndim} dimensions")
    return array


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of files to the disk, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def save_array(path: Path, array: npt.NDArray[Any]) -> str:
    """Write a little-endian .npy file, flush it to the disk, and return its SHA-256."""
    with path.open("xb") as file:
        np.save(file, np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)))
        file.flush()
        os.fsync(file.fileno())
    return file_sha256(path)


def file_sha256(path: Path) -> str:
    """Return a file's SHA-256, or an empty string where there is no such file."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
