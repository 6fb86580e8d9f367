"""What an update of an index finds in its folders, and what it says of images that are away."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bovw.commands.feedback import say
from bovw.commands.skips import Skips
from bovw.errors import BovwError

if TYPE_CHECKING:
    from bovw.images import ImageFile
    from bovw.ingest.changes import ChangeSet
    from bovw.ingest.collection import Collection, Looked

# Images that may vanish at once without a question: this many, or else this share of the index.
FEW, SHARE = 10, 0.1


class Found(NamedTuple):
    """The images below the folders given, by their names in the index, and where they were."""

    images: list[ImageFile]
    collection: Collection
    looked: Looked


def find(
    index: Path, folders: tuple[Path, ...], exclude: tuple[str, ...], skips: Skips, quiet: bool,
    allow_removal: bool,
) -> Found:  # fmt: skip
    """Find the images of an update, but for those that the index leaves out."""
    from bovw.images.find import find_images, real_path
    from bovw.ingest.collection import Collection, Looked

    known = Collection.of(index)
    collection = known.widened(folders, exclude)
    if known.exclude and not exclude:
        say(quiet, f"leaving out {' '.join(known.exclude)} as before; --exclude changes that")
    closed: list[str] = []

    def unread(error: OSError) -> None:
        skips.folder(error)
        closed.append(error.filename or os.sep)

    on_empty = None if allow_removal else closed.append
    real = [real_path(folder) for folder in folders]
    try:
        images = find_images(folders, collection.exclude, unread, skips.other, on_empty)
    except BovwError as error:
        raise type(error)(f"{error}{_staying(index, real)}") from error
    say(quiet, skips.others())
    return Found(collection.name(images), collection, Looked.of(real, closed))


def _staying(index: Path, folders: list[Path]) -> str:
    """Say which folders that cannot be indexed have images in the index."""
    from bovw.index import Index, is_index
    from bovw.ingest.collection import find_named

    rows = {row.name: row for row in Index.open(index).images()} if is_index(index) else {}
    held = {folder: len(find_named(rows, str(folder))) for folder in folders}
    return "".join(
        f"; the {count:,} images of {folder} stay in the index; if they are gone for good, "
        f"`bovw remove {folder}`"
        for folder, count in held.items()
        if count
    )


def review(looked: Looked, allow_removal: bool, quiet: bool, changes: ChangeSet) -> None:
    """Say what an update will change, and what it leaves though it was not found.

    Raises BovwError if so many images have vanished that a disk may be missing.
    """
    gone = changes.vanished
    if not allow_removal and len(gone) > max(FEW, SHARE * changes.held):
        raise BovwError(
            f"{len(gone):,} of {changes.held:,} images are gone, like {gone[0].folder}"
            f"{gone[0].name}: nothing was changed; if they are to leave the index, give "
            "--allow-removal"
        )
    say(quiet, changes.summary())
    missing: Counter[str] = Counter()
    for row in changes.away:
        closed = looked.closed_at(row)
        if closed or not os.path.lexists(row.folder):
            missing[closed or row.folder.rstrip(os.sep)] += 1
    for folder, count in sorted(missing.items()):
        why = "is empty or cannot be read" if os.path.lexists(folder) else "is not there"
        say(quiet, f"{folder} {why}: its {count:,} images stay in the index; if they are gone for "
                   f"good, `bovw remove {folder}`")  # fmt: skip
