"""The writer of an index: adds, removes and renames images, and commits them together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bovw.compute.files import file_sha256, sync_folder
from bovw.errors import FormatError, damaged_file
from bovw.index.arrays import Arrays
from bovw.index.building import SegmentBuilder, StoredSegment
from bovw.index.catalog import FILE, Catalog, no_index, read_meta, stage, take_staged
from bovw.index.committed import Committed
from bovw.index.layout import check_folders
from bovw.index.leftovers import check_free, remove_beginnings
from bovw.index.lock import WriterLock
from bovw.index.merging import LiveSegments
from bovw.index.names import Names
from bovw.index.rows import ImageRow
from bovw.index.segment import Segment
from bovw.index.statistics import Statistics
from bovw.records import Features, Words

MakeComponent = Callable[[Names], Arrays]
# The segment number of images that are not in a segment yet.
PENDING = 0


class IndexWriter:
    """The one writer of an index; readers see its changes all at once, after the commit.

    Use it in a `with`, or `close` it, to let the next writer in. Uncommitted changes are dropped.

    rows  every image by name, as the catalog will have it after the commit
    meta  the catalog's values for the whole index
    committed  what the last commit holds
    """

    def __init__(self, folder: Path, meta: dict[str, Any] | None = None) -> None:
        """Open the index in `folder`, or start one that `meta` describes; see `create`."""
        self.folder = Path(folder)
        self.rows: dict[str, ImageRow] = {}
        self._changed: set[str] = set()
        self._given: dict[str, MakeComponent] = {}
        self._staged = False
        self.committed = Committed(self.folder)
        self._lock = WriterLock(self.folder)
        self._lock.acquire()
        try:
            check_folders(self.folder)
            self._segments = LiveSegments(self.folder)
            self.meta = self._read() if meta is None else meta
            self._vocabulary = self.committed.vocabulary or self.renew_vocabulary().name
            self._start_segment()
        except BaseException:
            self._lock.release()
            raise

    @classmethod
    def create(
        cls, folder: Path, words: int, bits: int, fingerprint: str, options: dict[str, Any]
    ) -> Self:
        """Start an index in the words of the vocabulary with this fingerprint.

        options  how the images are described, for people and for later updates

        Raises FormatError if `folder` holds something already.
        """
        check_free(Path(folder))
        Path(folder).mkdir(parents=True, exist_ok=True)
        meta = {"words": words, "bits": bits, "fingerprint": fingerprint, "options": options}
        return cls(folder, meta)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open an index to change it; raises FormatError if there is none, or it is damaged."""
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
        """Remove what was written and not committed, and let the next writer in."""
        # Shards may have been told to take what is staged.
        if not self._staged:
            self.committed.remove_others()
        self._lock.release()

    def abandon(self) -> None:
        """Remove the folder if nothing was ever committed to it."""
        if not self.committed.meta:
            remove_beginnings(self.folder)

    @property
    def vocabulary_folder(self) -> Path:
        """The folder where the caller saves the vocabulary's copy, before the first commit."""
        return self.folder / str(self._vocabulary)

    def renew_vocabulary(self) -> Path:
        """Return the folder for a new copy of the vocabulary, which the next commit takes.

        The present one stays until then.
        """
        self._vocabulary = self.committed.other_vocabulary(self.meta["fingerprint"])
        return self.vocabulary_folder

    def add(self, row: ImageRow, features: Features, words: Words) -> None:
        """Add an image with one word per feature, or replace the image of that name."""
        number = self._builder.add(features, words.ids[:, 0], words.signatures[:, 0])
        row = replace(row, segment=PENDING, number=number)
        self._put(row)
        self._slots.append(row)
        self._features += len(features)
        if self._segments.is_full(self._features):
            self._flush()

    def adopt(self, segment: Segment | StoredSegment, rows: Sequence[ImageRow]) -> None:
        """Add the images of a whole segment; `rows` are in its order."""
        self._flush()
        for row in rows:
            self._put(row)
        self._segments.save(segment, rows)
        self._take_moved()

    def skip(self, row: ImageRow) -> None:
        """Record an image that cannot be used."""
        self._put(replace(row, features=0, segment=None, number=None))

    def remove(self, name: str) -> None:
        """Remove an image, or the record of a skipped one."""
        row = self.rows.pop(name)
        self._changed.add(name)
        self._vacate(row, None)

    def rename(self, name: str, row: ImageRow) -> None:
        """Give an image the name, folder, size and time of `row`; its features stay."""
        old = self.rows.pop(name)
        row = replace(row, segment=old.segment, number=old.number)
        self._changed |= {name, row.name}
        if row.name != name and row.name in self.rows:
            self.remove(row.name)
        self.rows[row.name] = row
        self._vacate(old, row)

    def damaged_segments(self) -> list[int]:
        """Return the segments that differ from their checksums; reads them all."""
        return self._segments.damaged()

    def discard(self, segment: int) -> list[str]:
        """Drop a segment that cannot be read, and its images; return their names."""
        lost = self._segments.discard(segment)
        for name in lost:
            del self.rows[name]
        self._changed.update(lost)
        return lost

    def put(self, kind: str, make: MakeComponent) -> None:
        """Replace a component that not every commit makes; it is made of the images' names."""
        self._given[kind] = make

    def compact(self) -> None:
        """Rewrite segments without their removed images, and merge small ones."""
        self._segments.compact()
        self._take_moved()

    def commit(self, anew: bool = False, staged: bool = False) -> None:
        """Commit all changes at once, then remove unused files.

        anew    rewrite what follows from the segments, even if nothing has changed
        staged  write everything but the commit, which `take_staged` makes
        """
        self._flush()
        self._segments.merge()
        self._take_moved()
        renumbered = self._segments.renumbered
        renewed = self._vocabulary != self.meta.get("vocabulary")
        if not (self._changed or renumbered or self._given or renewed or anew):
            self.committed.remove_others()
            return
        number = self._segments.take_number()
        written = self._components()
        # A graph holds the images' numbers.
        lost = self.committed.damaged() | ({"graph"} if renumbered else set())
        made_anew = {"digest", *lost, *(f"{kind}_files" for kind in lost)}
        meta = {key: value for key, value in self.meta.items() if key not in made_anew}
        if renewed:
            meta["vocabulary"] = self._vocabulary
            words = sorted(self.vocabulary_folder.iterdir())
            meta["vocabulary_files"] = {path.name: file_sha256(path) for path in words}
        for kind, arrays in written.items():
            meta[kind] = f"{kind}/{number}"
            meta[f"{kind}_files"] = arrays.save(self.folder / meta[kind])
        sync_folder(self.folder)
        self._write(meta, staged)
        self._segments.committed()
        if not staged:
            self.committed.remove_others()

    def take_staged(self) -> None:
        """Commit what is staged, if anything is; then remove unused files."""
        take_staged(self.folder)
        self._staged = False
        self.committed.remove_others()

    def _components(self) -> dict[str, Arrays]:
        """Return the statistics and names of the present segments, and the components given."""
        slots = [slot for one in self._segments.states for slot in one.slots]
        texts = [(slot.folder, slot.name) if slot else ("", "") for slot in slots]
        names = Names.of(texts)
        written: dict[str, Arrays] = {
            "statistics": Statistics.of(self._segments.count(), self.meta["words"]),
            "names": names,
        }
        return written | {kind: make(names) for kind, make in self._given.items()}

    def _read(self) -> dict[str, Any]:
        """Read the catalog, after SQLite has dropped a killed commit; return its meta."""
        catalog = Catalog(self.folder, writer=True)
        try:
            for problem in catalog.problems():
                raise FormatError(f"{problem}: delete the folder and index the images again")
            for held in catalog.segments():
                self._segments.hold(held)
            self.rows = {row.name: row for row in catalog.images()}
        finally:
            catalog.close()
        for row in self.rows.values():
            indexed = row.segment is not None and row.number is not None
            if indexed and not self._segments.place(row):
                raise damaged_file(
                    self.folder / FILE, f"{row.name!a} is in no segment, or where another is"
                )
        self.committed = Committed(self.folder, catalog.meta, self._segments.numbers)
        return catalog.meta

    def _write(self, meta: dict[str, Any], staged: bool) -> None:
        self._staged = staged
        file = stage(self.folder) if staged else FILE
        catalog = Catalog(self.folder, writer=True, file=file)
        try:
            with catalog.transaction():
                catalog.put_meta(meta)
                catalog.put_segments(one.row for one in self._segments.states)
                rows = [self.rows[name] for name in sorted(self._changed & self.rows.keys())]
                catalog.put_images(self._changed - self.rows.keys(), rows)
                catalog.write_digest()
        finally:
            catalog.close()
        self.meta = catalog.meta
        self.committed = Committed(self.folder, self.meta, self._segments.numbers)
        self._changed.clear()
        self._given = {}

    def _put(self, row: ImageRow) -> None:
        old = self.rows.get(row.name)
        if old:
            self._vacate(old, None)
        self.rows[row.name] = row
        self._changed.add(row.name)

    def _vacate(self, old: ImageRow, new: ImageRow | None) -> None:
        """Give an image's slot to another image, or empty it."""
        if old.segment is None or old.number is None:
            return
        if old.segment == PENDING:
            self._slots[old.number] = new
            return
        self._segments.vacate(old, new)

    def _start_segment(self) -> None:
        self._builder = SegmentBuilder(self.meta["words"], self.meta["bits"])
        self._slots: list[ImageRow | None] = []
        self._features = 0

    def _flush(self) -> None:
        """Write the gathered images as a segment."""
        if self._slots:
            self._segments.save(self._builder.segment(), self._slots)
            self._take_moved()
            self._start_segment()

    def _take_moved(self) -> None:
        """Update the rows of images whose place in the segments has changed."""
        moved = self._segments.take_moved()
        self.rows |= moved
        self._changed |= moved.keys()
