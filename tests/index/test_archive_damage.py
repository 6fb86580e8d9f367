"""An archive that is damaged or made up is refused, and nothing of it is left."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bovw.errors import FormatError, NewerFormatError
from bovw.index.archive import import_index
from bovw.index.catalog import FILE, FORMAT, Catalog
from tests.index.archives import Members, content, packed, refused


def test_a_shortened_archive_is_refused(exported: Path, tmp_path: Path) -> None:
    whole = exported.read_bytes()
    file = tmp_path / "short.zip"
    for length in [*range(0, len(whole), len(whole) // 40), *range(len(whole) - 30, len(whole))]:
        file.write_bytes(whole[:length])
        refused(file, "not a complete index archive")


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


@pytest.mark.slow
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
    refused(file, "photo.gif is not a complete index archive")


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
    refused(file, r"segments/99/gaps\.npy' is missing or does not belong")
    file = packed(tmp_path / "extra.zip", members | {"vocabulary-ab/manifest.json": b"x"})
    refused(file, "vocabulary-ab/manifest.json' is missing or does not belong")


@pytest.mark.slow
def test_a_missing_member_is_refused(members: Members, tmp_path: Path) -> None:
    for name in members:
        fewer = {n: data for n, data in members.items() if n != name}
        refused(packed(tmp_path / "fewer.zip", fewer), f"{name}|no index")


@pytest.mark.slow
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
    refused(tmp_path / "secret.zip", "not a complete")


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
    refused(with_catalog(members, tmp_path, statement), "not a complete index archive")


@pytest.mark.slow
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
    catalog = Catalog(index.folder, writer=True)
    with catalog.transaction():
        meta = {k: v for k, v in catalog.meta.items() if k != "digest"}
        catalog.put_meta(meta | {key: place} | ({"graph_files": {}} if key == "graph" else {}))
        catalog.write_digest()
    catalog.close()
    changed = members | {FILE: (index.folder / FILE).read_bytes()}
    refused(packed(tmp_path / "changed.zip", changed), "not a complete index archive")


def test_a_damaged_catalog_is_refused(members: Members, tmp_path: Path) -> None:
    for damaged in (b"", b"x" * 5000, members[FILE][:4096], members[FILE][:100]):
        refused(packed(tmp_path / "damaged.zip", members | {FILE: damaged}), "not a complete")


def test_a_newer_format_is_refused_by_number(members: Members, tmp_path: Path) -> None:
    value = f"UPDATE meta SET value = '{FORMAT + 1}' WHERE key = 'format'"
    file = with_catalog(members, tmp_path, value)
    refused(file, rf"changed\.zip has index format {FORMAT + 1}.*pip install -U bovw")
    with pytest.raises(NewerFormatError):
        import_index(file, tmp_path / "index")
