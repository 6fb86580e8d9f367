"""The names and paths of the indexed images."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from bovw.index.arrays import Arrays, stored
from bovw.records import Bools, Bytes, Ints, Longs


@dataclass(frozen=True, eq=False)
class Names(Arrays, Sequence[str]):
    """Names by image number, read one by one from mapped files."""

    text: Bytes = stored(
        "uint8", "bytes", by="segment",
        holds="every image's folder, a zero byte and its name; both empty if removed",
    )  # fmt: skip
    ends: Longs = stored("int64", "images", by="image", holds="where each image's text ends")
    order: Ints = stored("int32", "images", by="image", holds="each image's place by name")

    @classmethod
    def of(cls, images: Iterable[tuple[str, str]]) -> Names:
        """Take the folder and the name of every image; both are empty for a removed one."""
        given = list(images)
        texts = [os.fsencode(folder) + b"\0" + os.fsencode(name) for folder, name in given]
        order = np.empty(len(given), np.int32)
        order[sorted(range(len(given)), key=lambda i: given[i][1])] = np.arange(len(given))
        return cls(
            np.frombuffer(b"".join(texts), np.uint8),
            np.cumsum([len(text) for text in texts], dtype=np.int64),
            order,
        )

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, image: int) -> str:  # type: ignore[override]
        return self._parts(image)[1]

    def fits(self, counts: Mapping[str, int]) -> bool:
        """Tell whether the shapes are as declared, and `ends` ascends to the end of `text`."""
        ends = np.r_[0, self.ends]
        ascend = bool((np.diff(ends) >= 0).all()) and ends[-1] == len(self.text)
        return super().fits(counts) and ascend

    @property
    def given(self) -> Bools:
        """Which images have a folder or a name, and were not removed: bool [images]."""
        given: Bools = np.diff(self.ends, prepend=0) > 1
        return given

    @cached_property
    def by_name(self) -> Ints:
        """The images' numbers in the order of their names; removed ones come first."""
        return np.argsort(self.order).astype(np.int32)

    def find(self, name: str) -> int | None:
        """Return the number of the image called `name`; None if there is none."""
        place = bisect_left(self.by_name, name, key=self.__getitem__)
        if not name or place == len(self) or self[self.by_name[place]] != name:
            return None
        return int(self.by_name[place])

    def containing(self, part: str) -> Bools:
        """Tell which names contain `part`, ignoring the case of ASCII letters: bool [images]."""
        wanted = os.fsencode(part).lower()
        held = np.zeros(len(self), np.bool_)
        # Search all texts, from match to match. They hold folders, too, so check each name.
        texts = self.text.tobytes().lower()
        place = texts.find(wanted)
        while 0 <= place < len(texts):
            image = int(np.searchsorted(self.ends, place, side="right"))
            held[image] = wanted in os.fsencode(self[image]).lower()
            place = texts.find(wanted, int(self.ends[image]))
        return held

    def folder(self, image: int) -> str:
        """Return the folder that an image's name is relative to."""
        return self._parts(image)[0]

    def path(self, image: int) -> Path:
        """Return an image's path when it was indexed."""
        return Path(*self._parts(image))

    def _parts(self, image: int) -> tuple[str, str]:
        if not 0 <= image < len(self):
            raise IndexError(image)
        start = self.ends[image - 1] if image else 0
        folder, _, name = self.text[start : self.ends[image]].tobytes().partition(b"\0")
        return os.fsdecode(folder), os.fsdecode(name)
