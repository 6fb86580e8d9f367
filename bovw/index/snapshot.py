"""A snapshot of one folder of an index: its segments, names and statistics."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from bovw.compute.files import is_regular
from bovw.errors import FormatError
from bovw.index.arrays import lengths
from bovw.index.catalog import FILE, STAGED, Catalog, no_index
from bovw.index.checksums import damaged_among, files_of, vocabulary_files
from bovw.index.decoys import Decoys
from bovw.index.graph import Graph
from bovw.index.layout import inside
from bovw.index.names import Names
from bovw.index.rows import ImageRow
from bovw.index.segment import Segment
from bovw.index.statistics import Statistics


class Snapshot:
    """One folder of an index after a commit; later changes do not affect it.

    See `bovw.index.Index`, which consists of one or more snapshots.
    """

    def __init__(self, folder: Path, staged: bool = False) -> None:
        """Map the files of the last commit; raises as `Index.open` does.

        staged  whether what is staged is committed already, as the shards' manifest says
        """
        self.folder, self._staged = folder, staged
        while True:
            self._read_catalog()
            try:
                self._map_files()
                return
            except FormatError:
                # A writer may have committed in between, and removed the files it replaced.
                if not self.outdated():
                    raise

    @property
    def vocabulary_folder(self) -> Path:
        """The folder of the index's copy of the vocabulary."""
        return inside(self.folder, self.meta["vocabulary"])

    def images(self) -> list[ImageRow]:
        """Read the catalog's row of every image, skipped ones too, by name.

        Raises FormatError if they no longer match the snapshot.
        """
        catalog = self._catalog()
        try:
            rows, meta = catalog.images(), catalog.meta
        finally:
            catalog.close()
        if meta.get("digest") != self.meta["digest"]:
            raise FormatError(f"the index in {self.folder} has changed meanwhile: try again")
        if sum(row.status == "ok" for row in rows) != self.statistics.live.sum():
            raise self._misfit()
        return rows

    def skipped(self) -> int:
        """Count the images on record that cannot be used."""
        catalog = self._catalog()
        try:
            return catalog.skipped()
        finally:
            catalog.close()

    def outdated(self) -> bool:
        """Tell whether the index has changed since it was opened, or was built anew."""
        catalog = self._catalog()
        try:
            return bool(catalog.meta.get("digest") != self.meta["digest"])
        finally:
            catalog.close()

    def files(self) -> dict[str, str]:
        """Return the SHA-256 of every file except the vocabulary's, by its path in the index."""
        return files_of(self.meta, self.segment_rows)

    def damaged_files(self) -> list[str]:
        """Return the files that are missing or differ from their checksums; reads them all."""
        return damaged_among(self.folder, self.files() | vocabulary_files(self.meta))

    def bytes(self) -> dict[str, int]:
        """Return the size of every file except the vocabulary's, by its path in the index."""
        return {name: (self.folder / name).stat().st_size for name in (FILE, *self.files())}

    def _catalog(self) -> Catalog:
        if self._staged and is_regular(self.folder / STAGED):
            with suppress(FormatError):  # it has just been taken
                return Catalog(self.folder, file=STAGED)
        return Catalog(self.folder)

    def _read_catalog(self) -> None:
        catalog = self._catalog()
        try:
            self.meta: dict[str, Any] = catalog.meta
            if not self.meta:
                raise no_index(self.folder)
            self.segment_rows = catalog.segments()
        finally:
            catalog.close()

    def _map_files(self) -> None:
        """Open every file; it stays readable after its removal."""
        self.segments = [
            Segment.open(inside(self.folder, f"segments/{row.id}")) for row in self.segment_rows
        ]
        self.starts = np.cumsum([0, *(row.images for row in self.segment_rows)])[:-1]
        self.statistics = Statistics.load(inside(self.folder, self.meta["statistics"]))
        self.names = Names.load(inside(self.folder, self.meta["names"]))
        self._check_lengths()
        slots = len(self.names)
        graph, calibration = self.meta.get("graph"), self.meta.get("calibration")
        self.graph = Graph.open(inside(self.folder, graph), slots) if graph else None
        self.decoys = Decoys.open(inside(self.folder, calibration)) if calibration else None

    def _check_lengths(self) -> None:
        """Raise FormatError if arrays are longer or shorter than the catalog says."""
        words, bits = self.meta["words"], self.meta["bits"]
        fits = [
            segment.fits(lengths(words, bits, row.images, row.features))
            for row, segment in zip(self.segment_rows, self.segments, strict=True)
        ]
        held = sum(row.images for row in self.segment_rows)
        whole = lengths(words, bits, held, 0)
        if not all(fits) or not self.statistics.fits(whole) or not self.names.fits(whole):
            raise self._misfit()
        if not np.array_equal(self.names.given, self.statistics.live):
            raise self._misfit()

    def _misfit(self) -> FormatError:
        return FormatError(
            f"the files of {self.folder} do not fit its catalog: `bovw check --repair` may help"
        )
