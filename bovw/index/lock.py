"""The writer's lock on an index's folder, which ends with the process that holds it."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bovw.compute.files import open_regular, replace_file
from bovw.compute.text import one_line
from bovw.errors import BovwError
from bovw.index.database import check_lock_file

# It stores nothing. SQLite locks it on every system, and the system unlocks it for a dead process.
LOCK_FILE = "lock.sqlite"
# Who holds the lock, for people only: a stale one means nothing.
NOTE_FILE = "writer.json"
# Files that locking may leave in a folder.
FILES = (LOCK_FILE, f"{LOCK_FILE}-journal", NOTE_FILE)

_NOTE_BYTES = 4096
# Seconds between two tries for a lock.
_PAUSE = 0.2
# Seconds to wait for a lock, and what is told why.
_patience: ContextVar[tuple[float, Callable[[str], object]]] = ContextVar(
    "patience", default=(0.0, lambda text: None)
)


@contextmanager
def waiting(seconds: float, tell: Callable[[str], object] = lambda text: None) -> Iterator[None]:
    """Let every lock that is taken inside wait this long for a writer that is busy.

    tell  hears once, for each lock, who is being waited for
    """
    token = _patience.set((seconds, tell))
    try:
        yield
    finally:
        _patience.reset(token)


class WriterLock:
    """The right to write to the index in `folder`, for one object of one process at a time.

    Readers need no lock. Never open LOCK_FILE in any other way: on POSIX systems, a process that
    closes any handle of a file gives up all its locks on that file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder)
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def acquire(self) -> None:
        """Take the lock, or raise BovwError; inside `waiting`, wait for it first.

        The folder must exist. The error says who holds the lock, or why it cannot be written to.
        Raises FormatError if the lock's file is not what bovw makes.
        """
        if self._connection is not None:
            raise self._taken()
        seconds, tell = _patience.get()
        until = time.monotonic() + seconds
        connection = self._lock()
        if connection is None and seconds:
            tell(f"waiting for {_holder(self._folder)}, which is writing {self._folder}")
        while connection is None and time.monotonic() < until:
            time.sleep(_PAUSE)
            connection = self._lock()
        if connection is None:
            raise self._taken()
        try:
            _write_note(self._folder)
        except BaseException as error:
            connection.close()
            if isinstance(error, OSError):
                raise self._unwritable(error) from error
            raise
        self._connection = connection

    def release(self) -> None:
        """Release the lock; does nothing if it is not held."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            # Before unlocking, to never remove the next writer's note.
            (self._folder / NOTE_FILE).unlink(missing_ok=True)
        except OSError:
            pass  # a stale note does no harm
        finally:
            connection.close()

    def _lock(self) -> sqlite3.Connection | None:
        """Lock the file; return None if somebody else holds it."""
        path = self._folder / LOCK_FILE
        check_lock_file(path)
        try:
            connection = sqlite3.connect(
                path, timeout=0, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise self._unwritable(error) from error
        try:
            connection.execute("BEGIN EXCLUSIVE")
            # SQLite opens a read-only file without an error, and then locks nothing.
            if not os.access(path, os.W_OK):
                raise PermissionError(f"{LOCK_FILE} is read-only")
        except (sqlite3.Error, OSError) as error:
            connection.close()
            if _is_busy(error):
                return None
            raise self._unwritable(error) from error
        return connection

    def _taken(self) -> BovwError:
        return BovwError(
            f"{self._folder} is being written by {_holder(self._folder)}: wait until it is done, "
            "or end that process"
        )

    def _unwritable(self, error: Exception) -> BovwError:
        return BovwError(
            f"cannot write to {self._folder} ({error}): check the disk and permissions"
        )


def _is_busy(error: Exception) -> bool:
    # The low byte is the kind of error, the rest its details.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _write_note(folder: Path) -> None:
    note = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "started": time.time(),
        "command": _command(),
    }
    replace_file(folder / NOTE_FILE, json.dumps(note).encode())


def _command() -> str:
    """Return this process's command and sub-command, without other arguments."""
    program, *arguments = sys.argv or [""]
    path = Path(program)
    name = path.parent.name if path.name == "__main__.py" else path.name
    return " ".join([name or "python", *(a for a in arguments[:1] if not a.startswith("-"))])


def _holder(folder: Path) -> str:
    """Describe the lock's holder, if its note can be read."""
    try:
        with open_regular(folder / NOTE_FILE) as file:
            note: dict[str, Any] = json.loads(file.read(_NOTE_BYTES))
        age = _age(time.time() - float(note["started"]))
        process, host = int(note["pid"]), one_line(note["host"])[:80]
        return f"process {process} on {host} for {age} ({one_line(note['command'])[:80]})"
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return "another process"


def _age(seconds: float) -> str:
    """Return a time span in its largest whole unit."""
    left, unit = max(0, int(seconds)), "second"
    for larger, count in (("minute", 60), ("hour", 60), ("day", 24)):
        if left < count:
            break
        left, unit = left // count, larger
    return f"{left} {unit}{'' if left == 1 else 's'}"
