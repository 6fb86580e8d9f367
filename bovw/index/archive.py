"""Exports an index to one file, a zip of its files as they are, and imports it."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bovw.compute.files import aside, open_regular, sync_folder
from bovw.errors import BovwError, FormatError, NewerFormatError, UsageError
from bovw.index.catalog import FILE, Catalog, no_index
from bovw.index.checksums import damaged_among, files_of, vocabulary_files
from bovw.index.index import Index
from bovw.index.integrity import find_problems
from bovw.index.layout import SHARD_NAME
from bovw.index.lock import WriterLock
from bovw.index.manifest import MANIFEST, is_index, parts_of, read_manifest

# The member that names the others: of an index, or of one of its shards.
_CATALOG = re.compile(rf"({SHARD_NAME}/)?{re.escape(FILE)}", re.ASCII)
# One date for all, the earliest of a zip: the same index makes the same archive.
_DATE = (1980, 1, 1, 0, 0, 0)


def export_index(folder: Path, file: Path) -> None:
    """Write the index in `folder` to the archive `file`, which may replace an earlier archive.

    Other writers are locked out meanwhile. An interrupted export leaves no file of that name.
    Raises UsageError if `file` exists and is no archive, FormatError if there is no index or one
    of its files is damaged, BovwError if the index is being written or the disk fails.
    """
    folder, file = Path(folder), Path(file).absolute()
    if file.exists() and not _is_archive(file):
        raise UsageError(f"{file} exists and is not an index archive: give another name")
    if not is_index(folder):
        raise no_index(folder)
    with _locked(folder), _beside(file, "write") as beside:
        expected, catalogs = _listed(folder), _catalogs(folder)
        damaged = damaged_among(folder, expected)
        if damaged:
            raise FormatError(f"{folder / damaged[0]} is damaged: see `bovw check` on the index")
        with beside.open("xb") as target:
            with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
                for name in sorted([*catalogs, *expected]):
                    member = zipfile.ZipInfo(name, _DATE)
                    member.file_size = (folder / name).stat().st_size
                    with (folder / name).open("rb") as source, archive.open(member, "w") as copy:
                        shutil.copyfileobj(source, copy)
            target.flush()
            os.fsync(target.fileno())
        beside.replace(file)


def import_index(file: Path, folder: Path) -> Index:
    """Unpack the archive `file` to `folder`, a new or empty folder, and open it.

    An archive may come from anyone, so `folder` appears only after all checksums match. Raises
    FormatError if `file` is damaged or no index archive (NewerFormatError: of a later version),
    UsageError if `folder` is not empty, BovwError if the disk fails.
    """
    file, folder = Path(file), Path(folder).absolute()
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder} already exists: give another folder to unpack to")
    if not file.is_file():
        raise FormatError(f"there is no archive {file}: give a file that `bovw export` wrote")
    with _beside(folder, f"unpack {file} to") as beside:
        beside.mkdir(parents=True)
        try:
            _unpack(file, beside)
            _check_unpacked(beside)
        except NewerFormatError as error:
            raise NewerFormatError(str(error).replace(str(beside), str(file))) from error
        except OSError:
            raise
        except Exception as error:  # a forged or damaged archive can fail in any way
            reason = " ".join(str(error).replace(str(beside), "it").split())
            raise FormatError(
                f"{file} is not a complete index archive ({reason}): copy it again"
            ) from error
        for inner in sorted(path for path in beside.rglob("*") if path.is_dir()):
            sync_folder(inner)
        sync_folder(beside)
        if folder.exists():
            folder.rmdir()
        beside.rename(folder)
    return Index.open(folder)


@contextmanager
def _beside(path: Path, doing: str) -> Iterator[Path]:
    """Yield a temporary name beside `path`; a failing disk becomes a BovwError."""
    try:
        with aside(path) as name:
            yield name
    except OSError as error:
        raise BovwError(
            f"cannot {doing} {path} ({error}): check the disk and permissions"
        ) from error


def _is_archive(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return not {FILE, MANIFEST}.isdisjoint(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock an index and its shards against other writers."""
    shards = parts_of(folder) if read_manifest(folder) else []
    with ExitStack() as locks:
        for place in (folder, *shards):
            locks.enter_context(WriterLock(place))
        yield


def _catalogs(folder: Path) -> list[str]:
    """Return the paths of an index's manifest and catalogs, which name its other files."""
    shards = read_manifest(folder).get("shards", [])
    return [MANIFEST, *(f"{name}/{FILE}" for name in shards)] if shards else [FILE]


def _listed(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file that an index's catalogs name, by its path.

    The caller has locked the index, or it is nobody else's: a killed commit is dropped. Raises
    FormatError if a catalog is damaged.
    """
    manifest = read_manifest(folder)
    own: dict[str, str] = manifest.get("joined", {}).get("files", {})
    if not manifest:
        return _listed_part(folder)
    return own | {
        f"{name}/{file}": digest
        for name in manifest["shards"]
        for file, digest in _listed_part(folder / name).items()
    }


def _listed_part(folder: Path) -> dict[str, str]:
    catalog = Catalog(folder, writer=True)
    try:
        problems = catalog.problems()
        if problems:
            raise FormatError(problems[0])
        return files_of(catalog.meta, catalog.segments()) | vocabulary_files(catalog.meta)
    finally:
        catalog.close()


def _unpack(file: Path, folder: Path) -> None:
    """Write and flush every member; raises ValueError or others if one is not as exported.

    The catalogs come first. They name the other members, so that nothing else is written.
    """
    with open_regular(file) as opened, zipfile.ZipFile(opened) as archive:
        listed = archive.infolist()
        members = {member.orig_filename: member for member in listed}
        _check_members(listed, file.stat().st_size)
        catalogs = [name for name in members if name == MANIFEST or _CATALOG.fullmatch(name)]
        for name in catalogs:
            _extract(archive, members[name], folder)
        expected = {*_catalogs(folder), *_listed(folder)}
        for name in sorted(expected ^ members.keys()):
            raise ValueError(f"{name[:60]!a} is missing or does not belong to it")
        for name in sorted(expected.difference(catalogs)):
            _extract(archive, members[name], folder)


def _check_members(members: Sequence[zipfile.ZipInfo], size: int) -> None:
    """Raise ValueError unless the members lie in a file of this size as they are, each once."""
    # Names that differ in case only are one file on some systems.
    if len({member.orig_filename.lower() for member in members}) < len(members):
        raise ValueError("it has a member twice")
    # Members are not compressed, so they cannot be larger than the file.
    if sum(member.file_size for member in members) > size:
        raise ValueError("it is shorter than its members")
    for member in members:
        if member.compress_type or not 0 <= member.header_offset <= size - member.file_size:
            raise ValueError(f"{member.orig_filename[:60]!a} does not belong to it")


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    path = folder / member.orig_filename
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, path.open("xb") as target:
        shutil.copyfileobj(source, target)
        target.flush()
        os.fsync(target.fileno())


def _check_unpacked(folder: Path) -> None:
    """Raise FormatError unless a folder holds one index without a problem."""
    for problem in find_problems(folder):
        raise FormatError(problem)
