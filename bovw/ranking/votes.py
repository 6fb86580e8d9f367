"""The statistics that a ranking reads, and the gathering of votes from segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from bovw.errors import damaged_postings
from bovw.records import Doubles, Floats, Ints, InvertedFile


class Collection(Protocol):
    """The statistics of all segments together."""

    @property
    def weights(self) -> Floats:
        """Idf squared of every word: float32 [words]."""

    @property
    def features(self) -> Ints:
        """Features of every image: int32 [images]."""

    @property
    def distinct(self) -> Ints:
        """Different words of every image: int32 [images]."""


def gather_votes(
    files: Sequence[InvertedFile], add: Callable[[InvertedFile, Doubles], bool]
) -> Doubles:
    """Return every image's votes: float64 [images].

    add  adds a segment's votes to an array [images of the segment]. It returns False if the
         postings are damaged, which raises FormatError
    """
    votes = [np.zeros(file.images) for file in files]
    for file, into in zip(files, votes, strict=True):
        if not add(file, into):
            raise damaged_postings()
    return np.concatenate([*votes, np.empty(0)])
