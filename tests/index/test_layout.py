"""What docs/format.md promises of the arrays follows from their declarations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bovw.errors import FormatError
from bovw.index.arrays import Arrays, lengths, stored
from bovw.index.building import merge
from bovw.index.components import COMPONENTS
from bovw.index.segment import Postings, Segment
from bovw.records import Bytes, Floats, Ints

FORMAT = Path(__file__).parents[2] / "docs" / "format.md"


@pytest.mark.parametrize(
    ("record", "prefix"),
    [(Segment, ""), *((record, f"{kind}/N/") for kind, record in COMPONENTS.items())],
)
def test_the_promise_has_a_row_for_each_array(record: type[Arrays], prefix: str) -> None:
    text = FORMAT.read_text(encoding="utf-8")
    for name, one in record.declared().items():
        shape = ", ".join(map(str, one.shape))
        assert f"| `{prefix}{name}` | {one.dtype} | [{shape}] | {one.by} | {one.holds} |" in text


@dataclass(frozen=True)
class _Record(Arrays):
    values: Floats = stored("float32", "images", 3, by="image", holds="three values")
    words: Ints = stored("int32", "words + 1", by="word", holds="a value")


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = _Record(np.ones((2, 3), np.float32), np.arange(6, dtype=np.int32))
    assert record.save(tmp_path / "record").keys() == {"values.npy", "words.npy"}
    loaded = _Record.load(tmp_path / "record")
    assert np.array_equal(loaded.values, record.values)
    assert loaded.fits(lengths(words=5, bits=64, images=2, postings=0))
    for words, images in ((4, 2), (5, 3)):
        assert not loaded.fits(lengths(words, 64, images, 0))


def test_an_array_that_is_not_as_declared_is_damaged(tmp_path: Path) -> None:
    record = _Record(np.ones((2, 3), np.float64), np.arange(6, dtype=np.int32))
    record.save(tmp_path / "record")
    with pytest.raises(FormatError, match=r"values\.npy is damaged"):
        _Record.load(tmp_path / "record")


@dataclass(frozen=True)
class _LaterSegment(Segment):
    """A segment of a later version: one more line for each further array."""

    strengths: Bytes = stored("uint8", "postings", by="posting", holds="strength")
    codes: Bytes = stored("uint8", "images", 2, by="image", holds="code")


def later_segment(images: int, seed: int) -> _LaterSegment:
    """Return a segment whose further arrays repeat what the others say."""
    rng = np.random.default_rng(seed)
    count = 5 * images
    frames = rng.integers(0, 256, (count, 2), dtype=np.uint8)
    arrays: dict[str, npt.NDArray[Any]] = {
        "signatures": rng.integers(0, 9, (count, 1), dtype=np.uint64),
        "positions": rng.integers(0, 9, (count, 2), dtype=np.uint16),
        "frames": frames,
        "strengths": frames[:, 0].copy(),
    }
    words = rng.integers(0, 4, count).astype(np.int32)
    sizes = rng.integers(20, 200, (images, 2)).astype(np.int32)
    numbers = np.repeat(np.arange(images, dtype=np.int32), 5)
    by_image: dict[str, npt.NDArray[Any]] = {"sizes": sizes, "codes": sizes.astype(np.uint8)}
    return _LaterSegment.of([Postings(words, numbers, arrays)], by_image, words=4, bits=64)


def test_a_further_array_is_one_line(tmp_path: Path) -> None:
    """It is sorted, saved, opened, checked, merged and split with the others."""
    parts = [later_segment(6, seed) for seed in (1, 2)]
    for number, part in enumerate(parts):
        part.save(tmp_path / str(number))
    opened = [_LaterSegment.open(tmp_path / str(number)) for number in range(2)]
    assert all(one.fits(lengths(4, 64, 6, 30)) for one in opened)
    live = [np.array([True, False, True, True, False, True]), np.ones(6, np.bool_)]
    merged = merge(opened, live)
    assert isinstance(merged, _LaterSegment)
    assert len(merged) == 50 and len(merged.sizes) == 10
    assert np.array_equal(merged.strengths, merged.frames[:, 0])
    assert np.array_equal(merged.codes, merged.sizes.astype(np.uint8))
    # An older bovw reads what it knows.
    older = Segment.open(tmp_path / "0")
    assert np.array_equal(older.frames, parts[0].frames)
