"""Exports an index to one file, a zip of its files as they are, and imports it."""

from __future__ import annotations

import os
import re
import shutil
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bovw.errors import BovwError, FormatError, NewerFormatError, UsageError
from bovw.index.arrays import sync_folder
from bovw.index.catalog import FILE, Catalog, no_index
from bovw.index.checksums import damaged_among, files_of, vocabulary_files
from bovw.index.components import NUMBERED
from bovw.index.index import Index
from bovw.index.lock import WriterLock
from bovw.index.manifest import MANIFEST, is_index, parts_of, read_manifest

# Members that an archive may have. None leads out of the folder it is unpacked to.
_MEMBER = re.compile(
    rf"shards\.json|([\w-]+/)?(catalog\.sqlite|({'|'.join(NUMBERED)})/\d+/\w+\.npy|"
    r"vocabulary-[0-9a-f]+/\w[\w.]*)",
    re.ASCII,
)
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
    with _locked(folder), _aside(file, "write") as aside:
        expected, catalogs = _listed(folder), _catalogs(folder)
        damaged = damaged_among(folder, expected)
        if damaged:
            raise FormatError(f"{folder / damaged[0]} is damaged: see `bovw check` on the index")
        with aside.open("xb") as target:
            with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
                for name in sorted([*catalogs, *expected]):
                    member = zipfile.ZipInfo(name, _DATE)
                    member.file_size = (folder / name).stat().st_size
                    with (folder / name).open("rb") as source, archive.open(member, "w") as copy:
                        shutil.copyfileobj(source, copy)
            target.flush()
            os.fsync(target.fileno())
        aside.replace(file)


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
    with _aside(folder, f"unpack {file} to") as aside:
        aside.mkdir(parents=True)
        try:
            _unpack(file, aside)
            _check_unpacked(aside)
        except NewerFormatError as error:
            raise NewerFormatError(str(error).replace(str(aside), str(file))) from error
        except OSError:
            raise
        except Exception as error:  # a forged or damaged archive can fail in any way
            reason = " ".join(str(error).replace(str(aside), "it").split())
            raise FormatError(
                f"{file} is not a complete index archive ({reason}): copy it again"
            ) from error
        for inner in sorted(path for path in aside.rglob("*") if path.is_dir()):
            sync_folder(inner)
        sync_folder(aside)
        if folder.exists():
            folder.rmdir()
        aside.rename(folder)
    return Index.open(folder)


@contextmanager
def _aside(path: Path, doing: str) -> Iterator[Path]:
    """Yield a temporary name beside `path`; remove leftovers of such names."""
    pattern = re.compile(re.escape(f".{path.name}.") + "[0-9a-f]{32}")
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        for entry in path.parent.glob(".*"):
            if pattern.fullmatch(entry.name):
                _remove(entry)
        yield aside
        sync_folder(path.parent)
    except OSError as error:
        raise BovwError(
            f"cannot {doing} {path} ({error}): check the disk and permissions"
        ) from error
    finally:
        _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


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

    Raises FormatError if a catalog is damaged.
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
    catalog = Catalog(folder)
    try:
        problems = catalog.problems()
        if problems:
            raise FormatError(problems[0])
        return files_of(catalog.meta, catalog.segments()) | vocabulary_files(catalog.meta)
    finally:
        catalog.close()


def _unpack(file: Path, folder: Path) -> None:
    """Write and flush every member; raises ValueError or others if one is not as exported."""
    size = file.stat().st_size
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        # Members are not compressed, so they cannot be larger than the file.
        if sum(member.file_size for member in members) > size:
            raise ValueError("it is shorter than its members")
        # Names that differ in case only are one file on some systems.
        if len({member.orig_filename.lower() for member in members}) < len(members):
            raise ValueError("it has a member twice")
        for member in members:
            inside = 0 <= member.header_offset <= size - member.file_size
            if not (_MEMBER.fullmatch(member.orig_filename) and inside) or member.compress_type:
                raise ValueError(f"{member.orig_filename[:60]!a} does not belong to it")
            path = folder / member.orig_filename
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, path.open("xb") as target:
                shutil.copyfileobj(source, target)
                target.flush()
                os.fsync(target.fileno())


def _check_unpacked(folder: Path) -> None:
    """Raise FormatError unless a folder holds exactly one complete index."""
    expected = _listed(folder)
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for name in sorted(found ^ {*_catalogs(folder), *expected}):
        raise FormatError(f"{name} is missing or does not belong to it")
    for name in damaged_among(folder, expected):
        raise FormatError(f"{name} differs from its checksum")
    Index.open(folder).images()
