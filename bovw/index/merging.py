"""The segments of an index during a change, kept few and mostly live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from re import fullmatch

import numpy as np

from bovw.errors import damaged_file
from bovw.index.building import StoredSegment, merge
from bovw.index.checksums import damaged_among, segment_files
from bovw.index.layout import NUMBER, NUMBERED, inside
from bovw.index.rows import ImageRow, SegmentRow
from bovw.index.segment import Segment
from bovw.index.statistics import Counts
from bovw.records import Bools

# Most features of a segment, unless one image has more. Gathering or merging them takes about
# 0.6 GB of memory.
SEGMENT_FEATURES = 20_000_000
# A segment is merged with those after it once they exceed this share of it together. The number of
# segments, and of times a posting is rewritten, then stays below the logarithm of the images.
MERGE_SHARE = 1 / 4
# A segment is rewritten once this share of its features belongs to removed images.
MOST_REMOVED = 1 / 2


@dataclass
class SegmentState:
    """A segment as the writer sees it.

    slots   the image of every number, None for a removed one
    counts  of its live images; None until needed
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


class LiveSegments:
    """The segments in an index's folder, by number, and their changes since the last commit.

    moved       rows whose place has changed, by name, until `take_moved` is called
    renumbered  whether images have other numbers than at the last commit
    """

    def __init__(self, folder: Path) -> None:
        """Start with no segment; new numbers follow those in the folder."""
        self._folder = folder
        self._by_id: dict[int, SegmentState] = {}
        entries = (e.name for kind in NUMBERED for e in (folder / kind).glob("*"))
        self._last = max((int(name) for name in entries if fullmatch(NUMBER, name)), default=0)
        self._committed = self._last
        self.moved: dict[str, ImageRow] = {}
        self.renumbered = False

    @property
    def states(self) -> list[SegmentState]:
        """The segments, oldest first."""
        return [self._by_id[id] for id in self.numbers]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the segments, ascending."""
        return tuple(sorted(self._by_id))

    @staticmethod
    def is_full(features: int) -> bool:
        """Tell whether a segment with this many features is full."""
        return features >= SEGMENT_FEATURES

    def hold(self, row: SegmentRow) -> None:
        """Take a segment of the last commit; `place` then fills its slots."""
        self._by_id[row.id] = SegmentState(row, [None] * row.images)

    def place(self, row: ImageRow) -> bool:
        """Put an image in the slot that its row names; return whether it is there and free."""
        state = self._by_id.get(row.segment or 0)
        if state is None or row.number is None or not 0 <= row.number < len(state.slots):
            return False
        if state.slots[row.number] is not None:
            return False
        state.slots[row.number] = row
        return True

    def vacate(self, old: ImageRow, new: ImageRow | None) -> None:
        """Give an image's slot to another image, or empty it."""
        assert old.segment is not None and old.number is not None, "only indexed images have a slot"
        state = self._by_id[old.segment]
        state.slots[old.number] = new
        if new is None:
            state.counts = None
            self.renumbered = True

    def save(self, segment: Segment | StoredSegment, slots: Sequence[ImageRow | None]) -> None:
        """Write a segment, and put the images into its slots."""
        id = self.take_number()
        place = self._path(id)
        files = segment.move(place) if isinstance(segment, StoredSegment) else segment.save(place)
        placed = [
            replace(slot, segment=id, number=number) if slot else None
            for number, slot in enumerate(slots)
        ]
        self.moved |= {row.name: row for row in placed if row}
        self._by_id[id] = SegmentState(SegmentRow(id, len(slots), len(segment), files), placed)
        self.renumbered = True

    def take_moved(self) -> dict[str, ImageRow]:
        """Return the rows whose place has changed since the last call."""
        moved, self.moved = self.moved, {}
        return moved

    def take_number(self) -> int:
        """Return a new number for a folder of the index."""
        self._last += 1
        return self._last

    def committed(self) -> None:
        """Note that the present segments are committed."""
        self._committed = self._last
        self.renumbered = False

    def damaged(self) -> list[int]:
        """Return the segments that differ from their checksums; reads them all."""
        return [one.row.id for one in self.states if self._first_damaged(one)]

    def discard(self, id: int) -> list[str]:
        """Drop a segment that cannot be read; return the names of its images."""
        self.renumbered = True
        return [slot.name for slot in self._by_id.pop(id).slots if slot]

    def compact(self) -> None:
        """Rewrite segments without their removed images, and merge small ones."""
        group: list[int] = []
        for id in [*sorted(self._by_id), None]:
            total = sum(self._by_id[i].features for i in group)
            if id is None or total + self._by_id[id].features > SEGMENT_FEATURES:
                if len(group) > 1 or any(None in self._by_id[i].slots for i in group):
                    self._rewrite(group)
                group = []
            if id is not None:
                group.append(id)

    def merge(self) -> None:
        """Keep segments few and mostly live; see MERGE_SHARE and MOST_REMOVED."""
        fresh = {id for id in self._by_id if id > self._committed}
        for id, one in list(self._by_id.items()):
            if not any(one.slots) or one.features < (1 - MOST_REMOVED) * one.row.features:
                self._rewrite([id])
        ids = sorted(self._by_id)
        features = [self._by_id[id].features for id in ids]
        last = len(ids) - 1
        total = sum(features[last:])
        # One commit's segments become one, whatever their sizes: a cluster's workers write many.
        while last > 0 and (ids[last - 1] in fresh or features[last - 1] * MERGE_SHARE < total):
            if total + features[last - 1] > SEGMENT_FEATURES:
                break
            last -= 1
            total += features[last]
        if ids[last + 1 :]:
            self._rewrite(ids[last:])

    def count(self) -> list[Counts]:
        """Return the counts of each segment's live images; reads only changed segments."""
        for one in self.states:
            if one.counts is None:
                one.counts = Counts.of(self._open(one), one.live)
        return [one.counts for one in self.states if one.counts]

    def _rewrite(self, ids: Sequence[int]) -> None:
        """Put the live images of segments into one new segment."""
        old = [self._by_id.pop(id) for id in ids]
        self.renumbered = True
        if not any(any(one.slots) for one in old):
            return
        # A rewritten segment has new checksums, which would hide the damage.
        for one in old:
            if name := self._first_damaged(one):
                raise damaged_file(self._folder / name, "it is not what was written")
        merged = merge([self._open(one) for one in old], [one.live for one in old])
        self.save(merged, [slot for one in old for slot in one.slots if slot])

    def _first_damaged(self, one: SegmentState) -> str | None:
        """Return the first of a segment's files that is not what was written."""
        return next(iter(damaged_among(self._folder, segment_files(one.row))), None)

    def _open(self, one: SegmentState) -> Segment:
        return Segment.open(inside(self._folder, f"segments/{one.row.id}"))

    def _path(self, id: int) -> Path:
        return self._folder / "segments" / str(id)
