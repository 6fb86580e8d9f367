"""An index as one file: the same comes back, or nothing does."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from test_index import written

from bovw.errors import BovwError, FormatError, NewerFormatError, UsageError
from bovw.index import IndexWriter, lock
from bovw.index.archive import export_index, import_index
from bovw.index.catalog import FILE, FORMAT, Catalog
from bovw.index.index import Index

Members = dict[str, bytes]


def made(folder: Path) -> Path:
    """Write a small index with something for a vocabulary."""
    index = written(folder, ["a.jpg", "b.jpg", "not utf-8 \udcff.jpg"])
    files = {"words.npy": b"words" * 100, "cells.npz": b"", "sources.npy": b"\0" * 9}
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    for name, content in files.items():
        (index.vocabulary_folder / name).write_bytes(content)
    manifest = json.dumps({"format": 2, "checksums": checksums})
    (index.vocabulary_folder / "manifest.json").write_text(manifest)
    with IndexWriter.open(folder) as writer:
        writer.commit(anew=True)
    return folder


def content(folder: Path) -> Members:
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {n: p.read_bytes() for n, p in paths.items() if p.is_file() and n not in lock.FILES}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("made") / "index")


@pytest.fixture(scope="module")
def exported(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("exported") / "index.zip"
    export_index(original, file)
    return file


@pytest.fixture
def members(exported: Path) -> Members:
    with zipfile.ZipFile(exported) as source:
        return {name: source.read(name) for name in source.namelist()}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


def packed(file: Path, members: Members) -> Path:
    with zipfile.ZipFile(file, "w") as target:
        for name, data in members.items():
            target.writestr(zipfile.ZipInfo(name), data)
    return file


def refused(file: Path, match: str) -> None:
    """Check that an archive is refused in one line that names it, and that nothing is left."""
    target = file.with_name("target")
    before = set(file.parent.iterdir())
    with pytest.raises(FormatError, match=match) as caught:
        import_index(file, target)
    assert str(file) in str(caught.value)
    assert str(target) not in str(caught.value) and ".target." not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert set(file.parent.iterdir()) == before


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


# Damage


def test_a_shortened_archive_is_refused(exported: Path, tmp_path: Path) -> None:
    whole = exported.read_bytes()
    file = tmp_path / "short.zip"
    for length in [*range(0, len(whole), len(whole) // 40), *range(len(whole) - 30, len(whole))]:
        file.write_bytes(whole[:length])
        refused(file, "not the whole archive")


def interesting(exported: Path) -> Iterator[int]:
    """Yield offsets of all over an archive, and all of some of its headers."""
    with zipfile.ZipFile(exported) as source:
        headers = [member.header_offset for member in source.infolist()]
        start, size = source.start_dir, exported.stat().st_size
    for header in (headers[0], headers[-1]):
        yield from range(header, header + 34)
    yield from range(start, start + 60)
    yield from range(size - 22, size)
    yield from range(0, size, size // 50)


def test_a_flipped_bit_is_refused_or_harmless(
    original: Path, exported: Path, tmp_path: Path
) -> None:
    whole, offsets = exported.read_bytes(), sorted(set(interesting(exported)))
    file, target, harmless = tmp_path / "flipped.zip", tmp_path / "target", 0
    for number, offset in enumerate(offsets):
        flipped = bytearray(whole)
        flipped[offset] ^= 1 << number % 8
        file.write_bytes(flipped)
        try:
            import_index(file, target)
        except FormatError as error:
            assert str(file) in str(error)
        else:
            harmless += 1
            assert content(target) == content(original)
            shutil.rmtree(target)
        assert os.listdir(tmp_path) == [file.name]  # noqa: PTH208
    # What is not looked at: dates, versions, and what the list of members says better.
    assert 0 < harmless < len(offsets) / 2


@pytest.mark.parametrize("data", [b"", b"PK", b"GIF89a" * 100, b"PK\5\6" + b"\0" * 18])
def test_another_file_is_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "photo.gif"
    file.write_bytes(data)
    refused(file, "photo.gif is not the whole archive")


def test_a_missing_archive_is_told(tmp_path: Path) -> None:
    refused(tmp_path / "missing.zip", "there is no archive")
    (tmp_path / "folder.zip").mkdir()
    refused(tmp_path / "folder.zip", "there is no archive")


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "../../x.npy",
        "/abs",
        "/segments/1/x.npy",
        "segments/1/../../x.npy",
        "segments/1/x.npy/",
        "segments/../1/x.npy",
        "segments/1/",
        "segments\\1\\x.npy",
        "C:/segments/1/x.npy",
        "segments/1/x.npy\n",
        "segments/1/x\n.npy",
        "segments/1/x.npy\0.txt",
        "segments/\u0661/x.npy",
        "segments/1/é.npy",
        "vocabulary-ff/..",
        "vocabulary-ff/.hidden",
        "vocabulary-ff/x/y",
        "vocabulary-../x",
        "catalog.sqlite-journal",
        "lock.sqlite",
        "",
        "x" * 3000,
    ],
)
def test_names_that_lead_elsewhere_are_refused(members: Members, tmp_path: Path, name: str) -> None:
    file = packed(tmp_path / "odd.zip", members)
    with zipfile.ZipFile(file, "a") as target:
        member = zipfile.ZipInfo("x")
        member.filename = member.orig_filename = name
        target.writestr(member, b"evil")
    refused(file, "does not belong|differ")


def test_an_extra_member_is_refused(members: Members, tmp_path: Path) -> None:
    file = packed(tmp_path / "extra.zip", members | {"segments/99/gaps.npy": b"x"})
    refused(file, r"segments/99/gaps\.npy is missing or does not belong")
    file = packed(tmp_path / "extra.zip", members | {"vocabulary-ab/manifest.json": b"x"})
    refused(file, "vocabulary-ab/manifest.json is missing or does not belong")


def test_a_missing_member_is_refused(members: Members, tmp_path: Path) -> None:
    for name in members:
        fewer = {n: data for n, data in members.items() if n != name}
        refused(packed(tmp_path / "fewer.zip", fewer), f"{name}|no index")


def test_a_changed_member_is_refused(members: Members, tmp_path: Path) -> None:
    for name, data in members.items():
        if name != FILE and data:
            changed = members | {name: data[:-1] + bytes([data[-1] ^ 1])}
            refused(packed(tmp_path / "changed.zip", changed), "checksum|damaged|fit|ascend")


def test_a_member_twice_is_refused(members: Members, tmp_path: Path) -> None:
    for twice in (FILE, FILE.upper()):
        file = packed(tmp_path / "twice.zip", members)
        with zipfile.ZipFile(file, "a") as target, pytest.MonkeyPatch.context() as patch:
            patch.setattr(target, "NameToInfo", {})
            target.writestr(twice, b"other")
        refused(file, "a member twice")


def test_members_inside_one_another_are_refused(members: Members, tmp_path: Path) -> None:
    """Overlapping members are how a small zip unpacks to a large one."""
    file = packed(tmp_path / "bomb.zip", members)
    with zipfile.ZipFile(file, "a") as target:
        target.writestr("segments/7/a.npy", bytes(100_000))
        whole = target.getinfo("segments/7/a.npy")
        for number in range(5):
            other = zipfile.ZipInfo(f"segments/7/b{number}.npy")
            other.header_offset, other.CRC = whole.header_offset, whole.CRC
            other.file_size = other.compress_size = whole.file_size
            target.filelist.append(other)
    refused(file, "shorter than its members")


def test_compressed_members_are_refused(members: Members, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "small.zip", "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in members.items():
            target.writestr(name, data)
    refused(tmp_path / "small.zip", "does not belong|shorter")


def test_links_are_refused(members: Members, tmp_path: Path) -> None:
    link = zipfile.ZipInfo("segments/7/a.npy")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    file = packed(tmp_path / "link.zip", members)
    with zipfile.ZipFile(file, "a") as target:
        target.writestr(link, "/etc/passwd")
    refused(file, "does not belong")


def test_encrypted_members_are_refused(exported: Path, tmp_path: Path) -> None:
    whole = bytearray(exported.read_bytes())
    with zipfile.ZipFile(exported) as source:
        whole[source.start_dir + 8] |= 1
    (tmp_path / "secret.zip").write_bytes(whole)
    refused(tmp_path / "secret.zip", "not the whole")


def with_catalog(members: Members, tmp_path: Path, *statements: str) -> Path:
    """Pack the members with a changed catalog."""
    path = tmp_path / "changed.sqlite"
    path.write_bytes(members[FILE])
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    changed = path.read_bytes()
    path.unlink()
    return packed(tmp_path / "changed.zip", members | {FILE: changed})


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW v AS SELECT 1",
        "DROP TABLE images",
        "DROP TABLE meta",
        "DELETE FROM meta",
        "DELETE FROM meta WHERE key = 'names'",
        "DELETE FROM segments",
        "UPDATE segments SET files = '{}'",
        "UPDATE segments SET files = '7'",
        "UPDATE segments SET files = '['",
        "UPDATE images SET name = 'other.jpg' WHERE name = 'a.jpg'",
        "UPDATE images SET number = 2 WHERE name = 'a.jpg'",
        "UPDATE meta SET value = '\"../statistics/1\"' WHERE key = 'statistics'",
        "UPDATE meta SET value = '\"x/../vocabulary-ff\"' WHERE key = 'vocabulary'",
        "UPDATE meta SET value = '7' WHERE key = 'vocabulary'",
        "UPDATE meta SET value = '{' WHERE key = 'vocabulary'",
        "UPDATE meta SET value = '[]' WHERE key = 'words'",
    ],
)
def test_a_changed_catalog_is_refused(members: Members, tmp_path: Path, statement: str) -> None:
    if statement.startswith("CREATE"):
        # What it holds beside its tables is not looked at.
        import_index(with_catalog(members, tmp_path, statement), tmp_path / "index")
        return
    refused(with_catalog(members, tmp_path, statement), "not the whole archive")


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("statistics", "../statistics/1"),
        ("names", "/names/1"),
        ("graph", "graph/1/.."),
        ("vocabulary", "x/../vocabulary-ff"),
        ("vocabulary", 7),
        ("words", []),
        ("bits", "many"),
    ],
)
def test_a_made_up_catalog_is_refused(
    original: Path, exported: Path, members: Members, tmp_path: Path, key: str, place: object
) -> None:
    """Also where its digest is made up, too."""
    index = import_index(exported, tmp_path / "made up")
    catalog = Catalog(index.folder, create=True)
    with catalog.transaction():
        meta = {k: v for k, v in catalog.meta.items() if k != "digest"}
        catalog.put_meta(meta | {key: place} | ({"graph_files": {}} if key == "graph" else {}))
        catalog.write_digest()
    catalog.close()
    changed = members | {FILE: (index.folder / FILE).read_bytes()}
    refused(packed(tmp_path / "changed.zip", changed), "not the whole archive")


def test_a_damaged_catalog_is_refused(members: Members, tmp_path: Path) -> None:
    for damaged in (b"", b"x" * 5000, members[FILE][:4096], members[FILE][:100]):
        refused(packed(tmp_path / "damaged.zip", members | {FILE: damaged}), "not the whole")


def test_a_newer_format_is_refused_by_number(members: Members, tmp_path: Path) -> None:
    value = f"UPDATE meta SET value = '{FORMAT + 1}' WHERE key = 'format'"
    file = with_catalog(members, tmp_path, value)
    refused(file, rf"changed\.zip has index format {FORMAT + 1}.*pip install -U bovw")
    with pytest.raises(NewerFormatError):
        import_index(file, tmp_path / "index")


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
    with pytest.raises(UsageError, match="there already: give another folder"):
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
