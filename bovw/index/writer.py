"""Building an index: gather images into segments, then commit everything at once."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from bovw.errors import FormatError, NewerFormatError
from bovw.index.catalog import FILE, Catalog, ImageRow, SegmentRow
from bovw.index.graph import Graph
from bovw.index.names import Names
from bovw.index.segment import Gathering, Segment
from bovw.index.statistics import Statistics
from bovw.records import Features, Words

# Features gathered in memory before they are written out: about 0.6 GB at 26 bytes each.
SEGMENT_FEATURES = 20_000_000


class IndexWriter:
    """Replaces whatever an index holds, in one commit; until then the old one stays as it was.

    folder       the index
    words, bits  of the vocabulary whose words are added
    fingerprint  of that vocabulary
    options      how the images were described, for people and for later updates
    """

    def __init__(
        self, folder: Path, words: int, bits: int, fingerprint: str, options: dict[str, Any]
    ) -> None:
        self._folder = Path(folder)
        check_replaceable(self._folder)
        self._words = words
        self._bits = bits
        self._meta: dict[str, Any] = {
            "words": words,
            "bits": bits,
            "fingerprint": fingerprint,
            "options": options,
        }
        self._first = self._next_number()
        self._gathering = Gathering(words, bits)
        self._features = 0
        self._rows: list[ImageRow] = []
        self._segments: list[SegmentRow] = []

    def add(self, row: ImageRow, features: Features, words: Words) -> None:
        """Add an image with one word a feature; `row` needs no segment and number."""
        number = self._gathering.add(features, words.ids[:, 0], words.signatures[:, 0])
        segment = self._first + len(self._segments)
        self._rows.append(replace(row, segment=segment, number=number))
        self._features += len(features)
        if self._features >= SEGMENT_FEATURES:
            self._flush()

    def skip(self, row: ImageRow) -> None:
        """Put an image that cannot be used on record."""
        self._rows.append(row)

    @property
    def vocabulary_folder(self) -> Path:
        """Where the caller puts the index's copy of the vocabulary, before the commit."""
        return self._folder / f"vocabulary-{self._meta['fingerprint'][:16]}"

    def commit(self) -> None:
        """Make everything added since the start the index's content, then clear up the old."""
        self._flush()
        vocabulary = self.vocabulary_folder.name
        statistics = f"statistics/{self._first}"
        segments = [Segment.open(self._folder / "segments" / str(s.id)) for s in self._segments]
        files = Statistics.of(segments, self._words).save(self._folder / statistics)
        names = f"names/{self._first}"
        indexed = ((row.folder, row.name) for row in self._rows if row.segment is not None)
        places = {
            "vocabulary": vocabulary,
            "statistics": statistics,
            "statistics_files": files,
            "names": names,
            "names_files": Names.of(indexed).save(self._folder / names),
        }
        if not _is_readable(self._folder):
            (self._folder / FILE).unlink(missing_ok=True)
        catalog = Catalog(self._folder, create=True)
        with catalog.transaction():
            catalog.replace({**self._meta, **places}, self._segments, self._rows)
        catalog.close()
        self._clear_up(vocabulary)

    def abandon(self) -> None:
        """Leave no folder behind where there was no index before."""
        if not (self._folder / FILE).exists():
            shutil.rmtree(self._folder, ignore_errors=True)

    def _next_number(self) -> int:
        used = [
            int(entry.name)
            for kind in ("segments", "statistics", "names")
            for entry in (self._folder / kind).glob("[0-9]*")
        ]
        return max(used, default=0) + 1

    def _flush(self) -> None:
        if not len(self._gathering) and self._segments:
            return
        number = self._first + len(self._segments)
        segment = self._gathering.segment()
        files = segment.save(self._folder / "segments" / str(number))
        self._segments.append(SegmentRow(number, len(segment.sizes), len(segment), files))
        self._gathering = Gathering(self._words, self._bits)
        self._features = 0

    def _clear_up(self, vocabulary: str) -> None:
        live = {str(segment.id) for segment in self._segments}
        old = [p for p in (self._folder / "segments").iterdir() if p.name not in live]
        for kind in ("statistics", "names"):
            old += [p for p in (self._folder / kind).iterdir() if p.name != str(self._first)]
        old += [self._folder / "graph"]
        old += [p for p in self._folder.glob("*vocabulary-*") if p.name != vocabulary]
        for folder in old:
            shutil.rmtree(folder, ignore_errors=True)


def commit_graph(folder: Path, statistics: str, graph: Graph) -> None:
    """Make `graph` the index's, in one commit.

    statistics  the live statistics of the images that the graph is of

    Raises FormatError where the index holds other images by now.
    """
    taken = [int(entry.name) for entry in (folder / "graph").glob("[0-9]*")]
    place = f"graph/{max(taken, default=0) + 1}"
    files = graph.save(folder / place)
    catalog = Catalog(folder, create=True)
    try:
        with catalog.transaction():
            if catalog.get("statistics") != statistics:
                raise FormatError(f"the images of {folder} changed meanwhile: link them again")
            catalog.put({"graph": place, "graph_files": files})
    finally:
        catalog.close()
    for old in (folder / "graph").iterdir():
        if old.name != Path(place).name:
            shutil.rmtree(old, ignore_errors=True)


def check_replaceable(folder: Path) -> None:
    """Raise FormatError where an index in `folder` would replace something else, or a newer one."""
    if not folder.exists():
        return
    if not folder.is_dir() or not ((folder / FILE).is_file() or _is_left_over(folder)):
        raise FormatError(f"{folder} is not an index: give another folder to write to")
    _is_readable(folder)


def _is_left_over(folder: Path) -> bool:
    """Tell whether a folder is empty, or holds only what an interrupted first build leaves."""
    return all(
        entry.name in ("segments", "statistics", "names", "graph")
        or entry.name.startswith(("vocabulary-", ".vocabulary-", FILE))
        for entry in folder.iterdir()
    )


def _is_readable(folder: Path) -> bool:
    """Tell whether there is a catalog that can be read; raises NewerFormatError for a newer one."""
    try:
        Catalog(folder).close()
    except NewerFormatError:
        raise
    except FormatError:
        return False
    return True
