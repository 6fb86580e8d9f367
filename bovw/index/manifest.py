"""The manifest of a folder of shards, and the shard that an image belongs to."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from bovw.compute.files import open_regular, replace_file, unreadable
from bovw.compute.values import checksum, listing, mapping, one_of, parse_json, record, text, whole
from bovw.errors import FormatError, check_not_newer
from bovw.index.catalog import FILE, read_meta
from bovw.index.checksums import damaged_among
from bovw.index.layout import ARRAY_FILE, KINDS, NEEDED, NUMBER, OPTIONAL, SHARD_NAME

MANIFEST = "shards.json"
FORMAT = 1
# The longest manifest that is read.
_BYTES = 64_000_000
_MANIFEST = record(
    {"format": whole(1), "shards": listing(text(SHARD_NAME), least=1)},
    {
        "staged": one_of(True),
        "joined": record(
            {
                **{kind: text(f"{kind}/{NUMBER}") for kind in NEEDED},
                "files": mapping(text(f"({'|'.join(KINDS)})/{NUMBER}/{ARRAY_FILE}"), checksum),
                "signs": listing(checksum),
                "numbering": checksum,
            },
            {kind: text(f"{kind}/{NUMBER}") for kind in OPTIONAL},
        ),
    },
)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a folder of shards; empty if the folder has none.

    Raises FormatError if it is damaged or of a newer format.
    """
    path = folder / MANIFEST
    if not os.path.lexists(path):
        return {}
    try:
        with open_regular(path) as file:
            manifest: dict[str, Any] = parse_json(file.read(_BYTES))
        # A later format may have other values.
        record({"format": whole(1)})(manifest)
        check_not_newer(folder, "shards of format", manifest["format"], FORMAT)
        _MANIFEST(manifest)
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise FormatError(
            f"{path} is damaged ({error}): make it again with `bovw shard`"
        ) from error
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


def forget_damaged(folder: Path) -> None:
    """Drop what shards share and is damaged; statistics are recomputed on the next open."""
    manifest = read_manifest(folder)
    kept = manifest.get("joined", {})
    damaged = {name.partition("/")[0] for name in damaged_among(folder, kept.get("files", {}))}
    if not damaged:
        return
    for kind in OPTIONAL:
        if kind in kept and kind in damaged:
            del kept[kind]
    if damaged & {*NEEDED}:
        kept["signs"] = []
    files = kept["files"].items()
    kept["files"] = {name: one for name, one in files if name.partition("/")[0] not in damaged}
    write_manifest(folder, manifest)


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Replace a folder's manifest atomically."""
    replace_file(folder / MANIFEST, json.dumps(manifest, indent=1).encode())
