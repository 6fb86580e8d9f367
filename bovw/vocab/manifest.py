"""The manifest of a vocabulary's folder: what the words are of, and the checksums of the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bovw.compute.files import file_sha256, open_regular, restore_folder, unreadable
from bovw.compute.values import (
    anything,
    checksum,
    either,
    listing,
    mapping,
    number,
    one_of,
    parse_json,
    record,
    text,
    whole,
)
from bovw.errors import BovwError, FormatError, NewerFormatError, check_not_newer
from bovw.records import FeatureKind

FORMAT = 2
FILE = "manifest.json"
# The longest manifest that is read.
_BYTES = 1_000_000
_SETTING = either(number, text(), one_of(None), listing(either(number, text())))
_KIND = record(
    {
        "name": text(r"[\w.-]{1,40}"),
        "dimensions": whole(1, 4096),
        "has_scale": one_of(True, False),
        "has_angle": one_of(True, False),
    }
)
_MANIFEST = record(
    {"format": whole(), "fingerprint": checksum, "settings": mapping(text(), _SETTING)},
    {
        "checksums": mapping(text(r"\w+\.\w+"), checksum),
        "features": either(one_of(None), mapping(text(), anything)),
    },
)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a vocabulary's manifest.

    Raises FormatError if it is missing, damaged or of a newer format, BovwError if it cannot be
    read.
    """
    restore_folder(folder)
    path = folder / FILE
    try:
        with open_regular(path) as file:
            manifest: dict[str, Any] = parse_json(file.read(_BYTES))
        # A later format may have other values.
        record({"format": whole()})(manifest)
        check_not_newer(folder, "vocabulary format", manifest["format"], FORMAT)
        _MANIFEST(manifest)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FormatError(
            f"no vocabulary in {folder}: make one with `bovw build-vocab DIR --out {folder}`"
        ) from error
    except (OSError, ValueError) as error:
        raise damaged(path, error) from error
    return manifest


def damaged_files(folder: Path) -> list[str]:
    """Return the names of a vocabulary's files that are missing or differ from their checksums."""
    expected = read_manifest(folder).get("checksums", {})
    return [name for name, digest in expected.items() if file_sha256(folder / name) != digest]


def kind_of(folder: Path, manifest: dict[str, Any]) -> FeatureKind | None:
    """Return the kind of features that the words were trained on; None if it was not kept."""
    kept = manifest.get("features")
    if kept is None:
        return None
    if kept.keys() - FeatureKind.__dataclass_fields__.keys():
        raise NewerFormatError(
            f"the vocabulary in {folder} is of features that this bovw does not know: upgrade with "
            "`pip install -U bovw`"
        )
    try:
        _KIND(kept)
    except ValueError as error:
        raise damaged(folder / FILE, error) from error
    return FeatureKind(**kept)


def check_target(folder: Path) -> None:
    """Raise FormatError if a vocabulary saved to `folder` would replace something else."""
    restore_folder(folder)
    empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not empty and not (folder / FILE).is_file():
        raise FormatError(f"{folder} is not a vocabulary: give another folder to write to")


def damaged(path: Path, error: Exception) -> BovwError:
    """Return the error for a file of a vocabulary that is damaged, or that cannot be read."""
    if isinstance(error, OSError) and not isinstance(told := unreadable(path, error), FormatError):
        return told
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return FormatError(
        f"the vocabulary in {path.parent} is damaged ({path.name}: {reason}): make it again with "
        "`bovw build-vocab`"
    )
