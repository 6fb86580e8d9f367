"""An open index, in one folder or in several."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bovw.errors import FormatError
from bovw.index.checksums import damaged_among
from bovw.index.joined import Joined, open_shards
from bovw.index.manifest import MANIFEST, parts_of, read_manifest
from bovw.index.rows import ImageRow
from bovw.index.snapshot import Snapshot
from bovw.records import Ints, InvertedFile


class Index:
    """An open index; later changes to its folder do not affect it.

    parts     the shards, or the one folder
    meta      the catalog's values for the whole index
    names     the images' names by number; statistics.live is False for a removed image
    segments  their postings; `starts` [segments] is the number of each one's first image
    graph     the images that show the same thing; None if they are not linked
    decoys    what chance gives here; None if the index is not calibrated
    """

    def __init__(self, folder: Path) -> None:
        """Open the index in `folder`; see `Index.open`."""
        self.folder = folder
        while True:
            manifest = read_manifest(folder)
            try:
                self._open(manifest)
                return
            except FormatError:
                # The shared statistics may have been recomputed in between.
                if read_manifest(folder) == manifest:
                    raise

    @classmethod
    def open(cls, folder: Path | str) -> Index:
        """Open the index in `folder` as it is now.

        Raises FormatError if there is none, or it is damaged or of a newer format.
        """
        return cls(Path(folder))

    def _open(self, manifest: dict[str, Any]) -> None:
        self.joined: Joined | None = None
        if manifest:
            self.parts = open_shards(self.folder, manifest)
            self.joined = Joined(self.folder, manifest, self.parts)
        else:
            self.parts = [Snapshot(self.folder)]
        whole = self.joined or self.parts[0]
        self.meta: dict[str, Any] = whole.meta
        self.statistics, self.names = whole.statistics, whole.names
        self.graph, self.decoys = whole.graph, whole.decoys
        self.segments = [segment for part in self.parts for segment in part.segments]
        self.segment_rows = [row for part in self.parts for row in part.segment_rows]
        self.starts = np.cumsum([0, *(row.images for row in self.segment_rows)])[:-1]

    def __len__(self) -> int:
        return int(self.statistics.live.sum())

    @property
    def skipped(self) -> int:
        """How many images are on record that cannot be used; asks the catalog."""
        return sum(part.skipped() for part in self.parts)

    @property
    def vocabulary_folder(self) -> Path:
        """The folder of the index's copy of the vocabulary; every shard has one."""
        return self.parts[0].vocabulary_folder

    @property
    def features(self) -> int:
        """How many features are indexed, without those of removed images."""
        return int(self.statistics.features.sum(dtype=np.int64))

    @property
    def removed(self) -> int:
        """How many postings in the segments belong to removed images."""
        return sum(row.features for row in self.segment_rows) - self.features

    @property
    def inverted_files(self) -> list[InvertedFile]:
        """The postings of each segment, for rankings."""
        return [segment.inverted_file for segment in self.segments]

    @cached_property
    def sizes(self) -> Ints:
        """Width and height of every image in pixels: int32 [images, 2]."""
        return np.concatenate([np.empty((0, 2), np.int32), *(s.sizes for s in self.segments)])

    def path(self, image: int) -> Path:
        """Return an image's path when it was indexed."""
        return self.names.path(image)

    def images(self) -> list[ImageRow]:
        """Read the catalog's row of every image, skipped ones too, by name.

        Raises FormatError if they no longer match the open index.
        """
        if not self.joined:
            return self.parts[0].images()
        rows = [row for part in self.parts for row in part.images()]
        return sorted(rows, key=lambda row: row.name)

    def outdated(self) -> bool:
        """Tell whether the index has changed since it was opened, or was built anew."""
        if parts_of(self.folder) != [part.folder for part in self.parts]:
            return True  # there are other shards now, or none
        if self.joined:
            kept = read_manifest(self.folder).get("joined", {}).get("files", {})
            if kept != self.joined.files:
                return True
        return any(part.outdated() for part in self.parts)

    def files(self) -> dict[str, str]:
        """Return the SHA-256 of every file except the vocabulary's, by its path in the index."""
        own = self.joined.files if self.joined else {}
        return own | {
            self._inside(part, name): digest
            for part in self.parts
            for name, digest in part.files().items()
        }

    def damaged_files(self) -> list[str]:
        """Return the files that are missing or differ from their checksums; reads them all."""
        own = damaged_among(self.folder, self.joined.files) if self.joined else []
        return own + [
            self._inside(part, name) for part in self.parts for name in part.damaged_files()
        ]

    def bytes(self) -> dict[str, int]:
        """Return the size of every file except the vocabulary's, by its path in the index."""
        own = (MANIFEST, *self.joined.files) if self.joined else ()
        return {name: (self.folder / name).stat().st_size for name in own} | {
            self._inside(part, name): size
            for part in self.parts
            for name, size in part.bytes().items()
        }

    def _inside(self, part: Snapshot, name: str) -> str:
        """Return a file's path in the index from its path in a part."""
        return f"{part.folder.name}/{name}" if self.joined else name
