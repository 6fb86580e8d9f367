"""Reading an index: a snapshot of its segments, names and statistics."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bovw.errors import FormatError
from bovw.index.arrays import file_sha256
from bovw.index.catalog import FILE, Catalog, ImageRow
from bovw.index.graph import Graph
from bovw.index.names import Names
from bovw.index.segment import Segment
from bovw.index.statistics import Statistics
from bovw.index.writer import IndexWriter
from bovw.records import Ints


class Index:
    """An opened index, which later changes to its folder do not touch.

    names     the indexed images by their numbers
    segments  their postings; `starts` [segments] is the number of each one's first image
    """

    def __init__(self, folder: Path) -> None:
        """Open the index in `folder`; see `Index.open`."""
        self.folder = Path(folder)
        catalog = Catalog(self.folder)
        try:
            self.meta: dict[str, Any] = catalog.meta
            self._segment_rows = catalog.segments()
        finally:
            catalog.close()
        if not self.meta:
            raise FormatError(
                f"the index in {folder} is not finished: index the images again with `bovw index`"
            )
        self.segments = [
            Segment.open(self.folder / "segments" / str(row.id)) for row in self._segment_rows
        ]
        self.starts = np.cumsum([0, *(row.images for row in self._segment_rows)])[:-1]
        self.statistics = Statistics.load(self.folder / self.meta["statistics"])
        self.names = Names.load(self.folder / self.meta["names"])
        self._check_lengths()

    @classmethod
    def open(cls, folder: Path | str) -> Index:
        """Open the index in `folder`.

        Raises FormatError where there is none, or it is damaged or of a newer format.
        """
        return cls(Path(folder))

    @staticmethod
    def create(
        folder: Path | str, words: int, bits: int, fingerprint: str, options: dict[str, Any]
    ) -> IndexWriter:
        """Start an index whose postings are words of the vocabulary with that fingerprint.

        Nothing in `folder` changes for readers before the writer commits.
        """
        return IndexWriter(Path(folder), words, bits, fingerprint, options)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def vocabulary_folder(self) -> Path:
        """Where the index keeps its copy of the vocabulary."""
        return self.folder / str(self.meta["vocabulary"])

    @property
    def features(self) -> int:
        """How many features are indexed."""
        return sum(row.features for row in self._segment_rows)

    @cached_property
    def sizes(self) -> Ints:
        """Width and height of every image in pixels: int32 [images, 2]."""
        return np.concatenate([np.empty((0, 2), np.int32), *(s.sizes for s in self.segments)])

    @cached_property
    def graph(self) -> Graph | None:
        """Which images show the same thing, where they have been linked."""
        if "graph" not in self.meta:
            return None
        return Graph.open(self.folder / self.meta["graph"], len(self))

    def images(self) -> list[ImageRow]:
        """Read the catalog's row of every image, skipped ones too, by name.

        Raises FormatError where they are not those of the index.
        """
        catalog = Catalog(self.folder)
        try:
            rows = catalog.images()
        finally:
            catalog.close()
        if sum(row.status == "ok" for row in rows) != len(self):
            raise self._misfit()
        return rows

    def path(self, image: int) -> Path:
        """Return where an image lay when it was indexed."""
        return self.names.path(image)

    def files(self) -> dict[str, str]:
        """Return the SHA-256 of every file, by its path in the index, as the catalog has it."""
        expected = {
            f"segments/{row.id}/{name}": digest
            for row in self._segment_rows
            for name, digest in row.files.items()
        }
        for kind in ("statistics", "names", "graph"):
            digests = self.meta.get(f"{kind}_files", {}).items()
            expected |= {f"{self.meta[kind]}/{name}": digest for name, digest in digests}
        return expected

    def damaged_files(self) -> list[str]:
        """Return the files that are missing or differ from their checksums; reads them all."""
        return [n for n, digest in self.files().items() if file_sha256(self.folder / n) != digest]

    def bytes(self) -> dict[str, int]:
        """Return the size of every file but the vocabulary's, by its path in the index."""
        return {name: (self.folder / name).stat().st_size for name in (FILE, *self.files())}

    def _check_lengths(self) -> None:
        """Raise FormatError where arrays are longer or shorter than the catalog says."""
        words, columns = self.meta["words"], ("signatures", "positions", "frames")
        fits = [
            {len(getattr(segment, name)) for name in columns} == {row.features}
            and (len(segment.sizes), len(segment.offsets), len(segment.places))
            == (row.images, words + 1, words + 1)
            and 64 * segment.signatures.shape[1] == self.meta["bits"]
            for row, segment in zip(self._segment_rows, self.segments, strict=True)
        ]
        counted = {len(getattr(self.statistics, n)) for n in ("features", "distinct")}
        fits.append(counted == {len(self.names)} and len(self.statistics.weights) == words)
        held = sum(row.images for row in self._segment_rows)
        text = np.r_[0, self.names.ends]
        fits.append(len(self.names.order) == len(self.names) and bool((np.diff(text) >= 0).all()))
        fits.append(text[-1] == len(self.names.text))
        if not all(fits) or held != len(self.names):
            raise self._misfit()

    def _misfit(self) -> FormatError:
        return FormatError(
            f"the files of {self.folder} do not fit its catalog: index the images again with "
            "`bovw index`"
        )
