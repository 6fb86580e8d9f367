"""Reading an index: a snapshot of its segments, names and statistics."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bovw.errors import FormatError, damaged_file
from bovw.index.arrays import file_sha256
from bovw.index.catalog import FILE, Catalog, ImageRow, SegmentRow, no_index
from bovw.index.graph import Graph
from bovw.index.names import Names
from bovw.index.segment import Segment
from bovw.index.statistics import Statistics
from bovw.records import Ints


class Index:
    """An opened index, which later changes to its folder do not touch.

    names     the indexed images by their numbers; where statistics.live is False, a removed one's
    segments  their postings; `starts` [segments] is the number of each one's first image
    graph     which images show the same thing, where they have been linked
    """

    def __init__(self, folder: Path) -> None:
        """Open the index in `folder`; see `Index.open`."""
        self.folder = folder
        while True:
            self._read_catalog()
            try:
                self._map_files()
                return
            except FormatError:
                # A writer may have committed in between, and removed what it replaced.
                if not self.outdated():
                    raise

    @classmethod
    def open(cls, folder: Path | str) -> Index:
        """Open the index in `folder`, as it is now, which may be one of shards.

        Raises FormatError where there is none, or it is damaged or of a newer format.
        """
        # Imported here because shards are indexes themselves.
        from bovw.index.sharded import Shards, read_shards

        return (Shards if read_shards(Path(folder)) else cls)(Path(folder))

    def __len__(self) -> int:
        return int(self.statistics.live.sum())

    @property
    def vocabulary_folder(self) -> Path:
        """Where the index keeps its copy of the vocabulary."""
        return self.folder / str(self.meta["vocabulary"])

    @property
    def features(self) -> int:
        """How many features are indexed, those of removed images left out."""
        return int(self.statistics.features.sum(dtype=np.int64))

    @property
    def removed(self) -> int:
        """How many postings in the segments are of removed images."""
        return sum(row.features for row in self.segment_rows) - self.features

    @cached_property
    def sizes(self) -> Ints:
        """Width and height of every image in pixels: int32 [images, 2]."""
        return np.concatenate([np.empty((0, 2), np.int32), *(s.sizes for s in self.segments)])

    def images(self) -> list[ImageRow]:
        """Read the catalog's row of every image, skipped ones too, by name.

        Raises FormatError where they are not those of the index.
        """
        catalog = Catalog(self.folder)
        try:
            rows, meta = catalog.images(), catalog.meta
        finally:
            catalog.close()
        if meta.get("names") != self.meta["names"]:
            raise FormatError(f"the index in {self.folder} has changed meanwhile: try again")
        if sum(row.status == "ok" for row in rows) != len(self):
            raise self._misfit()
        return rows

    def path(self, image: int) -> Path:
        """Return where an image lay when it was indexed."""
        return self.names.path(image)

    def outdated(self) -> bool:
        """Tell whether the index has changed since it was opened."""
        catalog = Catalog(self.folder)
        try:
            return bool(catalog.meta.get("names") != self.meta["names"])
        finally:
            catalog.close()

    def files(self) -> dict[str, str]:
        """Return the SHA-256 of every file but the vocabulary's, by its path in the index."""
        return files_of(self.meta, self.segment_rows)

    def damaged_files(self) -> list[str]:
        """Return the files that are missing or differ from their checksums; reads them all."""
        return damaged_among(self.folder, self.files() | vocabulary_files(self.meta))

    def bytes(self) -> dict[str, int]:
        """Return the size of every file but the vocabulary's, by its path in the index."""
        return {name: (self.folder / name).stat().st_size for name in (FILE, *self.files())}

    def _read_catalog(self) -> None:
        catalog = Catalog(self.folder)
        try:
            self.meta: dict[str, Any] = catalog.meta
            if not self.meta:
                raise no_index(self.folder)
            self.segment_rows = catalog.segments()
        finally:
            catalog.close()

    def _map_files(self) -> None:
        """Open every file, so that their removal does not touch this index."""
        self.segments = [
            Segment.open(self.folder / "segments" / str(row.id)) for row in self.segment_rows
        ]
        self.starts = np.cumsum([0, *(row.images for row in self.segment_rows)])[:-1]
        self.statistics = Statistics.load(self._place("statistics"))
        self.names = Names.load(self._place("names"))
        self._check_lengths()
        slots = len(self.names)
        self.graph = Graph.open(self._place("graph"), slots) if "graph" in self.meta else None

    def _place(self, kind: str) -> Path:
        place = str(self.meta[kind])
        # From elsewhere, it might lead anywhere.
        if not re.fullmatch(rf"{kind}/[0-9]+", place):
            raise damaged_file(self.folder / FILE, f"{kind} in {place}")
        return self.folder / place

    def _check_lengths(self) -> None:
        """Raise FormatError where arrays are longer or shorter than the catalog says."""
        words, bits = self.meta["words"], self.meta["bits"]
        fits = [
            segment.shapes == Segment.shapes_of(words, bits, row.images, row.features)
            for row, segment in zip(self.segment_rows, self.segments, strict=True)
        ]
        held = sum(row.images for row in self.segment_rows)
        counted = {len(getattr(self.statistics, n)) for n in ("features", "distinct", "live")}
        fits.append(counted == {held} and len(self.statistics.weights) == words)
        text = np.r_[0, self.names.ends]
        fits.append(len(self.names.order) == len(self.names) == held)
        fits.append(bool((np.diff(text) >= 0).all()) and text[-1] == len(self.names.text))
        if not all(fits):
            raise self._misfit()

    def _misfit(self) -> FormatError:
        return FormatError(
            f"the files of {self.folder} do not fit its catalog: `bovw check --repair` may help"
        )


def files_of(meta: dict[str, Any], segments: Sequence[SegmentRow]) -> dict[str, str]:
    """Return the SHA-256 of every file that a catalog names but the vocabulary's, by its path."""
    expected = {
        f"segments/{row.id}/{name}": digest
        for row in segments
        for name, digest in row.files.items()
    }
    for kind in ("statistics", "names", "graph"):
        digests = meta.get(f"{kind}_files", {}).items()
        expected |= {f"{meta[kind]}/{name}": digest for name, digest in digests}
    return expected


def vocabulary_files(meta: dict[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of every file of an index's vocabulary, by its path in the index."""
    digests = meta.get("vocabulary_files", {}).items()
    return {f"{meta['vocabulary']}/{name}": digest for name, digest in digests}


def damaged_among(folder: Path, files: dict[str, str]) -> list[str]:
    """Return those of an index's files that are missing or differ from their SHA-256."""
    return [name for name, digest in files.items() if file_sha256(folder / name) != digest]
