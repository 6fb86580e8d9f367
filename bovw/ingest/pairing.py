"""Pairs the images on disk with the rows of an index: an image is its real path."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from bovw.images import ImageFile
from bovw.index import ImageRow

PathOf = Callable[[str], str]


class Pairing:
    """Which image has which row.

    found    the images' rows, by the images' names
    doubles  further rows of these images, by their own names
    left     rows whose image is not on disk or was not looked for, by their names
    """

    def __init__(self, rows: Mapping[str, ImageRow], images: Sequence[ImageFile]) -> None:
        """Pair by name and path, then by path, by real path, and by the path as Unicode's NFC."""
        self.found: dict[str, ImageRow] = {}
        self.doubles: dict[str, ImageRow] = {}
        self.left = dict(rows)
        for image in images:
            row = rows.get(image.name)
            if row and path_of(row) == str(image.path):
                self.found[image.name] = self.left.pop(row.name)
        real = real_paths()
        for key in (str, real, lambda path: unicodedata.normalize("NFC", real(path))):
            if self.left:
                self._pair_by(key, images)

    def _pair_by(self, key: PathOf, images: Sequence[ImageFile]) -> None:
        places = {key(str(image.path)): image for image in images}
        for row in list(self.left.values()):
            image = places.get(key(path_of(row)))
            if image is None or is_another(row, image):
                continue
            if image.name not in self.found:
                self.found[image.name] = self.left.pop(row.name)
            elif is_there(row):
                self.doubles[row.name] = self.left.pop(row.name)


def path_of(row: ImageRow) -> str:
    """Return the path of an image when it was indexed."""
    return row.folder + row.name


def is_there(row: ImageRow) -> bool:
    """Tell whether there is a file where an image was; one that cannot be looked at counts, too."""
    try:
        os.lstat(path_of(row))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def is_another(row: ImageRow, image: ImageFile) -> bool:
    """Tell whether a row's file still exists and is not the image's."""
    try:
        return not image.path.samefile(path_of(row))
    except OSError:
        return False


def real_paths() -> PathOf:
    """Return a function for the real path of a file, which looks up each folder once."""
    folder_of = lru_cache(maxsize=None)(os.path.realpath)

    def real(path: str) -> str:
        try:
            linked = stat.S_ISLNK(os.lstat(path).st_mode)
        except OSError:
            linked = False
        folder, _, name = path.rpartition(os.sep)
        return str(
            os.path.realpath(path) if linked else folder_of(folder or os.sep) + os.sep + name
        )

    return real
