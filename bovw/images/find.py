"""Stage 1: find the images, and read their bytes."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import BufferedReader
from pathlib import Path

from bovw.errors import BovwError, ImageError, UsageError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
OnError = Callable[[OSError], object]
OnOther = Callable[[str], object]


@dataclass(frozen=True)
class ImageFile:
    """An image on disk; `name` is its path below the folder given, with forward slashes."""

    name: str
    path: Path

    @property
    def folder(self) -> str:
        """The absolute path of the folder given, up to the name."""
        return str(self.path.absolute())[: -len(self.name)]


def find_images(
    folders: Sequence[Path],
    exclude: Sequence[str] = (),
    on_error: OnError | None = None,
    on_other: OnOther | None = None,
) -> list[ImageFile]:
    """Return the images at any depth below `folders`, sorted by name.

    Hidden files and folders are skipped, links are followed, and each real folder is visited once.
    A glob of `exclude` drops a file or folder if it matches the name, or the name without its first
    folders: "thumbs", "thumbs/*", "*.thumb.jpg". `on_error` receives errors of sub-folders that
    cannot be read, `on_other` the names of files without a suffix of SUFFIXES. Raises UsageError
    for a path that is no folder or two images of one name, BovwError for a folder without images.
    """
    found: dict[str, ImageFile] = {}
    origin: dict[str, Path] = {}
    for folder in folders:
        for image in _images_below(folder, exclude, on_error, on_other):
            if image.name in found:
                raise _same_name(origin[image.name], folder, image.name)
            found[image.name], origin[image.name] = image, folder
    return [found[name] for name in sorted(found)]


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal; ImageError if it cannot be read."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_and_time(path: Path) -> tuple[int | None, int | None]:
    """Return a file's size in bytes and mtime in nanoseconds; None, None if it cannot be read."""
    try:
        status = path.stat()
    except OSError:
        return None, None
    return status.st_size, status.st_mtime_ns


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """Open a regular file; raises ImageError if it cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # before opening: a FIFO would wait for a writer
            raise ImageError("not a regular file")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise ImageError(f"cannot be read: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    strerror = error.strerror if isinstance(error, OSError) else None
    return (strerror or str(error).strip() or type(error).__name__).splitlines()[0]


def _images_below(
    folder: Path, exclude: Sequence[str], on_error: OnError | None, on_other: OnOther | None
) -> list[ImageFile]:
    _check_folder(folder)
    images = []
    for name in _names_below(folder, exclude, on_error):
        if name.lower().endswith(SUFFIXES):
            images.append(ImageFile(name, folder / name))
        elif on_other:
            on_other(name)
    if not images:
        but = ", apart from what is excluded" if exclude else ""
        raise BovwError(f"no image in {folder}{but}: give a folder with {' '.join(SUFFIXES)} files")
    return images


def _check_folder(folder: Path) -> None:
    try:
        mode = folder.stat().st_mode
    except OSError as error:
        reason = error.strerror
        raise UsageError(f"{folder} cannot be read ({reason}): give a folder of images") from error
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{folder} is a file: give its folder {folder.absolute().parent} instead")


def _names_below(folder: Path, exclude: Sequence[str], on_error: OnError | None) -> Iterator[str]:
    """Yield the files' names; linked folders come last, so a real path wins over a link."""
    seen: set[str] = set()
    linked = deque([folder])
    while linked:
        for at, folders, files in os.walk(linked.popleft(), onerror=on_error):
            here, real = Path(at), os.path.realpath(at)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            prefix = "" if here == folder else here.relative_to(folder).as_posix() + "/"
            folders[:] = sorted(f for f in folders if _wanted(prefix + f, exclude))
            linked.extend(here / f for f in folders if (here / f).is_symlink())
            yield from (prefix + f for f in files if _wanted(prefix + f, exclude))


def _wanted(name: str, exclude: Sequence[str]) -> bool:
    """Tell whether a file or folder is neither hidden nor excluded; its parents are wanted."""
    parts = name.split("/")
    tails = ["/".join(parts[i:]) for i in range(len(parts))]
    return not parts[-1].startswith(".") and not any(
        fnmatchcase(tail, glob.rstrip("/")) for glob in exclude for tail in tails
    )


def _same_name(first: Path, second: Path, name: str) -> UsageError:
    parent = os.path.commonpath([first.absolute(), second.absolute()])
    return UsageError(
        f"{first} and {second} both hold {name}: give their common parent folder {parent} instead"
    )
