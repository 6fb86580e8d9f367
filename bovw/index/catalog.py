"""The catalog: an index's one commit point, in SQLite."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bovw.errors import FormatError, check_not_newer

FORMAT = 4
FILE = "catalog.sqlite"
# Seconds to wait for another process's commit.
PATIENCE = 60.0

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
    """The catalog's row of an image.

    name      path below `folder`, with forward slashes
    folder    absolute path of the folder given
    size      bytes of the file; None, like the next two, if it could not be read
    mtime     of the file in nanoseconds
    sha256    of the file
    width, height  of the upright image in pixels, 0 if it could not be decoded
    features  how many are indexed
    status    "ok" or "skipped"
    reason    why it was skipped
    segment, number  the place of its postings
    """

    name: str
    folder: str
    size: int | None = None
    mtime: int | None = None
    sha256: str | None = None
    width: int = 0
    height: int = 0
    features: int = 0
    status: str = "ok"
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
_KEYS |= {"statistics_files", "names_files", "vocabulary_files", "digest"}
_COLUMNS = tuple(ImageRow.__dataclass_fields__)


class Catalog:
    """One connection to an index's catalog."""

    def __init__(self, folder: Path, create: bool = False) -> None:
        """Open the catalog of the index in `folder`; its format is checked first.

        Raises FormatError if it is missing, damaged or of a newer format.
        """
        self._folder = folder
        path = folder / FILE
        if not create and not path.is_file():
            raise no_index(folder)
        # Readers open it for writing, too: they may have to roll back a killed writer's commit.
        address = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
        try:
            self._connection = sqlite3.connect(
                address, uri=True, timeout=PATIENCE, isolation_level=None
            )
        except sqlite3.Error as error:
            raise self._damaged(error) from error
        try:
            self.meta = self._begin(create)
            self._check_format()
        except BaseException:
            self.close()
            raise

    def _begin(self, create: bool) -> dict[str, Any]:
        """Prepare the connection, and return the catalog's meta."""
        # File names are bytes: those that are not UTF-8 become Python's surrogate escapes.
        self._connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        try:
            # An index may come from anyone.
            self._connection.execute("PRAGMA trusted_schema = OFF")
            if not create:
                # All reads until `close` see one commit.
                self._connection.execute("BEGIN")
            # A first commit that was killed leaves a file without tables.
            tables = self._rows("SELECT name FROM sqlite_master")
            rows = self._rows("SELECT key, value FROM meta") if tables else []
            return {key: json.loads(value) for key, value in rows}
        except (sqlite3.Error, ValueError) as error:
            raise self._damaged(error) from error

    def _check_format(self) -> None:
        version = self.meta.get("format", FORMAT)
        if not isinstance(version, int):
            raise self._damaged(ValueError(f"format {version!r}"))
        check_not_newer(self._folder, "index format", version, FORMAT)
        if version < FORMAT:
            raise FormatError(
                f"{self._folder} has index format {version}, which this bovw does not read any "
                "more: delete the folder and index the images again"
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
        """Commit all changes made inside at once, or none of them.

        Raises FormatError if the catalog cannot be written.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for statement in _SCHEMA.split(";"):
                    self._connection.execute(statement)
                yield
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise FormatError(
                f"cannot write to {self._folder / FILE} ({error}): check the disk and permissions"
            ) from error

    def put_meta(self, meta: dict[str, Any]) -> None:
        """Replace the values of `meta`; for use inside `transaction`."""
        self._connection.execute("DELETE FROM meta")
        self._connection.executemany(
            "INSERT INTO meta VALUES (?, ?)",
            [(key, json.dumps(value)) for key, value in {"format": FORMAT, **meta}.items()],
        )
        self.meta = {"format": FORMAT, **meta}

    def put_segments(self, segments: Iterable[SegmentRow]) -> None:
        """Replace the list of live segments; for use inside `transaction`."""
        self._connection.execute("DELETE FROM segments")
        self._connection.executemany(
            "INSERT INTO segments VALUES (?, ?, ?, ?)",
            [(s.id, s.images, s.features, json.dumps(s.files)) for s in segments],
        )

    def put_images(self, gone: Iterable[str], images: Iterable[ImageRow]) -> None:
        """Remove images by name, then add or replace others; for use inside `transaction`."""
        # Bytes cast to text are the only way to store a file name that is not UTF-8.
        self._connection.executemany(
            "DELETE FROM images WHERE name = CAST(? AS TEXT)",
            [(_bytes(name),) for name in gone],
        )
        places = ["CAST(? AS TEXT)"] * 2 + ["?"] * (len(_COLUMNS) - 2)
        self._connection.executemany(
            f"INSERT OR REPLACE INTO images VALUES ({', '.join(places)})",
            [_stored(image) for image in images],
        )

    def write_digest(self) -> None:
        """Store the digest of the catalog's content; for use at the end of a `transaction`."""
        self._connection.execute(
            "INSERT INTO meta VALUES ('digest', ?)", [json.dumps(self.digest())]
        )
        self.meta["digest"] = self.digest()

    def digest(self) -> str:
        """Return the SHA-256 of every row of every table, except the digest itself."""
        digest = hashlib.sha256()
        for query in (
            "SELECT key, value FROM meta WHERE key != 'digest' ORDER BY key",
            "SELECT * FROM segments ORDER BY id",
            f"SELECT {', '.join(_COLUMNS)} FROM images ORDER BY name",
        ):
            for row in self._connection.execute(query):
                digest.update(repr(row).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def problems(self) -> list[str]:
        """Return the problems of the catalog's file and of its content."""
        try:
            found = [row[0] for row in self._rows("PRAGMA integrity_check")]
            if found == ["ok"]:
                same = self.digest() == self.meta.get("digest")
                found = [] if same else ["its content is not what was written"]
        except sqlite3.Error as error:
            found = [str(error)]
        return [f"{self._folder / FILE} is damaged: {one}" for one in found]

    def _rows(self, query: str) -> list[Any]:
        try:
            return self._connection.execute(query).fetchall()
        except sqlite3.Error as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> FormatError:
        return FormatError(
            f"{self._folder / FILE} is damaged ({error}): delete the folder and index the images "
            "again"
        )


def read_meta(folder: Path) -> dict[str, Any]:
    """Return the meta of the index in `folder`, empty if there is no index.

    Raises FormatError if it cannot be read.
    """
    if not (folder / FILE).is_file():
        return {}
    catalog = Catalog(folder)
    catalog.close()
    return catalog.meta


def no_index(folder: Path) -> FormatError:
    """Return the error for a folder without a catalog, or with an empty one."""
    return FormatError(
        f"there is no index in {folder}: make one with `bovw index DIR --index {folder}`"
        + (f" ({FILE} is missing or empty)" if (folder / "segments").is_dir() else "")
    )


def _stored(image: ImageRow) -> tuple[Any, ...]:
    values = [getattr(image, column) for column in _COLUMNS]
    values[:2] = (_bytes(value) for value in values[:2])
    return tuple(values)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
