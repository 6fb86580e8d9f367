"""The catalog: an index's one commit point, in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bovw.errors import FormatError, NewerFormatError

FORMAT = 3
FILE = "catalog.sqlite"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS segments (
    id INTEGER PRIMARY KEY, images INTEGER NOT NULL, features INTEGER NOT NULL,
    files TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS images (
    name TEXT PRIMARY KEY, folder TEXT NOT NULL, size INTEGER, mtime INTEGER, sha256 TEXT,
    width INTEGER, height INTEGER, features INTEGER NOT NULL, status TEXT NOT NULL,
    reason TEXT, segment INTEGER, number INTEGER);
"""


@dataclass(frozen=True)
class ImageRow:
    """What the catalog knows of an image.

    name      path below `folder`, with forward slashes
    folder    absolute path of the folder given
    size      bytes of the file; None where it could not be read, as are the next two
    mtime     of the file in nanoseconds
    sha256    of the file
    width, height  of the upright image in pixels, 0 where it could not be decoded
    features  how many are indexed
    status    "ok" or "skipped"
    reason    why it was skipped
    segment, number  where its postings are
    """

    name: str
    folder: str
    size: int | None
    mtime: int | None
    sha256: str | None
    width: int
    height: int
    features: int
    status: str
    reason: str | None = None
    segment: int | None = None
    number: int | None = None


@dataclass(frozen=True)
class SegmentRow:
    """A live segment: its number, what it holds, and the SHA-256 of each file."""

    id: int
    images: int
    features: int
    files: dict[str, str]


_KEYS = {"format", "words", "bits", "fingerprint", "options", "vocabulary", "statistics", "names"}
_KEYS |= {"statistics_files"}
_COLUMNS = tuple(ImageRow.__dataclass_fields__)


class Catalog:
    """One connection to an index's catalog."""

    def __init__(self, folder: Path, create: bool = False) -> None:
        """Open the catalog of the index in `folder`; its format is checked first.

        Raises FormatError where it is missing, damaged or of a newer format.
        """
        self._folder = folder
        path = folder / FILE
        if not create and not path.is_file():
            raise FormatError(
                f"there is no index in {folder}: make one with `bovw index DIR --index {folder}`"
            )
        try:
            mode = "rwc" if create else "ro"
            quoted = path.absolute().as_uri()
            self._connection = sqlite3.connect(f"{quoted}?mode={mode}", uri=True)
            # File names are bytes: those that are not UTF-8 come back as Python's own escapes.
            self._connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
            if create:
                self._connection.executescript(_SCHEMA)
            self.meta = {k: json.loads(v) for k, v in self._rows("SELECT key, value FROM meta")}
        except (sqlite3.Error, ValueError) as error:
            raise self._damaged(error) from error
        version = self.meta.get("format", FORMAT)
        if not isinstance(version, int):
            raise self._damaged(ValueError(f"format {version!r}"))
        if version > FORMAT:
            raise NewerFormatError(
                f"{folder} has index format {version}, this bovw reads up to {FORMAT}: "
                "upgrade with `pip install -U bovw`"
            )
        if version < FORMAT:
            raise FormatError(
                f"{folder} has index format {version}, which this bovw does not read any more: "
                "index the images again with `bovw index`"
            )
        if self.meta and not self.meta.keys() >= _KEYS:
            raise self._damaged(ValueError(f"without {', '.join(_KEYS - self.meta.keys())}"))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def segments(self) -> list[SegmentRow]:
        """Return the live segments, oldest first."""
        rows = self._rows("SELECT id, images, features, files FROM segments ORDER BY id")
        try:
            return [SegmentRow(i, n, f, json.loads(files)) for i, n, f, files in rows]
        except ValueError as error:
            raise self._damaged(error) from error

    def images(self) -> list[ImageRow]:
        """Return every image, skipped ones too, by name."""
        rows = self._rows(f"SELECT {', '.join(_COLUMNS)} FROM images ORDER BY name")
        return [ImageRow(*row) for row in rows]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all changes made inside at once, or none of them."""
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
        except sqlite3.Error as error:
            raise FormatError(
                f"cannot write to {self._folder / FILE} ({error}): check the disk and permissions"
            ) from error

    def replace(
        self, meta: dict[str, Any], segments: Iterable[SegmentRow], images: Iterable[ImageRow]
    ) -> None:
        """Replace everything the catalog says; for use inside `transaction`."""
        for table in ("meta", "segments", "images"):
            self._connection.execute(f"DELETE FROM {table}")
        self._connection.executemany(
            "INSERT INTO meta VALUES (?, ?)",
            [(key, json.dumps(value)) for key, value in {"format": FORMAT, **meta}.items()],
        )
        self._connection.executemany(
            "INSERT INTO segments VALUES (?, ?, ?, ?)",
            [(s.id, s.images, s.features, json.dumps(s.files)) for s in segments],
        )
        # Bytes cast to text: the one way to store a file name that is not UTF-8 as it is.
        places = ["CAST(? AS TEXT)"] * 2 + ["?"] * (len(_COLUMNS) - 2)
        self._connection.executemany(
            f"INSERT INTO images VALUES ({', '.join(places)})",
            [_stored(image) for image in images],
        )
        self.meta = {"format": FORMAT, **meta}

    def put(self, meta: dict[str, Any]) -> None:
        """Set some of the values of `meta`; for use inside `transaction`."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO meta VALUES (?, ?)",
            [(key, json.dumps(value)) for key, value in meta.items()],
        )
        self.meta |= meta

    def get(self, key: str) -> Any:
        """Return a value of `meta` as it is now; None where there is none."""
        rows = self._rows(f"SELECT value FROM meta WHERE key = '{key}'")
        return json.loads(rows[0][0]) if rows else None

    def _rows(self, query: str) -> list[Any]:
        try:
            return self._connection.execute(query).fetchall()
        except sqlite3.Error as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> FormatError:
        return FormatError(
            f"{self._folder / FILE} is damaged ({error}): index the images again with `bovw index`"
        )


def _stored(image: ImageRow) -> tuple[Any, ...]:
    values = [getattr(image, column) for column in _COLUMNS]
    values[:2] = (value.encode("utf-8", "surrogateescape") for value in values[:2])
    return tuple(values)
