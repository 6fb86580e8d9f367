"""Files of a folder that may come from anyone: opened without following links, replaced whole."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

from bovw.errors import BovwError, damaged_file

# Windows has neither; it has few links, and no FIFOs.
_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
# Bytes of the longest file that is no array.
_LONGEST = 2**30
# What the system says of a file that is there and whole.
_NOT_DAMAGE = {errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR}


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file to read it.

    Raises OSError if it is missing, cannot be read, or is anything else: a link, a FIFO, a device.
    """
    try:
        handle = os.open(path, os.O_RDONLY | _SAFELY)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a link", str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return os.fdopen(handle, "rb")


def is_regular(path: Path) -> bool:
    """Tell whether there is a regular file, and no link to one."""
    with suppress(OSError):
        return stat.S_ISREG(path.lstat().st_mode)
    return False


def is_folder(path: Path) -> bool:
    """Tell whether there is a folder, and no link to one."""
    with suppress(OSError):
        return stat.S_ISDIR(path.lstat().st_mode)
    return False


def unreadable(path: Path, error: OSError) -> BovwError:
    """Return the error for an index's file: of damage, or of what keeps this process from it."""
    if error.errno in _NOT_DAMAGE:
        return BovwError(
            f"cannot read {path} ({error.strerror}): check permissions and the system's limits"
        )
    return damaged_file(path, error.strerror or str(error))


def file_sha256(path: Path) -> str:
    """Return a regular file's SHA-256, or an empty string if there is no such file.

    A file that is far longer than what bovw writes is not read either: a few blocks on the disk can
    pass for years of reading. Raises BovwError if there is one that this process may not read.
    """
    try:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size > _longest(path, file):
                return ""
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        if error.errno in _NOT_DAMAGE:
            raise unreadable(path, error) from error
        return ""


def _longest(path: Path, file: IO[bytes]) -> float:
    """Return how long a file may be; an array's header says so."""
    if path.suffix != ".npy":
        return _LONGEST
    try:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        return float(file.tell() + dtype.itemsize * prod(shape))
    except Exception:  # a damaged header can fail in any way
        return _LONGEST


def map_array(path: Path, dtype: str, dimensions: int) -> npt.NDArray[Any]:
    """Map a little-endian .npy file read-only, after a look at its header.

    Raises OSError if it cannot be read, ValueError if it is damaged or holds anything else.
    """
    wanted = np.dtype(dtype).newbyteorder("<")
    with open_regular(path) as file:
        shape, order = read_header(file, wanted, dimensions)
        start = file.tell()
        if os.fstat(file.fileno()).st_size != start + wanted.itemsize * prod(shape):
            raise ValueError("it is shorter or longer than its header says")
        if 0 in shape:
            return np.empty(shape, wanted)
        # A plain view: kernels are compiled for arrays, not for np.memmap.
        return np.asarray(np.memmap(file, wanted, "r", start, shape, order))


def read_header(
    file: IO[bytes], dtype: np.dtype[Any], dimensions: int
) -> tuple[tuple[int, ...], Literal["C", "F"]]:
    """Read the header of a .npy file; return the array's shape and order.

    Raises ValueError if the array is another one, or the format is not NumPy's 1.0.
    """
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("it is not of NumPy's format 1.0")
        shape, fortran, found = np.lib.format.read_array_header_1_0(file)
    except Exception as error:  # a damaged header is parsed as Python, and can fail in any way
        raise ValueError(str(error)) from error
    if found != dtype or len(shape) != dimensions:
        raise ValueError(f"it holds {found} of {len(shape)} dimensions")
    if any(not isinstance(length, int) or length < 0 for length in shape):
        raise ValueError(f"it has the shape {shape}")
    return tuple(shape), "F" if fortran else "C"


def save_array(path: Path, array: npt.NDArray[Any]) -> str:
    """Write a little-endian .npy file, flush it to the disk, and return its SHA-256."""
    with path.open("xb") as file:
        np.save(file, np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)))
        file.flush()
        os.fsync(file.fileno())
    return file_sha256(path)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of files to the disk, if the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_file(path: Path, content: bytes) -> None:
    """Write and flush a new file beside `path`, and rename it over; a link there is replaced.

    An interrupted call leaves `path` as it was. Raises OSError.
    """
    with aside(path) as beside:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Yield a new name beside `path`, to write what is then renamed to it.

    Whatever has such a name is removed: before, what interrupted runs left, and in the end.
    """
    pattern = re.compile(re.escape(f".{path.name}.") + "[0-9a-f]{32}")
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        for entry in path.parent.glob(".*"):
            if pattern.fullmatch(entry.name):
                _remove(entry)
        yield beside
        sync_folder(path.parent)
    finally:
        _remove(beside)


def replace_folder(new: Path, folder: Path) -> None:
    """Rename a folder over another one, which is kept until the new one is in its place.

    If a process is killed in between, `restore_folder` brings the old one back. Raises OSError.
    """
    kept = _kept(folder)
    if is_folder(folder):
        _remove(kept)
        folder.rename(kept)
    new.rename(folder)
    sync_folder(folder.parent)
    _remove(kept)


def restore_folder(folder: Path) -> None:
    """Bring back a folder whose replacement was interrupted, if there is none of the name."""
    kept = _kept(folder)
    if is_folder(kept) and not os.path.lexists(folder):
        with suppress(OSError):  # of a file system that cannot be written to
            kept.rename(folder)


def _kept(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.replaced")


def _remove(path: Path) -> None:
    if is_folder(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
