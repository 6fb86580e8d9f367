"""The catalog: an index's one commit point, in SQLite."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bovw.compute.files import is_regular, sync_folder, unreadable
from bovw.compute.values import parse_json, record, whole
from bovw.errors import BovwError, FormatError, check_not_newer
from bovw.index.database import Database
from bovw.index.rows import COLUMNS, META, ImageRow, SegmentRow, image_row, segment_row

FORMAT = 4
FILE = "catalog.sqlite"
# A copy of it, which is to become it together with those of other shards.
STAGED = "catalog.staged.sqlite"
# What SQLite says of a file that is there and whole.
_NOT_DAMAGE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}

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


class Catalog:
    """One connection to an index's catalog."""

    def __init__(self, folder: Path, writer: bool = False, file: str = FILE) -> None:
        """Open the catalog of the index in `folder`; its format is checked first.

        writer  whether the caller holds the index's lock; the catalog need not exist
        file    its name: FILE, or STAGED for what the next commit of all shards makes of it

        Raises FormatError if it is missing, damaged or of a newer format, BovwError if it cannot
        be read.
        """
        self._folder, self._path = folder, folder / file
        if not writer and not os.path.lexists(self._path):
            raise no_index(folder)
        try:
            self._database = Database(self._path, _SCHEMA, writer)
        except sqlite3.Error as error:
            raise self._failed(error) from error
        except OSError as error:
            raise unreadable(self._path, error) from error
        try:
            self.meta = self._read_meta()
        except BaseException:
            self.close()
            raise

    def _read_meta(self) -> dict[str, Any]:
        """Return the catalog's meta, checked; empty if there was no commit."""
        # A first commit that was killed leaves a file without tables.
        rows = [] if self._database.is_empty else self._rows("SELECT key, value FROM meta")
        try:
            meta = {key: parse_json(value) for key, value in rows}
            if not meta:
                return {}
            # A later format may have other values.
            record({"format": whole(1)})(meta)
            check_not_newer(self._folder, "index format", meta["format"], FORMAT)
            if meta["format"] < FORMAT:
                raise FormatError(
                    f"{self._folder} has index format {meta['format']}, which this bovw does not "
                    "read any more: delete the folder and index the images again"
                )
            META(meta)
            if not meta["fingerprint"].startswith(meta["vocabulary"].partition("-")[2]):
                raise ValueError("its vocabulary is not named after its fingerprint")
        except (TypeError, ValueError) as error:
            raise self._damaged(error) from error
        return meta

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def segments(self) -> list[SegmentRow]:
        """Return the live segments, oldest first."""
        rows = self._rows("SELECT id, images, features, files FROM segments ORDER BY id")
        try:
            return [segment_row(row) for row in rows]
        except ValueError as error:
            raise self._damaged(error) from error

    def images(self) -> list[ImageRow]:
        """Return every image, skipped ones too, by name."""
        rows = self._rows(f"SELECT {', '.join(COLUMNS)} FROM images ORDER BY name")
        try:
            return [image_row(row) for row in rows]
        except ValueError as error:
            raise self._damaged(error) from error

    def skipped(self) -> int:
        """Return how many images cannot be used."""
        [(count,)] = self._rows("SELECT count(*) FROM images WHERE status != 'ok'")
        return int(count)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all changes made inside at once, or none of them.

        Raises FormatError if the catalog cannot be written.
        """
        self._database.trust()
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
                f"cannot write to {self._path} ({error}): check the disk and permissions"
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
        places = ["CAST(? AS TEXT)"] * 2 + ["?"] * (len(COLUMNS) - 2)
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
            f"SELECT {', '.join(COLUMNS)} FROM images ORDER BY name",
        ):
            for row in self._connection.execute(query):
                digest.update(repr(row).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def problems(self) -> list[str]:
        """Return the problems of the catalog's file and of its content."""
        try:
            found = [str(row[0]) for row in self._database.rows("PRAGMA integrity_check")]
            if found == ["ok"]:
                same = self.digest() == self.meta.get("digest")
                found = [] if same else ["its content is not what was written"]
        except sqlite3.Error as error:
            found = [str(error)]
        return [f"{self._path} is damaged: {one}" for one in found]

    @property
    def _connection(self) -> sqlite3.Connection:
        return self._database.connection

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        try:
            return list(self._database.rows(query))
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: sqlite3.Error) -> BovwError:
        """Return the error for what SQLite says: damage, or what keeps it from reading."""
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _NOT_DAMAGE:
            return BovwError(
                f"cannot read {self._path} ({error}): check permissions, the disk and "
                "the system's limits"
            )
        return self._damaged(error)

    def _damaged(self, error: Exception) -> FormatError:
        return FormatError(
            f"{self._path} is damaged ({error}): delete the folder and index the images again"
        )


def read_meta(folder: Path) -> dict[str, Any]:
    """Return the meta of the index in `folder`, empty if there is no index.

    Raises FormatError if it cannot be read.
    """
    if not os.path.lexists(folder / FILE):
        return {}
    catalog = Catalog(folder)
    catalog.close()
    return catalog.meta


def stage(folder: Path) -> str:
    """Copy the catalog of an index whose lock the caller holds; return the copy's name."""
    drop_staged(folder)
    shutil.copyfile(folder / FILE, folder / STAGED)
    sync_folder(folder)
    return STAGED


def drop_staged(folder: Path) -> None:
    """Remove a staged catalog, and what a killed writer left beside it."""
    for name in (f"{STAGED}-journal", STAGED):
        (folder / name).unlink(missing_ok=True)


def take_staged(folder: Path) -> None:
    """Make a staged catalog, if there is one, that of the index whose lock the caller holds."""
    if is_regular(folder / STAGED):
        (folder / STAGED).replace(folder / FILE)
        sync_folder(folder)


def no_index(folder: Path) -> FormatError:
    """Return the error for a folder without a catalog, or with an empty one."""
    return FormatError(
        f"there is no index in {folder}: make one with `bovw index DIR --index {folder}`"
        + (f" ({FILE} is missing or empty)" if (folder / "segments").is_dir() else "")
    )


def _stored(image: ImageRow) -> tuple[Any, ...]:
    values = [getattr(image, column) for column in COLUMNS]
    values[:2] = (_bytes(value) for value in values[:2])
    return tuple(values)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
