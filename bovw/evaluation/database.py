"""Finds the index of a data set's images, and checks that it is the right one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from bovw.errors import DatasetError, FormatError
from bovw.evaluation.datasets import Dataset
from bovw.images import ImageFile
from bovw.index import Index, is_index
from bovw.vocab import Vocabulary


def find_index(
    dataset: Dataset,
    images: Path,
    index: Path | None,
    usual: Path,
    vocabulary: Vocabulary | None,
) -> tuple[Path, Index | None]:
    """Return the folder of the data set's index, and the index itself if it exists.

    index       the folder asked for. None means `usual` if it is an index of just these images
                and this vocabulary, else this collection's own folder in bovw-eval
    vocabulary  the vocabulary that the index must have; None for one trained on the data set

    Raises DatasetError if `index` holds other images, FormatError if it has other words.
    """
    if index:
        if not is_index(index):
            return index, None
        opened = Index.open(index)
        check_database(dataset, opened)
        if vocabulary and opened.meta["fingerprint"] != vocabulary.fingerprint:
            raise FormatError(
                f"{index} was made with another vocabulary: leave --vocab out, or give another "
                "--index, which is made if it is not there"
            )
        return index, opened
    fingerprint = vocabulary.fingerprint if vocabulary else ""
    key = "\0".join([str((images / dataset.folder).resolve()), fingerprint, *dataset.database])
    own = Path("bovw-eval") / hashlib.sha256(os.fsencode(key)).hexdigest()[:12]
    for folder in (usual, own):
        if is_index(folder):
            opened = Index.open(folder)
            fits = not vocabulary or opened.meta["fingerprint"] == fingerprint
            if fits and {row.name for row in opened.images()} == set(dataset.database):
                return folder, opened
    return own, None


def check_database(dataset: Dataset, index: Index) -> None:
    """Raise DatasetError unless `index` holds exactly the images of `dataset`."""
    known = {row.name for row in index.images()}
    if known == set(dataset.database):
        return
    missing, further = len(set(dataset.database) - known), len(known - set(dataset.database))
    raise DatasetError(
        f"{index.folder} is not an index of {dataset.name}: {missing} of its images are missing "
        f"and {further} others are there; give another --index, which is made if it is not there"
    )


def database_files(dataset: Dataset, images: Path) -> list[ImageFile]:
    """Return the data set's images as `build_index` takes them."""
    return [ImageFile(name, images / dataset.folder / name) for name in dataset.database]
