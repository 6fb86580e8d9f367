"""What differs on Windows and macOS, simulated here: files that are held, paths, missing calls.

On Windows, nobody can remove or replace a file that somebody has open or mapped. Here the system's
list of this process's open and mapped files tells which those are.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

import pytest

from bovw.compute import memory, threads
from bovw.compute.files import sync_folder
from bovw.demo.scenes import Collection
from bovw.images import ImageFile
from bovw.index import Index, IndexWriter
from bovw.index.integrity import find_leftovers, find_problems
from bovw.search import Searcher

MAPS = Path("/proc/self/maps")
holding = pytest.mark.skipif(not MAPS.is_file(), reason="this system lists no mapped files")


def is_held(path: Path) -> bool:
    """Tell whether this process has a file open or mapped."""
    opened = {handle.resolve() for handle in Path("/proc/self/fd").iterdir()}
    mapped = {Path(line.split(maxsplit=5)[-1]) for line in MAPS.read_text().splitlines()}
    return path.resolve() in opened | mapped


@pytest.fixture
def windows_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Refuse to remove or replace what is held, as Windows does; returns what was refused."""
    refused: list[str] = []

    def refusing(call: Callable[..., None], count: int) -> Callable[..., None]:
        def called(*paths: str, dir_fd: int | None = None, **options: object) -> None:
            # `shutil.rmtree` names files relative to an open folder where it can.
            relative = {} if dir_fd is None else {"dir_fd": dir_fd}
            place = Path() if dir_fd is None else Path(f"/proc/self/fd/{dir_fd}").readlink()
            for path in (place / path for path in paths[:count]):
                if path.is_file() and is_held(path):
                    refused.append(str(path))
                    raise PermissionError(13, "it is being used by another process", str(path))
            call(*paths, **relative, **options)

        return called

    monkeypatch.setattr(os, "unlink", refusing(os.unlink, 1))
    monkeypatch.setattr(os, "replace", refusing(os.replace, 2))
    monkeypatch.setattr(os, "rename", refusing(os.rename, 2))
    return refused


@holding
def test_an_index_is_changed_while_somebody_reads_it(
    index_folder: Path, collection: Collection, tmp_path: Path, windows_files: list[str]
) -> None:
    folder = tmp_path / "index"
    shutil.copytree(index_folder, folder)
    reader = Index.open(folder)
    query = collection.root / collection.queries[0].name
    before = Searcher(reader).search(query)
    with IndexWriter.open(folder) as writer:
        writer.remove(before[0].name)
        writer.compact()
        writer.commit()
    assert windows_files, "nothing was held, so that this test shows nothing"
    # What could not be removed is a leftover, and harms nobody.
    assert find_leftovers(folder)
    assert find_problems(folder) == []
    assert [hit.name for hit in Searcher(reader).search(query)] == [hit.name for hit in before]
    assert before[0].name not in {hit.name for hit in Searcher(Index.open(folder)).search(query)}


@holding
def test_leftovers_go_once_nobody_holds_them(
    index_folder: Path, tmp_path: Path, windows_files: list[str]
) -> None:
    folder = tmp_path / "index"
    shutil.copytree(index_folder, folder)
    reader = Index.open(folder)
    name = reader.names[0]
    with IndexWriter.open(folder) as writer:
        writer.remove(name)
        writer.commit()
    assert find_leftovers(folder)
    del reader
    with IndexWriter.open(folder) as writer:
        writer.commit()
    assert find_leftovers(folder) == []


def test_names_are_the_same_on_every_system() -> None:
    class WindowsPath(PureWindowsPath):
        def absolute(self) -> WindowsPath:
            return self

    image = ImageFile("2019/rome/a.jpg", WindowsPath(r"C:\photos\2019\rome\a.jpg"))  # type: ignore[arg-type]
    assert image.folder == "C:\\photos\\"
    assert str(PureWindowsPath(image.folder + image.name)) == str(image.path)


def test_folders_that_cannot_be_flushed_are_let_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError("Windows opens no folder")

    monkeypatch.setattr(os, "open", refuse)
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        sync_folder(tmp_path)


def test_what_a_system_does_not_tell_is_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert threads.available_jobs() == os.cpu_count()
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert threads.available_jobs() == 1


def test_another_allocator_is_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: None) -> object:
        raise TypeError("Windows has no library without a name")

    monkeypatch.setattr("ctypes.CDLL", refuse)
    memory.keep_freed_memory.cache_clear()
    memory.keep_freed_memory()
