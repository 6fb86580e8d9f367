"""Statistics, names and graph of all shards together, which give words the same weight in each.

They are stored beside the shards only for speed, and recomputed if a shard has changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from re import fullmatch
from typing import Any

import numpy as np

from bovw.compute.files import is_folder
from bovw.errors import FormatError
from bovw.index.arrays import Arrays, lengths
from bovw.index.decoys import Decoys
from bovw.index.graph import Graph, MakeGraph
from bovw.index.layout import NUMBER, check_folders, inside
from bovw.index.leftovers import remove_left_over, unused
from bovw.index.manifest import FORMAT, read_manifest, write_manifest
from bovw.index.names import Names
from bovw.index.snapshot import Snapshot
from bovw.index.statistics import Counts, Statistics
from bovw.options import FeatureOptions

# Values that are the same in all shards.
COMMON = ("words", "bits", "fingerprint", "options")


class Joined:
    """The statistics, names and graph of all shards; images are numbered shard by shard.

    is_current  whether the stored files match the shards
    files       the SHA-256 of every stored file
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], parts: Sequence[Snapshot]) -> None:
        """Read the stored data of the shards in `folder`, or recompute it.

        Raises FormatError if a shard is missing, is there twice, or shares an image with another.
        """
        _check_parts(parts)
        self._folder, self._parts = folder, parts
        kept = manifest.get("joined", {})
        self.files: dict[str, str] = kept.get("files", {})
        self.is_current = kept.get("signs") == digests(parts)
        self.meta = {key: parts[0].meta[key] for key in (*COMMON, "format", "vocabulary")}
        self.meta["digest"] = hashlib.sha256("".join(digests(parts)).encode()).hexdigest()
        self._slots = sum(len(part.names) for part in parts)
        self.graph = self._read_graph(kept)
        calibrated = "calibration" in kept
        self.decoys = Decoys.open(inside(folder, kept["calibration"])) if calibrated else None
        if self.graph:
            self.meta["graph"] = kept["graph"]
        if self.decoys:
            self.meta["calibration"] = kept["calibration"]
        self.statistics, self.names = self._read(kept) or self._count()

    def numbering(self) -> str:
        """Return a digest that changes with any image's number; a graph holds these numbers."""
        rows = [row for part in self._parts for row in part.segment_rows]
        segments = [(row.id, row.images, sorted(row.files.items())) for row in rows]
        digest = hashlib.sha256(repr(segments).encode())
        for part in self._parts:
            digest.update(part.statistics.live.tobytes())
        return digest.hexdigest()

    def _read(self, kept: dict[str, Any]) -> tuple[Statistics, Names] | None:
        """Return the stored arrays, unless the shards have changed since."""
        if not self.is_current:
            return None
        statistics = Statistics.load(inside(self._folder, kept["statistics"]))
        names = Names.load(inside(self._folder, kept["names"]))
        counts = lengths(self.meta["words"], self.meta["bits"], self._slots, 0)
        fits = statistics.fits(counts) and names.fits(counts)
        return (statistics, names) if fits else None

    def _read_graph(self, kept: dict[str, Any]) -> Graph | None:
        """Return the stored graph, unless images have changed their numbers."""
        if "graph" not in kept:
            return None
        if not self.is_current and kept.get("numbering") != self.numbering():
            return None
        try:
            return Graph.open(inside(self._folder, kept["graph"]), self._slots)
        except FormatError:
            if self.is_current:
                raise
            return None

    def _count(self) -> tuple[Statistics, Names]:
        """Compute statistics and names from all shards; reads every posting's image."""
        counts = [
            Counts.of(segment, live)
            for part in self._parts
            if part.segments
            for segment, live in zip(
                part.segments, np.split(part.statistics.live, part.starts[1:]), strict=True
            )
        ]
        texts = [
            (part.names.folder(image), part.names[image])
            for part in self._parts
            for image in range(len(part.names))
        ]
        held = [name for _, name in texts if name]
        if len(set(held)) < len(held):
            raise FormatError(
                f"{self._folder} has an image in two shards: make them again with `bovw shard`"
            )
        return Statistics.of(counts, self.meta["words"]), Names.of(texts)


def open_shards(folder: Path, manifest: dict[str, Any]) -> list[Snapshot]:
    """Open the shards that a manifest names; raises FormatError if one is missing or damaged."""
    for name in manifest["shards"]:
        if not is_folder(folder / name):
            raise FormatError(
                f"the shard {folder / name} is missing, or a link that is not followed: put it "
                "back, or see `bovw shard`"
            )
    staged = manifest.get("staged", False)
    return [Snapshot(folder / name, staged) for name in manifest["shards"]]


def join_shards(
    folder: Path,
    graph: MakeGraph | None = None,
    decoys: Decoys | None = None,
    staged: bool = False,
) -> None:
    """Store the statistics and names of all shards beside them, their graph and what decoys found.

    staged  whether to commit what is staged in the shards, all at once; the caller takes it then

    Does nothing if no shard has changed and nothing is given. Raises FormatError if a shard is
    missing, is there twice, or shares an image with another.
    """
    manifest = read_manifest(folder)
    shards = {"format": FORMAT, "shards": manifest["shards"]} | ({"staged": True} if staged else {})
    parts = open_shards(folder, shards)
    joined = Joined(folder, manifest, parts)
    if joined.is_current and not graph and not decoys:
        return
    written: dict[str, Arrays] = {"statistics": joined.statistics, "names": joined.names}
    kept: dict[str, Arrays | None] = {
        "graph": graph(joined.names) if graph else joined.graph,
        "calibration": decoys or joined.decoys,
    }
    written |= {kind: arrays for kind, arrays in kept.items() if arrays}
    check_folders(folder)
    before = unused(folder, {}, ())
    number = max((int(path.name) for path in before if fullmatch(NUMBER, path.name)), default=0) + 1
    places = {kind: f"{kind}/{number}" for kind in written}
    files = {
        f"{places[kind]}/{name}": digest
        for kind, arrays in written.items()
        for name, digest in arrays.save(folder / places[kind]).items()
    }
    stored = {
        **places,
        "files": files,
        "signs": digests(parts),
        "numbering": joined.numbering(),
    }
    write_manifest(folder, {**shards, "joined": stored})
    for path in before:
        remove_left_over(path)


def digests(parts: Sequence[Snapshot]) -> list[str]:
    """Return each shard's digest, which changes when the shard does."""
    return [str(part.meta["digest"]) for part in parts]


def _comparable(part: Snapshot, key: str) -> object:
    """Return what a shard has in common with others; options that came later have their default."""
    value = part.meta[key]
    return FeatureOptions.of(value) if key == "options" else value


def _check_parts(parts: Sequence[Snapshot]) -> None:
    """Raise FormatError unless the shards are different parts of one collection."""
    first = parts[0]
    for part in parts:
        for key in COMMON:
            if _comparable(part, key) != _comparable(first, key):
                raise FormatError(
                    f"{part.folder} was made with other {key} than {first.folder}: "
                    "shards have to be made together, see `bovw shard`"
                )
    seen: set[str] = set()
    for part in parts:
        # Empty shards may have equal digests.
        marks = {part.folder.name, part.meta["digest"] if len(part.names) else part.folder.name}
        if marks & seen:
            raise FormatError(
                f"{part.folder} is a copy of another shard: put the right one back, or make "
                "all of them again with `bovw shard`"
            )
        seen |= marks
