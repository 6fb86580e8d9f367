"""The manifest of a folder of shards, and the shard that an image belongs to."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from bovw.errors import FormatError, check_not_newer
from bovw.index.arrays import sync_folder
from bovw.index.catalog import FILE, read_meta

MANIFEST = "shards.json"
FORMAT = 1


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a folder of shards; empty if the folder has none.

    Raises FormatError if it is damaged or of a newer format.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        manifest: dict[str, Any] = json.loads(path.read_text("utf-8"))
        version, names = manifest["format"], manifest["shards"]
        if not names or not all(_is_name(name) for name in names):
            raise ValueError("it names no shards")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(
            f"{path} is damaged ({error}): make it again with `bovw shard`"
        ) from error
    check_not_newer(folder, "shards of format", version, FORMAT)
    return manifest


def parts_of(folder: Path) -> list[Path]:
    """Return the folders of an index's shards; an ordinary index is its only shard."""
    return [folder / name for name in read_manifest(folder).get("shards", ["."])]


def is_index(folder: Path) -> bool:
    """Tell whether there is an index in a folder, of one part or of several."""
    return (folder / FILE).is_file() or bool(read_manifest(folder))


def read_any_meta(folder: Path) -> dict[str, Any]:
    """Return an index's meta, or that of the first shard that exists; empty if there is none."""
    return next((meta for part in parts_of(folder) if (meta := read_meta(part))), {})


def shard_of(name: str, count: int) -> int:
    """Return which of `count` shards an image belongs to, by its name."""
    digest = hashlib.sha256(os.fsencode(name)).digest()
    return int.from_bytes(digest[:8], "big") % count


def shard_names(count: int) -> list[str]:
    """Return the folder names of `count` new shards."""
    return [f"shard-{number}" for number in range(count)]


def create_shards(folder: Path, count: int) -> None:
    """Write the manifest of a new folder; its shards do not exist yet."""
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(folder, {"format": FORMAT, "shards": shard_names(count)})


def forget_joined(folder: Path) -> None:
    """Drop the shared statistics of shards, if any; they are recomputed on the next open."""
    if manifest := read_manifest(folder):
        write_manifest(folder, {"format": FORMAT, "shards": manifest["shards"]})


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Replace a folder's manifest atomically."""
    aside = folder / f"{MANIFEST}.part"
    with aside.open("w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(folder / MANIFEST)
    sync_folder(folder)


def _is_name(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(r"[\w-]+", name, re.ASCII) is not None
