"""Changing an index: images are added, removed and renamed, and committed together."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from bovw.errors import FormatError, damaged_file
from bovw.index.arrays import Arrays, file_sha256, sync_folder
from bovw.index.catalog import FILE, Catalog, ImageRow, SegmentRow, no_index, read_meta
from bovw.index.graph import Graph
from bovw.index.layout import KINDS, check_free, unused
from bovw.index.lock import WriterLock
from bovw.index.names import Names
from bovw.index.segment import Gathering, Segment, Written, merge
from bovw.index.statistics import Bools, Counts, Statistics
from bovw.records import Features, Words

# Most features of a segment, but for an image that alone has more: about 0.6 GB of memory while
# they are gathered or merged.
SEGMENT_FEATURES = 20_000_000
# A segment is merged with those after it once they are together more than this share of it. There
# are then no more segments than the logarithm of the images, and a posting is rewritten as seldom.
MERGE_SHARE = 1 / 4
# A segment is rewritten once this share of its features is of removed images.
MOST_REMOVED = 1 / 2
# The segment of images that are not in one yet.
GATHERED = 0


@dataclass
class Live:
    """A segment as the writer sees it.

    slots   the image of every number, None for a removed one
    counts  what its live images hold, once that is needed
    """

    row: SegmentRow
    slots: list[ImageRow | None]
    counts: Counts | None = None

    @property
    def live(self) -> Bools:
        """Which numbers have an image: bool [images]."""
        return np.array([slot is not None for slot in self.slots], np.bool_)

    @property
    def features(self) -> int:
        """How many features its live images have."""
        return sum(slot.features for slot in self.slots if slot)


class IndexWriter:
    """The one writer of an index; readers see what it does once it commits, all at once.

    Use it in a `with`, or `close` it, to let the next writer in. What is not committed is dropped.

    rows  every image by name, as the catalog will have it after the commit
    meta  what the catalog says of the whole index
    """

    def __init__(self, folder: Path, meta: dict[str, Any] | None = None) -> None:
        """Open the index in `folder`, or start one that `meta` describes; see `create`."""
        self.folder = Path(folder)
        self.rows: dict[str, ImageRow] = {}
        self._segments: dict[int, Live] = {}
        self._changed: set[str] = set()
        self._graph: Graph | None = None
        # Whether the commit changes the numbers of images, which a graph is made of.
        self._renumbered = False
        self._lock = WriterLock(self.folder)
        self._lock.acquire()
        try:
            self.meta = self._read() if meta is None else meta
            self._last = self._committed = self._last_number()
            self._start_segment()
        except BaseException:
            self._lock.release()
            raise

    @classmethod
    def create(
        cls, folder: Path, words: int, bits: int, fingerprint: str, options: dict[str, Any]
    ) -> Self:
        """Start an index whose postings are words of the vocabulary with that fingerprint.

        options  how the images are described, for people and for later updates

        Raises FormatError where `folder` holds something already.
        """
        check_free(Path(folder))
        Path(folder).mkdir(parents=True, exist_ok=True)
        meta = {"words": words, "bits": bits, "fingerprint": fingerprint, "options": options}
        return cls(folder, meta)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open an index to change it; raises FormatError where there is none, or it is damaged."""
        if not read_meta(Path(folder)):
            raise no_index(Path(folder))
        return cls(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the next writer in."""
        self._lock.release()

    def abandon(self) -> None:
        """Leave no folder behind where there was no index before."""
        if not (self.folder / FILE).exists():
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def vocabulary_folder(self) -> Path:
        """Where the caller puts the index's copy of the vocabulary, before the first commit."""
        return self.folder / f"vocabulary-{self.meta['fingerprint'][:16]}"

    def add(self, row: ImageRow, features: Features, words: Words) -> None:
        """Add an image with one word a feature, or replace the one of its name."""
        number = self._gathering.add(features, words.ids[:, 0], words.signatures[:, 0])
        row = replace(row, segment=GATHERED, number=number)
        self._put(row)
        self._slots.append(row)
        self._features += len(features)
        if self._features >= SEGMENT_FEATURES:
            self._flush()

    def adopt(self, segment: Segment | Written, rows: Sequence[ImageRow]) -> None:
        """Add the images of a whole segment, whose rows are in its order."""
        self._flush()
        for row in rows:
            self._put(row)
        self._save(segment, rows)

    def skip(self, row: ImageRow) -> None:
        """Put an image that cannot be used on record."""
        self._put(replace(row, features=0, segment=None, number=None))

    def remove(self, name: str) -> None:
        """Remove an image, or its record where it was skipped."""
        row = self.rows.pop(name)
        self._changed.add(name)
        self._vacate(row, None)

    def rename(self, name: str, row: ImageRow) -> None:
        """Let an image have the name, folder, size and time of `row`, with the same features."""
        old = self.rows.pop(name)
        row = replace(row, segment=old.segment, number=old.number)
        self._changed |= {name, row.name}
        if row.name != name and row.name in self.rows:
            self.remove(row.name)
        self.rows[row.name] = row
        self._vacate(old, row)

    def damaged_segments(self) -> list[int]:
        """Return the segments that differ from their checksums; reads them all."""
        return [
            id
            for id, one in sorted(self._segments.items())
            for folder in [self.folder / "segments" / str(id)]
            if any(file_sha256(folder / n) != digest for n, digest in one.row.files.items())
        ]

    def discard(self, segment: int) -> list[str]:
        """Drop a segment that cannot be read, and its images: their names."""
        lost = [slot.name for slot in self._segments[segment].slots if slot]
        for name in lost:
            self.remove(name)
        del self._segments[segment]
        return lost

    def put_graph(self, graph: Graph) -> None:
        """Replace the graph of images that show the same thing."""
        self._graph = graph

    def compact(self) -> None:
        """Rewrite what is left of segments with removed images, and merge small ones."""
        group: list[int] = []
        for id in [*sorted(self._segments), None]:
            total = sum(self._segments[i].features for i in group)
            if id is None or total + self._segments[id].features > SEGMENT_FEATURES:
                if len(group) > 1 or any(None in self._segments[i].slots for i in group):
                    self._rewrite(group)
                group = []
            if id is not None:
                group.append(id)

    def commit(self, anew: bool = False) -> None:
        """Make all changes the index's content at once, then remove files that nothing uses.

        anew  write what follows from the segments again, also where there are no changes
        """
        self._flush()
        self._merge()
        unchanged = not (self._changed or self._renumbered or self._graph) and not anew
        if unchanged and "names" in self.meta:
            self._clear_up()
            return
        number = self._take_number()
        segments = [self._segments[id] for id in sorted(self._segments)]
        counts = [self._counts(one) for one in segments]
        slots = [slot for one in segments for slot in one.slots]
        texts = [(slot.folder, slot.name) if slot else ("", "") for slot in slots]
        written: dict[str, Arrays] = {
            "statistics": Statistics.of(counts, self.meta["words"]),
            "names": Names.of(texts),
        }
        made_anew = ("graph", "graph_files", "digest")
        meta = {key: value for key, value in self.meta.items() if key not in made_anew}
        if self._graph:
            written["graph"] = self._graph
        elif not self._renumbered and self._has_whole_graph():
            meta |= {key: self.meta[key] for key in ("graph", "graph_files")}
        meta["vocabulary"] = self.vocabulary_folder.name
        if anew or "vocabulary_files" not in meta:
            words = sorted(self.vocabulary_folder.iterdir())
            meta["vocabulary_files"] = {path.name: file_sha256(path) for path in words}
        for kind, arrays in written.items():
            meta[kind] = f"{kind}/{number}"
            meta[f"{kind}_files"] = arrays.save(self.folder / meta[kind])
        sync_folder(self.folder)
        self._write(meta, [one.row for one in segments])
        self._committed = self._last
        self._clear_up()

    def _has_whole_graph(self) -> bool:
        folder = self.folder / str(self.meta.get("graph"))
        digests = self.meta.get("graph_files", {})
        return bool(digests) and all(file_sha256(folder / n) == d for n, d in digests.items())

    def _read(self) -> dict[str, Any]:
        """Read the catalog; return its meta."""
        catalog = Catalog(self.folder)
        try:
            for problem in catalog.problems():
                raise FormatError(f"{problem}: delete the folder and index the images again")
            for held in catalog.segments():
                self._segments[held.id] = Live(held, [None] * held.images)
            self.rows = {row.name: row for row in catalog.images()}
        finally:
            catalog.close()
        for row in self.rows.values():
            if row.segment is not None and row.number is not None:
                live = self._segments.get(row.segment)
                if live is None or not 0 <= row.number < len(live.slots):
                    raise damaged_file(self.folder / FILE, f"{row.name} is in no segment")
                live.slots[row.number] = row
        return catalog.meta

    def _write(self, meta: dict[str, Any], segments: list[SegmentRow]) -> None:
        catalog = Catalog(self.folder, create=True)
        try:
            with catalog.transaction():
                catalog.put_meta(meta)
                catalog.put_segments(segments)
                rows = [self.rows[name] for name in sorted(self._changed & self.rows.keys())]
                catalog.put_images(self._changed - self.rows.keys(), rows)
                catalog.seal()
        finally:
            catalog.close()
        self.meta = catalog.meta
        self._changed.clear()
        self._graph = None
        self._renumbered = False

    def _put(self, row: ImageRow) -> None:
        old = self.rows.get(row.name)
        if old:
            self._vacate(old, None)
        self.rows[row.name] = row
        self._changed.add(row.name)

    def _vacate(self, old: ImageRow, new: ImageRow | None) -> None:
        """Give the place of an image to another, or to none."""
        if old.segment is None or old.number is None:
            return
        if old.segment == GATHERED:
            self._slots[old.number] = new
            return
        holder = self._segments[old.segment]
        holder.slots[old.number] = new
        if new is None:
            holder.counts = None
            self._renumbered = True

    def _start_segment(self) -> None:
        self._gathering = Gathering(self.meta["words"], self.meta["bits"])
        self._slots: list[ImageRow | None] = []
        self._features = 0

    def _flush(self) -> None:
        """Write what was gathered as a segment."""
        if self._slots:
            self._save(self._gathering.segment(), self._slots)
            self._start_segment()

    def _save(self, segment: Segment | Written, slots: Sequence[ImageRow | None]) -> None:
        """Write a segment, and put the images in its slots there."""
        id = self._take_number()
        place = self.folder / "segments" / str(id)
        files = segment.move(place) if isinstance(segment, Written) else segment.save(place)
        placed = [
            replace(slot, segment=id, number=number) if slot else None
            for number, slot in enumerate(slots)
        ]
        self.rows |= {row.name: row for row in placed if row}
        self._changed |= {row.name for row in placed if row}
        self._segments[id] = Live(SegmentRow(id, len(slots), len(segment), files), placed)
        self._renumbered = True

    def _merge(self) -> None:
        """Keep segments few and mostly of live images; see MERGE_SHARE and MOST_REMOVED."""
        fresh = {id for id in self._segments if id > self._committed}
        for id, one in list(self._segments.items()):
            if not any(one.slots) or one.features < (1 - MOST_REMOVED) * one.row.features:
                self._rewrite([id])
        ids = sorted(self._segments)
        features = [self._segments[id].features for id in ids]
        last = len(ids) - 1
        total = sum(features[last:])
        # Those of one commit become one, whatever their sizes: a cluster's workers write many.
        while last > 0 and (ids[last - 1] in fresh or features[last - 1] * MERGE_SHARE < total):
            if total + features[last - 1] > SEGMENT_FEATURES:
                break
            last -= 1
            total += features[last]
        if ids[last + 1 :]:
            self._rewrite(ids[last:])

    def _rewrite(self, ids: Sequence[int]) -> None:
        """Put the live images of segments into one new segment."""
        old = [self._segments.pop(id) for id in ids]
        self._renumbered = True
        if not any(any(one.slots) for one in old):
            return
        # With checksums of its own, what is damaged would pass for what was written.
        for one in old:
            for name, digest in one.row.files.items():
                path = self.folder / "segments" / str(one.row.id) / name
                if file_sha256(path) != digest:
                    raise damaged_file(path, "it is not what was written")
        merged = merge([self._opened(one) for one in old], [one.live for one in old])
        self._save(merged, [slot for one in old for slot in one.slots if slot])

    def _counts(self, one: Live) -> Counts:
        if one.counts is None:
            one.counts = Counts.of(self._opened(one), one.live)
        return one.counts

    def _opened(self, one: Live) -> Segment:
        return Segment.open(self.folder / "segments" / str(one.row.id))

    def _last_number(self) -> int:
        entries = (e.name for kind in KINDS for e in (self.folder / kind).glob("[0-9]*"))
        return max((int(name) for name in entries if name.isdecimal()), default=0)

    def _take_number(self) -> int:
        self._last += 1
        return self._last

    def _clear_up(self) -> None:
        for path in unused(self.folder, self.meta, self._segments):
            shutil.rmtree(path, ignore_errors=True)
