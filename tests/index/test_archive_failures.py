"""A disk that fails and a process that is killed leave no half of an archive or of an index."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bovw.errors import BovwError, FormatError
from bovw.index import lock
from bovw.index.archive import export_index, import_index

# A disk that fails


def fail(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def after(calls: int, function: Callable[..., object]) -> Callable[..., object]:
    """Let a function fail from a certain call on."""
    left = iter(range(calls))

    def limited(*arguments: object, **named: object) -> object:
        if next(left, None) is None:
            fail()
        return function(*arguments, **named)

    return limited


@pytest.mark.parametrize("calls", [0, 3, 9])
def test_a_full_disk_leaves_no_archive(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    monkeypatch.setattr(shutil, "copyfileobj", after(calls, shutil.copyfileobj))
    with pytest.raises(BovwError, match=r"cannot write .*index\.zip .*No space left"):
        export_index(original, tmp_path / "index.zip")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_an_archive_that_cannot_be_finished(
    original: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    file = Path(shutil.copy(exported, tmp_path / "index.zip"))
    if name == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        replace = Path.replace
        monkeypatch.setattr(
            Path, "replace", lambda *a: fail() if a[1].suffix == ".zip" else replace(*a)
        )
    with pytest.raises(BovwError, match="No space left"):
        export_index(original, file)
    assert [path.name for path in tmp_path.iterdir()] == ["index.zip"]
    assert file.read_bytes() == exported.read_bytes()
    monkeypatch.undo()
    with lock.WriterLock(original):
        pass


def test_a_missing_folder_for_the_archive_is_told(original: Path, tmp_path: Path) -> None:
    with pytest.raises(BovwError, match="cannot write"):
        export_index(original, tmp_path / "missing" / "index.zip")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("calls", [0, 1, 5, 12])
def test_a_full_disk_leaves_no_index(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    monkeypatch.setattr(shutil, "copyfileobj", after(calls, shutil.copyfileobj))
    with pytest.raises(BovwError, match=r"cannot unpack .*index\.zip to .*No space left") as caught:
        import_index(exported, tmp_path / "index")
    assert not isinstance(caught.value, FormatError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["fsync", "mkdir", "rename"])
def test_an_import_that_cannot_be_finished(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(*((os, name, fail) if name == "fsync" else (Path, name, fail)))
    with pytest.raises(BovwError, match="No space left"):
        import_index(exported, tmp_path / "index")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


# What a kill leaves

KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from bovw.index import archive
copy, left = shutil.copyfileobj, iter(range(4))
def killed(*arguments):
    if next(left, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
    return copy(*arguments)
shutil.copyfileobj = killed
getattr(archive, sys.argv[1])(Path(sys.argv[2]), Path(sys.argv[3]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["export_index", "import_index"])
def test_the_next_one_clears_up_after_a_kill(
    original: Path, exported: Path, tmp_path: Path, name: str
) -> None:
    first, last = (
        (original, tmp_path / "result.zip")
        if name == "export_index"
        else (exported, tmp_path / "result")
    )
    command = [sys.executable, "-c", KILLED, name, str(first), str(last)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert not last.exists()
    assert len(list(tmp_path.iterdir())) == 1
    kept = tmp_path / f".{last.name}.backup"
    kept.mkdir()
    {"export_index": export_index, "import_index": import_index}[name](first, last)
    assert set(tmp_path.iterdir()) == {last, kept}
