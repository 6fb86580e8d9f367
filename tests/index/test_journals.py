"""What lies beside a catalog never makes a reader change a file."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bovw.errors import FormatError
from bovw.index import Index, IndexWriter
from bovw.index.catalog import FILE
from bovw.index.integrity import find_problems
from bovw.index.lock import LOCK_FILE, WriterLock

JOURNAL = f"{FILE}-journal"
MAGIC = bytes.fromhex("d9d505f920a163d7")
KILLED = """
import os, signal, sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("PRAGMA cache_size = 1")
c.execute("BEGIN IMMEDIATE")
c.execute("DELETE FROM images")
c.execute("CREATE TABLE junk AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
          "SELECT i + 1 FROM n WHERE i < 2000) SELECT i, randomblob(400) FROM n")
os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_a_commit(folder: Path) -> None:
    """Leave what a writer leaves that is killed while SQLite writes its commit."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder / FILE)])
    assert done.returncode == -signal.SIGKILL
    assert (folder / JOURNAL).stat().st_size


def name_another(journal: Path, victim: Path) -> None:
    """Make a journal name `victim` as its super-journal, which SQLite removes after a rollback."""
    name = os.fsencode(victim)
    place = 2**30 // 4096 + 1
    end = struct.pack(">I", place) + name
    end += struct.pack(">II", len(name), sum(name)) + MAGIC
    with journal.open("ab") as file:
        file.write(end)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "thesis.txt"
    path.write_text("years of work")
    return path


def test_a_reader_sees_the_last_commit_and_changes_nothing(folder: Path) -> None:
    names = list(Index.open(folder).names)
    kill_a_commit(folder)
    before = files(folder)
    assert list(Index.open(folder).names) == names
    assert [row.name for row in Index.open(folder).images()] == names
    assert files(folder) == before


def test_a_writer_drops_the_killed_commit(folder: Path) -> None:
    kill_a_commit(folder)
    with IndexWriter.open(folder) as writer:
        writer.remove("a.jpg")
        writer.commit()
    assert not (folder / JOURNAL).exists()
    assert [row.name for row in Index.open(folder).images()] == ["b.jpg", "c.jpg"]
    assert find_problems(folder) == []


@pytest.mark.parametrize("use", [Index.open, find_problems, IndexWriter.open])
def test_a_journal_that_names_a_file_is_refused(
    folder: Path, victim: Path, use: Callable[[Path], object]
) -> None:
    kill_a_commit(folder)
    name_another(folder / JOURNAL, victim)
    with pytest.raises(FormatError, match=f"{JOURNAL} is not what bovw writes there"):
        use(folder)
    assert victim.read_text() == "years of work"


@pytest.mark.parametrize("use", [Index.open, find_problems, IndexWriter.open])
@pytest.mark.parametrize("kind", ["wal", "shm", "journal"])
def test_a_link_beside_the_catalog_is_refused(
    folder: Path, victim: Path, use: Callable[[Path], object], kind: str
) -> None:
    (folder / f"{FILE}-{kind}").symlink_to(victim)
    with pytest.raises(FormatError, match="is not what bovw writes there"):
        use(folder)
    assert victim.read_text() == "years of work"


@pytest.mark.parametrize("name", [FILE, JOURNAL])
def test_a_pipe_does_not_hang_a_reader(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(FormatError, match="is not what bovw writes there"):
        Index.open(folder)


def test_a_catalog_with_a_log_of_its_own_is_refused(folder: Path) -> None:
    script = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA journal_mode=WAL')"
    subprocess.run([sys.executable, "-c", script, str(folder / FILE)], check=True)
    with pytest.raises(FormatError, match="journal of another kind"):
        Index.open(folder)


def test_the_lock_is_an_empty_file_or_none(folder: Path, victim: Path) -> None:
    (folder / LOCK_FILE).write_bytes((folder / FILE).read_bytes())
    with pytest.raises(FormatError, match=f"{LOCK_FILE} is not what bovw writes there"):
        WriterLock(folder).acquire()
    (folder / LOCK_FILE).unlink()
    (folder / LOCK_FILE).symlink_to(victim)
    with pytest.raises(FormatError, match=f"{LOCK_FILE} is not what bovw writes there"):
        WriterLock(folder).acquire()
    assert victim.read_text() == "years of work"
