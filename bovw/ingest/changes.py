"""The changes of an update: images that are new, changed, retried, moved, removed or the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from bovw.errors import ImageError, UsageError
from bovw.images import ImageFile, sha256, size_and_time
from bovw.index import ImageRow


@dataclass
class ChangeSet:
    """The images of an update, by kind of change.

    new      to be read, because the index does not have them
    changed  to be read again, because their content may differ
    retried  to be read again, because they were skipped
    moved    rows with new names, folders or times, by their old names; the content is the same
    removed  names of images that are gone
    same     number of images that need not be opened
    """

    new: list[ImageFile] = field(default_factory=list)
    changed: list[ImageFile] = field(default_factory=list)
    retried: list[ImageFile] = field(default_factory=list)
    moved: dict[str, ImageRow] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    same: int = 0

    @property
    def to_read(self) -> list[ImageFile]:
        """Images to be read, by name."""
        return sorted([*self.new, *self.changed, *self.retried], key=lambda image: image.name)

    def steps(self) -> Iterator[tuple[str, str]]:
        """Yield each change's kind and image, by kind."""
        for kind in ("new", "changed", "retried"):
            yield from ((kind, image.name) for image in getattr(self, kind))
        for old, row in self.moved.items():
            if old != row.name:
                yield "moved", f"{old} to {row.name}"
        yield from (("removed", name) for name in self.removed)

    def summary(self) -> str:
        """Say how many images there are of each kind."""
        counted = self.counts()
        same = counted.pop("same")
        told = [f"{count:,} {kind}" for kind, count in counted.items() if count]
        return ", ".join(told + [f"{same:,} unchanged"] * bool(same)) or "no images"

    def counts(self) -> dict[str, int]:
        """Return how many images there are of each kind; moved ones of the same name are `same`."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        renamed = sum(old != row.name for old, row in self.moved.items())
        sizes = {k: v if isinstance(v, int) else len(v) for k, v in found.items()}
        return sizes | {"moved": renamed, "same": self.same + len(self.moved) - renamed}


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

    A file of the same size and mtime is unchanged and not opened. A file of only the same size is
    compared by its SHA-256. Raises UsageError if a name stands for two images.
    """
    plan = ChangeSet()
    found = {image.name for image in images}
    gone = {name: row for name, row in rows.items() if name not in found and may_vanish(row)}
    for image in images:
        _place(plan, image, rows.get(image.name), gone, retry)
    plan.removed = sorted(gone)
    return plan


def below(folders: Sequence[Path]) -> Callable[[ImageRow], bool]:
    """Return a test whether an image was found in one of the folders."""
    roots = {str(folder.absolute()).rstrip(os.sep) + os.sep for folder in folders}
    return lambda row: row.folder in roots


def name_files(paths: Sequence[Path], rows: Iterable[ImageRow]) -> list[ImageFile]:
    """Name files by their path below an indexed folder, or else by their own name.

    Raises UsageError if two of them would have the same name.
    """
    folders = sorted({Path(row.folder) for row in rows}, key=lambda folder: -len(folder.parts))
    named: dict[str, ImageFile] = {}
    for path in paths:
        full = path.absolute()
        folder = next((f for f in folders if full.is_relative_to(f)), full.parent)
        image = ImageFile(full.relative_to(folder).as_posix(), full)
        if named.setdefault(image.name, image).path != full:
            raise UsageError(f"{named[image.name].path} and {full} would both be {image.name}")
    return list(named.values())


def _place(
    plan: ChangeSet, image: ImageFile, row: ImageRow | None, gone: dict[str, ImageRow], retry: bool
) -> None:
    size, mtime = size_and_time(image.path)
    now = replace(
        row or ImageRow("", ""), name=image.name, folder=image.folder, size=size, mtime=mtime
    )
    if row and row.folder != image.folder and _is_another(Path(row.folder + row.name), image.path):
        raise UsageError(
            f"{row.folder}{row.name} and {image.path} would both be called {image.name}: give "
            "their common parent folder, or make another index"
        )
    if row and row.status != "ok" and (retry or row.size is None):
        plan.retried.append(image)
    elif row == now:
        plan.same += 1
    elif row and row.sha256 and row.size == size and _digest(image.path) == row.sha256:
        plan.moved[row.name] = now
    elif row:
        plan.changed.append(image)
    elif old := _same_content(image.path, size, gone.values()):
        del gone[old.name]
        plan.moved[old.name] = replace(old, name=image.name, folder=image.folder, mtime=mtime)
    else:
        plan.new.append(image)


def _is_another(old: Path, new: Path) -> bool:
    """Tell whether the old file still exists and is not the new one."""
    try:
        return not old.samefile(new)
    except OSError:
        return False


def _same_content(path: Path, size: int | None, rows: Iterable[ImageRow]) -> ImageRow | None:
    """Return a row with the content of a file; None if there is none."""
    alike = [row for row in rows if row.sha256 and row.size == size]
    digest = _digest(path) if alike else None
    return next((row for row in alike if row.sha256 == digest), None)


def _digest(path: Path) -> str | None:
    try:
        return sha256(path)
    except ImageError:
        return None
