"""One writer at a time, whatever becomes of the one before."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bovw.errors import BovwError
from bovw.index import lock
from bovw.index.lock import FILES, LOCK_FILE, NOTE_FILE, WriterLock, waiting

pytestmark = pytest.mark.slow

HOLD = """
import sys
from pathlib import Path
from bovw.index.lock import WriterLock
sys.argv = ["/usr/bin/bovw", "index", "secret"]
with WriterLock(Path({folder!r})):
    print("held", flush=True)
    sys.stdin.read()
"""
TRY = """
from pathlib import Path
from bovw.errors import BovwError
from bovw.index.lock import WriterLock
try:
    WriterLock(Path({folder!r})).acquire()
except BovwError as error:
    print(error)
"""
NO_ROOT = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)


@contextmanager
def held_by_a_child(folder: Path) -> Iterator[subprocess.Popen[str]]:
    script = HOLD.format(folder=str(folder))
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "held\n"
            yield child
        finally:
            child.kill()


def refusal(folder: Path) -> str:
    with pytest.raises(BovwError) as caught:
        WriterLock(folder).acquire()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change_note(folder: Path, **values: object) -> None:
    note = json.loads((folder / NOTE_FILE).read_text())
    (folder / NOTE_FILE).write_text(json.dumps(note | values))


def test_the_message_says_who_writes(tmp_path: Path) -> None:
    with held_by_a_child(tmp_path) as child:
        message = refusal(tmp_path)
        who = f"{tmp_path} is being written by process {child.pid} on {socket.gethostname()} for "
        assert message.startswith(who)
        assert "(bovw index): wait until it is done" in message
        change_note(tmp_path, started=time.time() - 190)
        assert " for 3 minutes (bovw index)" in refusal(tmp_path)


def test_a_child_that_ends_gives_the_lock_back(tmp_path: Path) -> None:
    with held_by_a_child(tmp_path) as child:
        child.communicate("done")
        assert child.returncode == 0
        assert not (tmp_path / NOTE_FILE).exists()
        WriterLock(tmp_path).acquire()


def test_a_killed_child_leaves_no_lock(tmp_path: Path) -> None:
    with held_by_a_child(tmp_path) as child:
        child.kill()
        child.wait()
        assert (tmp_path / NOTE_FILE).exists()
        with WriterLock(tmp_path):
            assert f"process {os.getpid()} on" in refusal(tmp_path)
    assert not (tmp_path / NOTE_FILE).exists()


def test_this_process_keeps_others_out(tmp_path: Path) -> None:
    with WriterLock(tmp_path):
        refusal(tmp_path)
        # What was refused here has not given up what is held here.
        script = TRY.format(folder=str(tmp_path))
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert f"process {os.getpid()} on" in done.stdout


def test_two_objects_in_one_process(tmp_path: Path) -> None:
    first, second = WriterLock(tmp_path), WriterLock(tmp_path)
    with first:
        for other in (first, second):
            with pytest.raises(BovwError, match=f"process {os.getpid()} on"):
                other.acquire()
        second.release()
        assert (tmp_path / NOTE_FILE).exists()
    with second, pytest.raises(BovwError, match="is being written"):
        first.acquire()


def test_an_exception_releases_it(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), WriterLock(tmp_path):
        raise KeyboardInterrupt
    with WriterLock(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [LOCK_FILE]


def test_release_without_the_lock_does_nothing(tmp_path: Path) -> None:
    WriterLock(tmp_path).release()
    with WriterLock(tmp_path) as held:
        held.release()
        WriterLock(tmp_path).acquire()


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b"{}",
        b"[" * 5000,
        b'{"pid": "x", "host": 1, "started": 0, "command": 2}',
        b'{"pid": 1, "host": "a", "started": NaN, "command": "b"}',
        b'{"pid": 1, "host": "a", "started": -Infinity, "command": "b"}',
    ],
)
def test_garbage_in_the_note_does_no_harm(tmp_path: Path, note: bytes) -> None:
    (tmp_path / NOTE_FILE).write_bytes(note)
    with WriterLock(tmp_path):
        (tmp_path / NOTE_FILE).write_bytes(note)
        assert "is being written by another process: wait" in refusal(tmp_path)


def test_a_note_cannot_break_the_line(tmp_path: Path) -> None:
    with WriterLock(tmp_path):
        change_note(tmp_path, host="a\nb\x1b[2J", command="x" * 3000, started=9e99)
        assert len(refusal(tmp_path)) < 400
        (tmp_path / NOTE_FILE).unlink()
        assert "another process" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 seconds"),
        (1.9, "1 second"),
        (59, "59 seconds"),
        (60, "1 minute"),
        (7199, "1 hour"),
        (2 * 86400, "2 days"),
    ],
)
def test_ages(seconds: float, text: str) -> None:
    assert lock._age(seconds) == text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["/usr/bin/bovw", "index", "DIR"], "bovw index"),
        (["/lib/bovw/__main__.py", "link"], "bovw link"),
        (["bovw", "--help"], "bovw"),
        ([""], "python"),
        ([], "python"),
    ],
)
def test_commands(monkeypatch: pytest.MonkeyPatch, arguments: list[str], text: str) -> None:
    monkeypatch.setattr(sys, "argv", arguments)
    assert lock._command() == text


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    assert "cannot write to" in refusal(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("content", [b"not a database" * 100, None])
def test_a_lock_file_that_is_none_is_told(tmp_path: Path, content: bytes | None) -> None:
    if content is None:
        (tmp_path / LOCK_FILE).mkdir()
    else:
        (tmp_path / LOCK_FILE).write_bytes(content)
    assert f"{LOCK_FILE} is not what bovw writes there" in refusal(tmp_path)


def test_a_full_disk_is_told_and_leaves_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    assert "No space left on device" in refusal(tmp_path)
    monkeypatch.undo()
    with WriterLock(tmp_path):
        pass


@NO_ROOT
@pytest.mark.parametrize("before", [False, True])
def test_a_read_only_folder_is_told(tmp_path: Path, before: bool) -> None:
    if before:
        with WriterLock(tmp_path):
            pass
    tmp_path.chmod(0o500)
    try:
        assert "check the disk and permissions" in refusal(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_a_read_only_lock_file_locks_nothing_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "read-only" in refusal(tmp_path)


def test_the_lock_is_what_sqlite_says(tmp_path: Path) -> None:
    with (
        WriterLock(tmp_path),
        closing(sqlite3.connect(tmp_path / LOCK_FILE, timeout=0)) as other,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        other.execute("SELECT * FROM sqlite_master")
    assert {path.name for path in tmp_path.iterdir()} <= set(FILES)


def test_a_busy_writer_is_waited_for(tmp_path: Path) -> None:
    told: list[str] = []
    with held_by_a_child(tmp_path) as child:
        started = time.monotonic()
        with waiting(0.5, told.append), pytest.raises(BovwError, match="is being written by"):
            WriterLock(tmp_path).acquire()
        assert time.monotonic() - started >= 0.5
        assert len(told) == 1 and f"waiting for process {child.pid}" in told[0]
        threading.Timer(0.3, child.kill).start()
        with waiting(20), WriterLock(tmp_path):
            pass
    lock = WriterLock(tmp_path)
    with lock, waiting(20), pytest.raises(BovwError, match="is being written by"):
        lock.acquire()  # waiting for oneself would never end
