"""Stage 1: find the images, and read their bytes."""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from bovw.errors import BovwError, ImageError, UsageError

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp")
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
    on_empty: OnOther | None = None,
) -> list[ImageFile]:
    """Return the images at any depth below `folders`, sorted by name.

    An image is one file, however many links and folders lead to it. Its name is its path below the
    outermost of the folders, and its path has no link above that folder.

    Hidden files and folders are skipped, links are followed, and each real folder is visited once.
    A glob of `exclude` drops a file or folder if it matches the name, or the name without its first
    folders: "thumbs", "thumbs/*", "*.thumb.jpg". `on_error` receives errors of sub-folders that
    cannot be read, `on_other` the names of files without a suffix of SUFFIXES, and `on_empty` the
    paths where images may be missing: folders that hold nothing, and links that lead nowhere.
    Raises UsageError for a path that is no folder or two images of one name, BovwError for a folder
    without images.
    """
    given = [_checked(folder) for folder in folders]
    roots = outermost(given)
    inner = sorted(set(given) - set(roots))
    starts = [(next(r for r in roots if one.is_relative_to(r)), one) for one in [*roots, *inner]]
    found: dict[str, ImageFile] = {}
    files: set[str] = set()
    fruitful: set[Path] = set()
    for file in sorted(_files_below(starts, exclude, on_error, on_empty), key=lambda f: f.linked):
        if not file.name.lower().endswith(SUFFIXES):
            if on_other:
                on_other(file.name)
            continue
        fruitful.add(file.root)
        if file.real not in files:
            files.add(file.real)
            image = ImageFile(file.name, file.root / file.name)
            if found.setdefault(image.name, image) is not image:
                raise UsageError(two_named(found[image.name].path, image.path, image.name))
    for root in roots:
        if root not in fruitful:
            raise _without_images(root, exclude)
    return [found[name] for name in sorted(found)]


def real_path(path: Path) -> Path:
    """Return the one path of a place: absolute, without links, `~` or `..`.

    If there is nothing of that spelling, but of its composed or decomposed form (Unicode's NFC and
    NFD), that is meant.
    """
    given = os.path.expanduser(path)  # noqa: PTH111 - Path's fails for a user that does not exist
    spellings = (given, *(unicodedata.normalize(form, given) for form in ("NFC", "NFD")))
    return Path(os.path.realpath(next(filter(os.path.lexists, spellings), given)))


def outermost(folders: Iterable[Path]) -> list[Path]:
    """Return the folders that are in none of the others, sorted."""
    chosen: list[Path] = []
    for folder in sorted(set(folders)):
        if not any(folder.is_relative_to(one) for one in chosen):
            chosen.append(folder)
    return chosen


def two_named(first: Path, second: Path, name: str) -> str:
    """Say that two files would have one name, and what to do about it."""
    try:
        parent = Path(os.path.commonpath([first, second]))
    except ValueError:  # two drives
        parent = Path(first.anchor)
    common = "" if parent == Path(parent.anchor) else f"{parent}, or "
    return (
        f"{first} and {second} would both be called {name}: give a folder that holds both "
        f"({common}a new one with links to their folders), or make an index for each"
    )


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


def _checked(folder: Path) -> Path:
    """Return the real path of a folder; raises UsageError if it is none."""
    real = real_path(folder)
    try:
        mode = real.stat().st_mode
    except OSError as error:
        reason = error.strerror
        raise UsageError(f"{folder} cannot be read ({reason}): give a folder of images") from error
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{folder} is a file: give its folder {real.parent} instead")
    return real


class _File(NamedTuple):
    """A file below a root; `linked` is higher the more its path depends on links."""

    linked: int
    root: Path
    name: str
    real: str


def _files_below(
    starts: Iterable[tuple[Path, Path]],
    exclude: Sequence[str],
    on_error: OnError | None,
    on_empty: OnOther | None,
) -> Iterator[_File]:
    """Yield the files below pairs of a root that names them and a folder in it."""
    seen: set[str] = set()
    waiting = deque((0, root, start) for root, start in starts)
    while waiting:
        linked, root, start = waiting.popleft()
        for at, folders, files in os.walk(start, onerror=on_error):
            here, real = Path(at), os.path.realpath(at)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            prefix = "" if here == root else here.relative_to(root).as_posix() + "/"
            if on_empty and all(name.startswith(".") for name in (*folders, *files)):
                on_empty(at)
            folders[:] = sorted(f for f in folders if _wanted(prefix + f, exclude))
            # Links come last, so that a real path wins.
            waiting.extend((1, root, here / f) for f in folders if (here / f).is_symlink())
            for name in (f for f in files if _wanted(prefix + f, exclude)):
                path = here / name
                if not path.is_symlink():
                    yield _File(linked, root, prefix + name, real.rstrip(os.sep) + os.sep + name)
                    continue
                target = os.path.realpath(path)
                if on_empty and not os.path.lexists(target):
                    on_empty(str(path))
                yield _File(2, root, prefix + name, target)


def _without_images(folder: Path, exclude: Sequence[str]) -> BovwError:
    but = ", apart from what is excluded" if exclude else ""
    return BovwError(f"no image in {folder}{but}: give a folder with {' '.join(SUFFIXES)} files")


def _wanted(name: str, exclude: Sequence[str]) -> bool:
    """Tell whether a file or folder is neither hidden nor excluded; its parents are wanted."""
    parts = name.split("/")
    tails = ["/".join(parts[i:]) for i in range(len(parts))]
    return not parts[-1].startswith(".") and not any(
        fnmatchcase(tail, glob.rstrip("/")) for glob in exclude for tail in tails
    )
