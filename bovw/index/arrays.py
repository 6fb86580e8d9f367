"""Records whose fields are arrays, kept as one memory-mapped .npy file each."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bovw.errors import FormatError


@dataclass(frozen=True)
class Arrays:
    """What records of arrays share: their files are called as their fields are."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map the files read-only; raises FormatError where one is missing or damaged."""
        return cls(**{name: load_array(folder, name) for name in cls.__dataclass_fields__})

    def save(self, folder: Path) -> dict[str, str]:
        """Write and flush the files into a new folder; return their SHA-256 by name."""
        folder.mkdir(parents=True)
        return {
            f"{name}.npy": save_array(folder / f"{name}.npy", getattr(self, name))
            for name in self.__dataclass_fields__
        }


def load_array(folder: Path, name: str) -> npt.NDArray[Any]:
    """Map `name`.npy read-only; raises FormatError where it is missing or damaged."""
    try:
        # A plain view: kernels are compiled for arrays, not for np.memmap.
        return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r"))
    except Exception as error:  # a damaged header is parsed as Python, and fails in as many ways
        raise FormatError(
            f"{folder / name}.npy is damaged ({error}): index the images again with `bovw index`"
        ) from error


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
