"""The changes of an update: images that are new, changed, retried, moved, removed or the same."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path

from bovw.errors import ImageError, UsageError
from bovw.images import ImageFile, sha256, size_and_time, two_named
from bovw.index import ImageRow
from bovw.ingest.pairing import Pairing, is_there, path_of

_KINDS = ("new", "changed", "retried", "moved", "removed", "same")


@dataclass
class ChangeSet:
    """The images of an update, by kind of change.

    new      to be read, because the index does not have them
    changed  to be read again, because their content may differ
    retried  to be read again, because they were skipped
    moved    rows with new names, folders or times, by their old names; the content is the same
             unless the image is also changed
    removed  rows of images that are gone, or that the index has twice
    same     number of images that need not be opened
    away     rows of images that were not found, and stay
    held     number of rows before
    """

    new: list[ImageFile] = field(default_factory=list)
    changed: list[ImageFile] = field(default_factory=list)
    retried: list[ImageFile] = field(default_factory=list)
    moved: dict[str, ImageRow] = field(default_factory=dict)
    removed: list[ImageRow] = field(default_factory=list)
    same: int = 0
    away: list[ImageRow] = field(default_factory=list)
    held: int = 0

    @property
    def to_read(self) -> list[ImageFile]:
        """Images to be read, by name."""
        return sorted([*self.new, *self.changed, *self.retried], key=lambda image: image.name)

    @property
    def vanished(self) -> list[ImageRow]:
        """Rows to be removed whose files are no longer there."""
        return [row for row in self.removed if not is_there(row)]

    def steps(self) -> Iterator[tuple[str, str]]:
        """Yield each change's kind and image, by kind."""
        for kind in ("new", "changed", "retried"):
            yield from ((kind, image.name) for image in getattr(self, kind))
        for old, row in self.moved.items():
            if old != row.name:
                yield "moved", f"{old} to {row.name}"
        yield from (("removed", row.name) for row in self.removed)

    def summary(self) -> str:
        """Say how many images there are of each kind."""
        counted = self.counts()
        same = counted.pop("same")
        told = [f"{count:,} {kind}" for kind, count in counted.items() if count]
        return ", ".join(told + [f"{same:,} unchanged"] * bool(same)) or "no images"

    def counts(self) -> dict[str, int]:
        """Return how many images there are of each kind; moved ones of the same name are `same`."""
        found = {kind: getattr(self, kind) for kind in _KINDS}
        renamed = sum(old != row.name for old, row in self.moved.items())
        sizes = {k: v if isinstance(v, int) else len(v) for k, v in found.items()}
        return sizes | {"moved": renamed, "same": self.same + len(self.moved) - renamed}

    def part(self, belongs: Callable[[str], bool]) -> ChangeSet:
        """Return the changes of a shard, to which the names belong that `belongs` accepts.

        An image that moves between shards leaves one, and is read again for the other.
        """
        own = ChangeSet(
            new=[image for image in self.new if belongs(image.name)],
            changed=[image for image in self.changed if belongs(image.name)],
            retried=[image for image in self.retried if belongs(image.name)],
            removed=[row for row in self.removed if belongs(row.name)],
        )
        read = {image.name for image in own.to_read}
        for old, row in self.moved.items():
            if belongs(old) and belongs(row.name):
                own.moved[old] = row
            elif belongs(old):
                own.removed.append(replace(row, name=old))
            elif belongs(row.name) and row.name not in read:
                own.new.append(ImageFile(row.name, Path(path_of(row))))
        return own


def find_changes(
    rows: Mapping[str, ImageRow],
    images: Sequence[ImageFile],
    may_vanish: Callable[[ImageRow], bool] = lambda row: True,
    retry: bool = False,
) -> ChangeSet:
    """Compare an index's rows with the images on disk.

    rows        the index's, by name
    may_vanish  tells whether an image that is not among `images` is gone
    retry       whether to retry skipped images that have not changed

    An image is its real path, whatever it is called. One of the same size and mtime is unchanged
    and not opened. One of only the same size is compared by its SHA-256, and so are new images with
    those that are no longer where they were. If most images of a folder that is no longer there are
    found elsewhere, it has moved, and its others are gone.

    Raises UsageError if a name would stand for two images.
    """
    plan = ChangeSet(held=len(rows))
    pairing = Pairing(rows, images)
    left = pairing.left
    gone = {name for name, row in left.items() if may_vanish(row)}
    for image in images:
        if row := pairing.found.get(image.name):
            _compare(plan, image, row, retry)
    unknown = {image.name: image for image in images if image.name not in pairing.found}
    for image, row in _find_moved(unknown.values(), left, gone):
        del left[row.name], unknown[image.name]
        plan.moved[row.name] = _moved_to(image, row)
    gone |= _left_behind(rows, plan.moved, may_vanish)
    away = {name: row for name, row in left.items() if name not in gone}
    for image in images:
        if row := away.get(image.name):
            raise UsageError(two_named(Path(path_of(row)), image.path, image.name))
    for image in unknown.values():
        (plan.changed if left.pop(image.name, None) else plan.new).append(image)
    plan.away = list(away.values())
    removed = [*pairing.doubles.values(), *(row for name, row in left.items() if name in gone)]
    plan.removed = sorted(removed, key=lambda row: row.name)
    return plan


def _compare(plan: ChangeSet, image: ImageFile, row: ImageRow, retry: bool) -> None:
    """Plan what becomes of an image that has a row."""
    here = replace(row, name=image.name, folder=image.folder)
    now = _moved_to(image, row)
    again = row.status != "ok" and (retry or row.size is None)
    if row == now and not again:
        plan.same += 1
    elif not again and (here == now or _is_same(row, image, now.size)):
        plan.moved[row.name] = now
    else:
        (plan.retried if again else plan.changed).append(image)
        if here != row:
            plan.moved[row.name] = here


def _moved_to(image: ImageFile, row: ImageRow) -> ImageRow:
    size, mtime = size_and_time(image.path)
    return replace(row, name=image.name, folder=image.folder, size=size, mtime=mtime)


def _find_moved(
    images: Iterable[ImageFile], rows: Mapping[str, ImageRow], gone: Set[str]
) -> list[tuple[ImageFile, ImageRow]]:
    """Return images and the rows that have their content.

    A row counts if it is gone, or if its file is no longer there.
    """
    by_size: dict[int | None, list[ImageRow]] = defaultdict(list)
    for row in rows.values():
        by_size[row.size].append(row)
    moved = []
    for image in images:
        size, _ = size_and_time(image.path)
        alike = by_size[size]
        digest = _digest(image.path) if alike else None
        same = [
            row for row in alike
            if digest and row.sha256 == digest and (row.name in gone or not is_there(row))
        ]  # fmt: skip
        if same:
            likeness = [_likeness(row.name, image.name) for row in same]
            row = same[likeness.index(max(likeness))]
            alike.remove(row)
            moved.append((image, row))
    return moved


def _likeness(name: str, other: str) -> int:
    """Return in how many of their last parts two names agree."""
    pairs = zip(reversed(name.split("/")), reversed(other.split("/")), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _left_behind(
    rows: Mapping[str, ImageRow],
    moved: Mapping[str, ImageRow],
    may_vanish: Callable[[ImageRow], bool],
) -> set[str]:
    """Return the names of the other images of folders that have moved.

    At least half of the images of such a folder were found where the update has looked. The folder
    is no longer there; if it is not an image's root, it may also be empty.
    """
    found = Counter(
        place for old, now in moved.items() if may_vanish(now) for place in _folders(rows[old])
    )
    if not found:
        return set()
    of_all = Counter(place for row in rows.values() for place in _folders(row))
    roots = {row.folder for row in rows.values()}
    left = {
        place for place, count in found.items()
        if 2 * count >= of_all[place]
        and (not os.path.lexists(place) if place in roots else _is_empty(place))
    }  # fmt: skip
    return {name for name, row in rows.items() if left.intersection(_folders(row))}


def _folders(row: ImageRow) -> set[str]:
    """Return an image's root, and the folder that it is in."""
    return {row.folder, path_of(row).rpartition(os.sep)[0] + os.sep}


def _is_empty(folder: str) -> bool:
    """Tell whether a folder has nothing to see in it, or is not there."""
    try:
        return all(one.name.startswith(".") for one in Path(folder).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


def _is_same(row: ImageRow, image: ImageFile, size: int | None) -> bool:
    """Tell whether a file has a row's content."""
    return bool(row.sha256) and row.size == size and _digest(image.path) == row.sha256


def _digest(path: Path) -> str | None:
    try:
        return sha256(path)
    except ImageError:
        return None
