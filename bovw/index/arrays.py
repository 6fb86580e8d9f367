"""Records of arrays, each array in a memory-mapped .npy file."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, cast

import numpy as np
import numpy.typing as npt

from bovw.compute.files import map_array, save_array, sync_folder, unreadable
from bovw.errors import damaged_file

# A length of the array's own.
FREE = "bytes"
By = Literal["posting", "image", "word", "segment", "index"]


class Declared(NamedTuple):
    """One array of a record.

    dtype  as NumPy calls it; on disk it is little-endian
    shape  numbers or names of lengths: "images", "postings", "words", "words + 1", "bits / 64". Any
           other name but FREE, a length of the array's own, is an error
    by     the array has a row for each of these
    holds  the content of a row, as in docs/format.md
    """

    dtype: str
    shape: tuple[str | int, ...]
    by: By
    holds: str

    def empty(self, counts: Mapping[str, int]) -> npt.NDArray[Any]:
        """Return an array of no rows, or of as many as `counts` says; see `lengths`."""
        return np.empty([n if isinstance(n, int) else counts[n] for n in self.shape], self.dtype)


def stored(dtype: str, *shape: str | int, by: By, holds: str) -> Any:
    """Declare a field of an `Arrays` record; see `Declared`. The file has the field's name.

    The array is then written, read, checked, merged and split with the others. What fills it is up
    to whoever makes the record.
    """
    return field(metadata={"array": Declared(dtype, shape, by, holds)})


def lengths(words: int, bits: int, images: int, postings: int) -> dict[str, int]:
    """Return the lengths that the names in `Declared.shape` stand for."""
    return {
        "words": words,
        "words + 1": words + 1,
        "bits / 64": bits // 64,
        "images": images,
        "postings": postings,
    }


@dataclass(frozen=True)
class Arrays:
    """The base of records of arrays; every field is declared by `stored`."""

    @classmethod
    def declared(cls, by: By | None = None) -> dict[str, Declared]:
        """Return the record's arrays by name: all, or those with a row for each of these."""
        found = {one.name: cast(Declared, one.metadata["array"]) for one in fields(cls)}
        return {name: one for name, one in found.items() if by in (None, one.by)}

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map the files read-only; raises FormatError if one is missing or damaged."""
        return cls(**{name: load_array(folder, name, one) for name, one in cls.declared().items()})

    def save(self, folder: Path) -> dict[str, str]:
        """Write and flush the files into a new folder; return their SHA-256 by name.

        Leaves no folder if it fails: a full disk would be full of them.
        """
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
        try:
            files = {
                f"{name}.npy": save_array(folder / f"{name}.npy", getattr(self, name))
                for name in self.declared()
            }
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        sync_folder(folder)
        sync_folder(folder.parent)
        return files

    def fits(self, counts: Mapping[str, int]) -> bool:
        """Tell whether all arrays have their declared shapes; `counts` comes from `lengths`."""
        return all(
            wanted == FREE or length == (counts[wanted] if isinstance(wanted, str) else wanted)
            for name, one in self.declared().items()
            for length, wanted in zip(getattr(self, name).shape, one.shape, strict=True)
        )


def load_array(folder: Path, name: str, declared: Declared) -> npt.NDArray[Any]:
    """Map `name`.npy read-only.

    Raises FormatError if it is missing or not as declared, BovwError if it cannot be read.
    """
    path = folder / f"{name}.npy"
    try:
        array = map_array(path, declared.dtype, len(declared.shape))
        if not array.flags.c_contiguous:
            raise ValueError("its rows are not one after the other")
        return array
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise damaged_file(path, str(error)) from error
