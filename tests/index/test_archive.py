"""An index as one file: the same comes back, or nothing does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bovw.errors import BovwError, FormatError, UsageError
from bovw.index import lock
from bovw.index.archive import export_index, import_index
from bovw.index.catalog import FILE
from bovw.index.index import Index
from tests.index.archives import content, packed
from tests.index.samples import written

# What comes back


def test_the_same_files_come_back(original: Path, exported: Path, tmp_path: Path) -> None:
    index = import_index(exported, tmp_path / "new" / "index")
    assert content(index.folder) == content(original)
    assert list(index.names) == list(Index.open(original).names)
    assert index.images() == Index.open(original).images()
    assert index.damaged_files() == []
    assert [path.name for path in index.folder.parent.iterdir()] == ["index"]
    assert not {path.name for path in index.folder.iterdir()} & set(lock.FILES)


def test_the_same_index_makes_the_same_archive(exported: Path, tmp_path: Path) -> None:
    index = import_index(exported, tmp_path / "index")
    os.utime(index.folder / FILE, (0, 0))
    export_index(index.folder, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == exported.read_bytes()


def test_any_zip_program_reads_it(original: Path, exported: Path) -> None:
    with zipfile.ZipFile(exported) as source:
        assert source.testzip() is None
        assert {i.compress_type for i in source.infolist()} == {zipfile.ZIP_STORED}
        assert {name: source.read(name) for name in source.namelist()} == content(original)


def test_an_empty_folder_is_filled(original: Path, exported: Path, tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    import_index(exported, tmp_path / "index")
    assert content(tmp_path / "index") == content(original)


def test_a_large_file_has_the_larger_header(
    original: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    export_index(original, tmp_path / "large.zip")
    monkeypatch.undo()
    assert (tmp_path / "large.zip").stat().st_size > exported.stat().st_size
    import_index(tmp_path / "large.zip", tmp_path / "index")
    assert content(tmp_path / "index") == content(original)


def test_what_is_no_part_of_the_index_stays(exported: Path, tmp_path: Path) -> None:
    index = import_index(exported, tmp_path / "index")
    for name in (".DS_Store", "notes.txt", f"{index.vocabulary_folder.name}/Thumbs.db"):
        (index.folder / name).write_text("stray")
    export_index(index.folder, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == exported.read_bytes()


def test_relative_paths(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    import_index(exported, Path("a/../index"))
    export_index(Path("index"), Path("index.zip"))
    assert Path("index.zip").read_bytes() == exported.read_bytes()


# What is there already


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_nothing_is_unpacked_over_something(exported: Path, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "index"
    if kind == "file":
        target.write_text("dear")
    elif kind == "folder":
        target.mkdir()
        (target / "letter.txt").write_text("dear")
    else:
        target.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="already exists: give another folder"):
        import_index(exported, target)
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_an_older_archive_is_replaced(original: Path, exported: Path, tmp_path: Path) -> None:
    written(tmp_path / "other", ["x.jpg"])
    file = Path(shutil.copy(exported, tmp_path / "index.zip"))
    index = import_index(file, tmp_path / "index")
    shutil.rmtree(index.folder / "names")
    with pytest.raises(FormatError, match="damaged"):
        export_index(index.folder, file)
    assert file.read_bytes() == exported.read_bytes()
    export_index(original, file)
    assert file.read_bytes() == exported.read_bytes()


@pytest.mark.parametrize("kind", ["text", "zip", "empty", "folder"])
def test_another_file_is_not_overwritten(original: Path, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "index.zip"
    if kind == "folder":
        file.mkdir()
    elif kind == "zip":
        packed(file, {"letter.txt": b"dear"})
    else:
        file.write_text("dear" if kind == "text" else "")
    before = None if kind == "folder" else file.read_bytes()
    with pytest.raises(UsageError, match="give another name"):
        export_index(original, file)
    assert before is None or file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["index.zip"]


# An index that cannot be exported


def test_no_index(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="there is no index in"):
        export_index(tmp_path / "index", tmp_path / "index.zip")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["changed", "missing"])
@pytest.mark.parametrize("pattern", ["gaps.npy", "weights.npy", "text.npy", "words.npy"])
def test_a_damaged_index_is_not_exported(
    exported: Path, tmp_path: Path, pattern: str, damage: str
) -> None:
    index = import_index(exported, tmp_path / "index")
    path = next(index.folder.rglob(pattern))
    del index
    data = path.read_bytes()
    path.unlink()
    if damage == "changed":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(FormatError, match=f"{pattern} is damaged"):
        export_index(tmp_path / "index", tmp_path / "index.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_no_export_while_another_writes(original: Path, tmp_path: Path) -> None:
    with (
        lock.WriterLock(original),
        pytest.raises(BovwError, match="is being written by process"),
    ):
        export_index(original, tmp_path / "index.zip")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_undone(exported: Path, tmp_path: Path) -> None:
    """A half-done commit is rolled back before the catalog is copied."""
    index = import_index(exported, tmp_path / "index")
    script = (
        "import os, signal, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA cache_size = 1')\n"
        "c.execute('BEGIN IMMEDIATE')\n"
        "c.execute('DELETE FROM images')\n"
        "c.execute('CREATE TABLE junk AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL '\n"
        "  'SELECT i + 1 FROM n WHERE i < 2000) SELECT i, randomblob(400) FROM n')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(index.folder / FILE)])
    assert done.returncode == -signal.SIGKILL
    assert (index.folder / f"{FILE}-journal").stat().st_size
    export_index(index.folder, tmp_path / "again.zip")
    # SQLite need not shorten the file again.
    import_index(tmp_path / "again.zip", tmp_path / "again")
    assert Index.open(tmp_path / "again").images() == index.images()
