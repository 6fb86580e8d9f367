"""One index in several folders: ordinary indexes, whose words weigh what they do in all together.

A folder of shards holds `shards.json`, which names them, and what was counted of all of them. That
is only kept for speed: it is counted anew where a shard has changed since.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bovw.errors import FormatError, check_not_newer
from bovw.index.arrays import Arrays, sync_folder
from bovw.index.catalog import FILE, ImageRow, read_meta
from bovw.index.graph import Graph
from bovw.index.lock import WriterLock
from bovw.index.names import Names
from bovw.index.snapshot import Index, damaged_among
from bovw.index.statistics import Counts, Statistics
from bovw.index.writer import IndexWriter

MANIFEST = "shards.json"
FORMAT = 1
# What is kept of all shards together, by its folder.
KINDS = ("statistics", "names", "graph")
# What all shards share.
COMMON = ("words", "bits", "fingerprint", "options")


class Shards(Index):
    """Several indexes as one: their images one after the other, and the statistics of all.

    parts  the shards
    """

    def __init__(self, folder: Path) -> None:
        """Open the shards in `folder`; see `Index.open`."""
        self.folder = folder
        while True:
            manifest = read_shards(folder)
            try:
                self._open(manifest)
                return
            except FormatError:
                # Somebody may have counted anew in between, and removed what was replaced.
                if read_shards(folder) == manifest:
                    raise

    def _open(self, manifest: dict[str, Any]) -> None:
        self.parts = [_open_shard(self.folder, name) for name in manifest["shards"]]
        self._check_parts()
        first = self.parts[0].meta
        kept = {key: first[key] for key in (*COMMON, "format", "vocabulary")}
        signs = "".join(_sign(part) for part in self.parts)
        self.meta = kept | {"digest": hashlib.sha256(signs.encode()).hexdigest()}
        self.segments = [segment for part in self.parts for segment in part.segments]
        self.segment_rows = [row for part in self.parts for row in part.segment_rows]
        self.starts = np.cumsum([0, *(row.images for row in self.segment_rows)])[:-1]
        joined = manifest.get("joined", {})
        self._own: dict[str, str] = joined.get("files", {})
        # Whether what is kept of all shards is of the shards as they are.
        self.is_sealed = joined.get("signs") == [_sign(part) for part in self.parts]
        self.statistics, self.names, self.graph = self._joined(joined)
        if self.graph:
            self.meta["graph"] = joined["graph"]

    @property
    def vocabulary_folder(self) -> Path:
        """Where the first shard keeps its copy of the vocabulary, which they all have."""
        return self.parts[0].vocabulary_folder

    def images(self) -> list[ImageRow]:
        """Read the catalogs' row of every image, skipped ones too, by name."""
        rows = [row for part in self.parts for row in part.images()]
        return sorted(rows, key=lambda row: row.name)

    def outdated(self) -> bool:
        """Tell whether a shard, or what is kept of all, has changed since they were opened."""
        own = read_shards(self.folder).get("joined", {}).get("files", {})
        return own != self._own or any(part.outdated() for part in self.parts)

    def files(self) -> dict[str, str]:
        """Return the SHA-256 of every file but the vocabulary's, by its path in the index."""
        return self._own | {
            f"{part.folder.name}/{name}": digest
            for part in self.parts
            for name, digest in part.files().items()
        }

    def damaged_files(self) -> list[str]:
        """Return the files that are missing or differ from their checksums; reads them all."""
        return damaged_among(self.folder, self._own) + [
            f"{part.folder.name}/{name}" for part in self.parts for name in part.damaged_files()
        ]

    def bytes(self) -> dict[str, int]:
        """Return the size of every file but the vocabulary's, by its path in the index."""
        own = {name: (self.folder / name).stat().st_size for name in (MANIFEST, *self._own)}
        return own | {
            f"{part.folder.name}/{name}": size
            for part in self.parts
            for name, size in part.bytes().items()
        }

    def numbering(self) -> str:
        """Return what changes when an image has another number, which a graph is made of."""
        segments = [(row.id, row.images, sorted(row.files.items())) for row in self.segment_rows]
        digest = hashlib.sha256(repr(segments).encode())
        for part in self.parts:
            digest.update(part.statistics.live.tobytes())
        return digest.hexdigest()

    def _check_parts(self) -> None:
        """Raise FormatError unless the shards are different parts of one collection."""
        first = self.parts[0]
        for part in self.parts:
            for key in COMMON:
                if part.meta[key] != first.meta[key]:
                    raise FormatError(
                        f"{part.folder} was made with other {key} than {first.folder}: "
                        "shards have to be made together, see `bovw shard`"
                    )
        seen: set[str] = set()
        for part in self.parts:
            # Empty ones are all alike.
            marks = {part.folder.name, _sign(part) if len(part.names) else part.folder.name}
            if marks & seen:
                raise FormatError(
                    f"{part.folder} is another shard once more: put the right one back, or make "
                    "all of them again with `bovw shard`"
                )
            seen |= marks

    def _joined(self, kept: dict[str, Any]) -> tuple[Statistics, Names, Graph | None]:
        """Return what was counted of all shards, or count it where they have changed."""
        slots = sum(row.images for row in self.segment_rows)
        graph = None
        if "graph" in kept and (self.is_sealed or kept.get("numbering") == self.numbering()):
            try:
                graph = Graph.open(self._inside(kept["graph"]), slots)
            except FormatError:
                if self.is_sealed:
                    raise
        if not self.is_sealed:
            return *self._count(), graph
        statistics = Statistics.load(self._inside(kept["statistics"]))
        names = Names.load(self._inside(kept["names"]))
        lengths = {len(statistics.live), len(statistics.features), len(names), len(names.order)}
        if lengths != {slots} or len(statistics.weights) != self.meta["words"]:
            return *self._count(), graph
        return statistics, names, graph

    def _count(self) -> tuple[Statistics, Names]:
        """Count what depends on all shards, which reads every posting's image."""
        lives = [part.statistics.live for part in self.parts]
        live = np.split(np.concatenate(lives), self.starts[1:]) if self.segments else []
        counts = [Counts.of(s, own) for s, own in zip(self.segments, live, strict=True)]
        texts = [
            (part.names.folder(image), part.names[image])
            for part in self.parts
            for image in range(len(part.names))
        ]
        held = [name for _, name in texts if name]
        if len(set(held)) < len(held):
            raise FormatError(
                f"{self.folder} has an image in two shards: make them again with `bovw shard`"
            )
        return Statistics.of(counts, self.meta["words"]), Names.of(texts)

    def _inside(self, place: str) -> Path:
        kind, _, number = place.partition("/")
        if kind not in KINDS or not number.isdecimal():
            raise FormatError(f"{self.folder / MANIFEST} is damaged ({place}): see `bovw shard`")
        return self.folder / place


def read_shards(folder: Path) -> dict[str, Any]:
    """Return the manifest of a folder of shards; empty where it is none.

    Raises FormatError where it is damaged or of a newer format.
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
    """Return the folders of an index's shards; an ordinary index is its own."""
    return [folder / name for name in read_shards(folder).get("shards", ["."])]


def is_index(folder: Path) -> bool:
    """Tell whether there is an index in a folder, of one part or of several."""
    return (folder / FILE).is_file() or bool(read_shards(folder))


def read_any_meta(folder: Path) -> dict[str, Any]:
    """Return what an index's catalog says, or that of its first shard that is made, if any is."""
    return next((meta for part in parts_of(folder) if (meta := read_meta(part))), {})


def shard_of(name: str, count: int) -> int:
    """Return which of `count` shards an image belongs to, by its name."""
    digest = hashlib.sha256(os.fsencode(name)).digest()
    return int.from_bytes(digest[:8], "big") % count


def shard_names(count: int) -> list[str]:
    """Return what the folders of `count` new shards are called."""
    return [f"shard-{number}" for number in range(count)]


def create_shards(folder: Path, count: int) -> None:
    """Name the shards of a new folder, which are yet to be made."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder, {"format": FORMAT, "shards": shard_names(count)})


@contextmanager
def sealing(folder: Path) -> Iterator[None]:
    """Let nobody else change an index of shards, and in the end count anew what depends on all.

    Does nothing for an ordinary index, whose writer sees to both.
    """
    if not read_shards(folder):
        yield
        return
    with WriterLock(folder):
        yield
        seal(folder)


@contextmanager
def changing(folder: Path) -> Iterator[list[IndexWriter]]:
    """Open an index to change it: a writer for each shard, which the caller commits.

    An image belongs to writer `shard_of(name, len(writers))`. Raises BovwError where somebody else
    is changing it.
    """
    with sealing(folder), ExitStack() as opened:
        yield [opened.enter_context(IndexWriter.open(part)) for part in parts_of(folder)]


def seal(folder: Path, graph: Graph | None = None) -> Shards:
    """Count what depends on all shards, and keep it beside them, with a graph of all their images.

    Does nothing where none has changed and there is no other graph. Raises FormatError where a
    shard is missing, twice, or has an image that another has.
    """
    shards = Shards(folder)
    if shards.is_sealed and not graph:
        return shards
    names = read_shards(folder)["shards"]
    written: dict[str, Arrays] = {"statistics": shards.statistics, "names": shards.names}
    graph = graph or shards.graph
    if graph:
        written["graph"] = graph
    used = [int(path.name) for kind in KINDS for path in (folder / kind).glob("[0-9]*")]
    places = {kind: f"{kind}/{max(used, default=0) + 1}" for kind in written}
    files = {
        f"{places[kind]}/{name}": digest
        for kind, arrays in written.items()
        for name, digest in arrays.save(folder / places[kind]).items()
    }
    joined = {
        **places,
        "files": files,
        "signs": [_sign(part) for part in shards.parts],
        "numbering": shards.numbering(),
    }
    _write(folder, {"format": FORMAT, "shards": names, "joined": joined})
    for path in (path for kind in KINDS for path in (folder / kind).glob("[0-9]*")):
        if f"{path.parent.name}/{path.name}" not in places.values():
            shutil.rmtree(path, ignore_errors=True)
    return Shards(folder)


def unseal(folder: Path) -> None:
    """Forget what is kept of all shards, where there are any, so that it is counted anew."""
    if manifest := read_shards(folder):
        _write(folder, {"format": FORMAT, "shards": manifest["shards"]})


def _open_shard(folder: Path, name: str) -> Index:
    if not (folder / name).is_dir():
        raise FormatError(f"the shard {folder / name} is missing: put it back, or see `bovw shard`")
    return Index(folder / name)


def _sign(part: Index) -> str:
    """Return what changes when a shard does."""
    return str(part.meta["digest"])


def _is_name(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(r"[\w-]+", name, re.ASCII) is not None


def _write(folder: Path, manifest: dict[str, Any]) -> None:
    """Replace a folder's manifest at once."""
    aside = folder / f"{MANIFEST}.part"
    with aside.open("w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(folder / MANIFEST)
    sync_folder(folder)
