"""The collection that an index is of: its folders, and what is left out of them."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bovw.errors import FormatError, UsageError
from bovw.feedback import OnSkip
from bovw.images import ImageFile, outermost, real_path, two_named
from bovw.index import ImageRow, Index, read_any_meta
from bovw.ingest.pairing import real_paths

# Its key in the meta of an index.
KEY = "collection"


@dataclass(frozen=True)
class Collection:
    """What an index remembers of the folders that were indexed.

    roots    their real paths, none inside another; an image is named by its path below its root
    exclude  globs of the files that are left out
    """

    roots: tuple[Path, ...] = ()
    exclude: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Read it from the index in `folder`, which need not exist.

        An index that remembers none has the folders of its images. Raises FormatError if it cannot
        be read.
        """
        meta = read_any_meta(folder)
        if not meta:
            return cls()
        if KEY not in meta:
            rows = Index.open(folder).images()
            return cls(tuple(outermost(Path(row.folder) for row in rows)))
        kept = meta[KEY]
        roots, exclude = (_texts(folder, kept, name) for name in ("roots", "exclude"))
        return cls(tuple(outermost(map(Path, roots))), tuple(exclude))

    def widened(self, folders: Sequence[Path], exclude: Sequence[str]) -> Self:
        """Return it with further folders and other globs, if any are given; "" is no glob."""
        globs = tuple(filter(None, exclude)) if exclude else self.exclude
        return type(self)(tuple(outermost([*self.roots, *map(real_path, folders)])), globs)

    def name(self, images: Iterable[ImageFile]) -> list[ImageFile]:
        """Name images by their paths below their roots; those outside keep their names.

        Raises UsageError if two of them would have the same name.
        """
        named: dict[str, ImageFile] = {}
        for image in self._named(images):
            if named.setdefault(image.name, image) is not image:
                raise UsageError(two_named(named[image.name].path, image.path, image.name))
        return [named[name] for name in sorted(named)]

    def _named(self, images: Iterable[ImageFile]) -> Iterator[ImageFile]:
        prefixes = [prefix_of(root) for root in self.roots]
        real = real_paths()
        for image in images:
            # A real path below a root comes before one that leads there through links.
            given, target = str(image.path), real(str(image.path))
            paths = [target, given] if target != given and os.path.lexists(target) else [given]
            within = ((path, one) for path in paths for one in prefixes if path.startswith(one))
            path, root = next(within, (given, image.folder))
            yield ImageFile(Path(path[len(root) :]).as_posix(), Path(path))

    def remember(self, meta: dict[str, Any], folders: Iterable[str]) -> bool:
        """Write it into the meta of an index; return whether that has changed.

        folders  those of the index's images; other roots are forgotten
        """
        used = set(map(Path, set(folders)))
        roots = [str(root) for root in self.roots if root in used]
        content = {"roots": roots, "exclude": list(self.exclude)}
        changed = meta.get(KEY) != content
        meta[KEY] = content
        return changed


@dataclass(frozen=True)
class Looked:
    """Where an update has looked for images: it tells whether an image not found is gone.

    folders  real paths of the folders given
    closed   paths below them that may hold images that were not seen: folders that cannot be read,
             empty folders, which may be disks that are not mounted, and links that lead nowhere
    """

    folders: Sequence[Path]
    closed: Sequence[str] = ()

    @classmethod
    def of(cls, folders: Sequence[Path], closed: Sequence[str]) -> Self:
        """Add the real paths of what is closed: through links, images have other paths, too."""
        real = filter(os.path.lexists, map(os.path.realpath, closed))
        return cls(folders, [*closed, *real])

    def __call__(self, row: ImageRow) -> bool:
        """Tell whether an image that was not found is gone."""
        return any(map(self._within, _places(row))) and not self.closed_at(row)

    def closed_at(self, row: ImageRow) -> str | None:
        """Return the closed path where an image would not have been seen; None if there is none."""
        places = _places(row)
        return next((one for one in self.closed for path in places if _is_below(path, one)), None)

    def _within(self, path: str) -> bool:
        """Tell whether a path lies below a folder, and is not hidden there."""
        below = (path[len(p) :] for p in map(prefix_of, self.folders) if path.startswith(p))
        return any(not part.startswith(".") and f"{os.sep}." not in part for part in below)


def given_files(paths: Iterable[Path], on_skip: OnSkip) -> list[ImageFile]:
    """Return files by their own names; what is not a file is skipped."""
    named: dict[str, ImageFile] = {}
    for path in paths:
        real = real_path(path)
        try:
            is_file = stat.S_ISREG(real.stat().st_mode)
        except OSError as error:
            on_skip(str(path), f"cannot be read: {error.strerror}")
            continue
        if is_file:
            named[str(real)] = ImageFile(real.name, real)
        else:
            on_skip(str(path), "not a regular file")
    return list(named.values())


def prefix_of(folder: Path | str) -> str:
    """Return what the paths of all files in a folder begin with."""
    return str(folder).rstrip(os.sep) + os.sep


def find_named(rows: Mapping[str, ImageRow], text: str) -> list[str]:
    """Return the names of the images that a user means by a name, or by a folder of images.

    text  a name, also in another form of Unicode; a folder of names; the absolute path of a folder
    """
    if text in rows:
        return [text]
    wanted = unicodedata.normalize("NFC", text)
    spelled = {name: unicodedata.normalize("NFC", name) for name in rows}
    folder = wanted.rstrip("/") + "/"
    found = [name for name, one in spelled.items() if one == wanted]
    found = found or [name for name, one in spelled.items() if one.startswith(folder)]
    if found or not text.startswith(("~", os.sep)):
        return found
    prefixes = prefix_of(os.path.normpath(text)), prefix_of(real_path(Path(text)))
    return [name for name, row in rows.items() if (row.folder + row.name).startswith(prefixes)]


def _places(row: ImageRow) -> tuple[str, str]:
    path = row.folder + row.name
    return path, os.path.realpath(path)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(prefix_of(folder))


def _texts(folder: Path, kept: Any, name: str) -> list[str]:
    """Return a list of texts of what an index remembers; raises FormatError if it is none."""
    texts = kept.get(name) if isinstance(kept, dict) else None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise FormatError(
            f"the catalog of {folder} is damaged ({KEY} without {name}): delete the folder and "
            "index the images again"
        )
    return texts
