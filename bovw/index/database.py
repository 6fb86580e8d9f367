"""Opens SQLite files that may come from anyone.

A journal beside a database makes SQLite write to it and remove files that the journal names. So a
reader never follows one; the writer, who holds the lock, follows only what its own kind leaves.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from stat import S_ISREG
from tempfile import TemporaryDirectory
from typing import Any

from bovw.compute.files import open_regular
from bovw.errors import FormatError

# Seconds to wait for another process's commit.
PATIENCE = 60.0
# Where a journal names another one, it ends with this; see "The super-journal" in SQLite's docs.
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
# Steps of SQLite's machine that reading a database of no size may take, and a byte of it. Reading
# all rows takes half a step a byte.
_STEPS, _STEPS_A_BYTE = 10_000_000, 10
_STEPS_AT_ONCE = 100_000
# Bytes that a value may have in a small database.
_VALUE = 1_000_000


class Database:
    """One connection to a SQLite file.

    A reader's changes nothing on disk. If a killed writer left a commit unfinished, a reader looks
    at a copy, without the commit.
    """

    def __init__(self, path: Path, schema: str, writer: bool = False) -> None:
        """Connect to `path`.

        schema  statements that create the tables; the file has exactly these, or nothing
        writer  whether the caller holds the lock, and may write; the file need not exist

        Raises FormatError if the file or one beside it is not bovw's, sqlite3.Error if SQLite
        fails.
        """
        self._path, self._schema = path, schema
        self._copy: TemporaryDirectory[str] | None = None
        _check_beside(path)
        if writer:
            _check_journal(path)
        while True:
            try:
                self._open(path, "rwc" if writer else "ro")
                return
            except sqlite3.Error as error:
                self.close()
                if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_READONLY_ROLLBACK:
                    raise
            if copy := self._copied():
                self._open(copy, "rw")
                return

    def _open(self, path: Path, mode: str) -> None:
        self.connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=PATIENCE,
            isolation_level=None,
        )
        # File names are bytes: those that are not UTF-8 become Python's surrogate escapes.
        self.connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        size = path.stat().st_size
        self._most = min(_VALUE + 2 * size, 2**31 - 1)
        self._steps = _STEPS + _STEPS_A_BYTE * size
        self.connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, self._most)
        self.connection.set_progress_handler(self._spend, _STEPS_AT_ONCE)
        self.connection.execute("PRAGMA trusted_schema = OFF")
        if mode != "rwc":
            self.connection.execute("PRAGMA query_only = ON")
            # All reads until `close` see one commit.
            self.connection.execute("BEGIN")
        self._check_schema()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()
        if self._copy:
            self._copy.cleanup()

    def trust(self) -> None:
        """Lift the limits of reading; for a writer that has read everything."""
        self.connection.set_progress_handler(None, 0)
        self.connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 2**30)

    def rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query that reads each row of a table once.

        Raises sqlite3.Error, also if there are more than a file of this size can hold.
        """
        left = self._most
        for row in self.connection.execute(query):
            left -= len(row) + sum(len(value) for value in row if isinstance(value, str | bytes))
            if left < 0:
                raise sqlite3.DatabaseError("its tables hold more than the file")
            yield row

    def _check_schema(self) -> None:
        """Raise sqlite3.DatabaseError for a view, a trigger, or any other table."""
        if self.connection.execute("PRAGMA journal_mode").fetchone() != ("delete",):
            raise sqlite3.DatabaseError("it has a journal of another kind")
        found = set(self.rows("SELECT type, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        wanted = {("table", one) for one in _normal(self._schema.split(";")) if one}
        if found and {(kind, *_normal([sql])) for kind, sql in found} != wanted:
            raise sqlite3.DatabaseError("its tables are not those of an index")
        self.is_empty = not found

    def _spend(self) -> bool:
        """Return whether to stop, because the file cannot hold that much work."""
        self._steps -= _STEPS_AT_ONCE
        return self._steps < 0

    def _copied(self) -> Path | None:
        """Copy the file and its journal, left by a killed commit; None if a writer has come."""
        _check_journal(self._path)
        journal = _beside(self._path, "journal")
        self._copy = TemporaryDirectory(prefix="bovw-")
        try:
            before = journal.stat()
            for path in (journal, self._path):
                copy = Path(self._copy.name) / path.name
                with open_regular(path) as source, copy.open("xb") as target:
                    shutil.copyfileobj(source, target)
            after = journal.stat()
        except FileNotFoundError:
            return None
        same = (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
        return Path(self._copy.name) / self._path.name if same else None


def check_lock_file(path: Path) -> None:
    """Raise FormatError unless a file of SQLite's that is only locked is empty, or missing.

    SQLite follows no journal of an empty file.
    """
    _check_beside(path)
    status = _status(path)
    if status and status.st_size:
        raise _foreign(path)


def _check_beside(path: Path) -> None:
    """Raise FormatError if a database, or what SQLite would find beside it, is not bovw's."""
    for one in (path, _beside(path, "journal")):
        status = _status(one)
        if status and not S_ISREG(status.st_mode):
            raise _foreign(one)
    # bovw never uses a write-ahead log. SQLite would replay any that it finds.
    for kind in ("wal", "shm"):
        if _status(_beside(path, kind)):
            raise _foreign(_beside(path, kind))


def _status(path: Path) -> os.stat_result | None:
    """Look once, as a writer's journal comes and goes."""
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _check_journal(path: Path) -> None:
    """Raise FormatError if a journal names another one, which SQLite would then remove."""
    journal = _beside(path, "journal")
    try:
        with open_regular(journal) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - len(_JOURNAL_MAGIC)))
            if file.read() == _JOURNAL_MAGIC:
                raise _foreign(journal)
    except FileNotFoundError:
        return


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f"{path.name}-{kind}")


def _foreign(path: Path) -> FormatError:
    return FormatError(
        f"{path} is not what bovw writes there: do not use this index unless you trust who made "
        "it; else remove that file"
    )


def _normal(statements: Iterable[str]) -> list[str]:
    return [
        " ".join(one.split()).replace("CREATE TABLE IF NOT EXISTS", "CREATE TABLE")
        for one in statements
    ]
