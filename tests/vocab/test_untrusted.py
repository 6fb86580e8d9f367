"""A vocabulary from elsewhere cannot lead a kernel out of its arrays, or cost memory."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bovw.compute import files
from bovw.compute.files import file_sha256
from bovw.errors import FormatError
from bovw.options import VocabularyOptions
from bovw.records import Bytes
from bovw.vocab import Vocabulary
from bovw.vocab.kernels import shortlist


def seal(folder: Path) -> None:
    """Make the checksums fit."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    names = sorted(manifest["checksums"])
    manifest["checksums"] = {name: file_sha256(folder / name) for name in names}
    path.write_text(json.dumps(manifest))


def with_cells(folder: Path, **arrays: Any) -> None:
    with np.load(folder / "cells.npz") as saved:
        content = {**saved, **arrays}
    np.savez(folder / "cells.npz", **content)
    seal(folder)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize("name", ["directions", "centres"])
def test_cells_that_are_no_whole_numbers(saved: Path, name: str, value: float) -> None:
    with np.load(saved / "cells.npz") as kept:
        with_cells(saved, **{name: np.full(kept[name].shape, value, np.float32)})
    with pytest.raises(FormatError, match=r"cells\.npz: it holds float32"):
        Vocabulary.load(saved)


def test_owners_of_another_width(saved: Path) -> None:
    with_cells(saved, owners=np.zeros(100, np.int64))
    with pytest.raises(FormatError, match=r"cells\.npz: it holds int64"):
        Vocabulary.load(saved)


def test_compressed_cells_are_not_unpacked(saved: Path) -> None:
    with np.load(saved / "cells.npz") as kept:
        np.savez_compressed(saved / "cells.npz", **kept)
    seal(saved)
    with pytest.raises(FormatError, match="is compressed"):
        Vocabulary.load(saved)


@pytest.mark.parametrize("name", ["directions", "centres", "owners"])
def test_a_header_that_promises_more_than_there_is(saved: Path, name: str) -> None:
    """Seven gigabytes were taken for it before."""
    with np.load(saved / "cells.npz") as kept:
        content = {key: kept[key] for key in kept.files}
    with zipfile.ZipFile(saved / "cells.npz", "w") as archive:
        for key, array in content.items():
            with archive.open(f"{key}.npy", "w") as member:
                shape = (2**40, *array.shape[1:]) if key == name else array.shape
                header = {"descr": array.dtype.str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
                member.write(array.tobytes())
    seal(saved)
    with pytest.raises(FormatError, match="has the shape"):
        Vocabulary.load(saved)


@pytest.mark.parametrize("shape", [(100, 64), (100, 256), (0, 128)])
def test_words_of_another_width(saved: Path, shape: tuple[int, int]) -> None:
    words = np.zeros(shape, np.uint8)
    np.save(saved / "words.npy", words)
    (saved / "cells.npz").unlink()
    manifest = json.loads((saved / "manifest.json").read_text())
    projection = np.load(saved / "projection.npy").astype(np.float32)
    fake = Vocabulary(words.astype(np.float32), projection, np.empty(0, np.uint64))
    manifest["fingerprint"] = fake.fingerprint
    (saved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(FormatError, match="does not fit the words"):
        Vocabulary.load(saved)


@pytest.mark.parametrize("dtype", [np.float32, np.int8, object])
def test_words_of_another_type(saved: Path, dtype: type) -> None:
    np.save(saved / "words.npy", np.zeros((100, 128), dtype))
    with pytest.raises(FormatError, match=r"words.npy: it (holds|is)"):
        Vocabulary.load(saved)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "2"},
        {"format": 1e300},
        {"format": None},
        {"fingerprint": 7},
        {"settings": []},
        {"settings": {"words": {"a": 1}}},
        {"checksums": {"../x": "0" * 64}},
        {"checksums": {"cells.npz": 7}},
        {"features": {"name": ["x"], "dimensions": 128, "has_scale": True, "has_angle": True}},
        {"features": {"name": "x", "dimensions": 1e9, "has_scale": True, "has_angle": True}},
        {"features": 7},
    ],
)
def test_a_manifest_of_other_values(saved: Path, change: dict[str, Any]) -> None:
    path = saved / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(FormatError, match="is damaged"):
        Vocabulary.load(saved)


def test_a_manifest_nested_too_deeply(saved: Path) -> None:
    (saved / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(FormatError, match="is damaged"):
        Vocabulary.load(saved)


@pytest.mark.parametrize("name", ["manifest.json", "words.npy", "cells.npz"])
def test_a_pipe_or_a_link_is_not_opened(saved: Path, tmp_path: Path, name: str) -> None:
    (saved / name).rename(tmp_path / name)
    (saved / name).symlink_to(tmp_path / name)
    if name == "cells.npz":  # computed from the words
        assert len(Vocabulary.load(saved).words) == 100
    else:
        with pytest.raises(FormatError, match="it is a link"):
            Vocabulary.load(saved)
    (saved / name).unlink()
    os.mkfifo(saved / name)
    if name == "cells.npz":
        assert len(Vocabulary.load(saved).words) == 100
    else:
        with pytest.raises(FormatError, match="not a regular file"):
            Vocabulary.load(saved)


def test_a_kernel_leaves_out_cells_that_are_none() -> None:
    """The cells that a search probes are -1 where nothing is nearest."""
    queries = np.zeros((1, 32), np.float32)
    probes = np.array([[-1, 5, 0]], np.int32)
    coordinates, squares = np.zeros(32 * 16, np.float32), np.zeros(16, np.float32)
    found = shortlist(queries, probes, coordinates, squares, np.array([0, 16]), 3)
    assert found.tolist() == [[0, 1, 2]]


def test_the_words_of_another_index_are_refused(vocabulary: Vocabulary, tmp_path: Path) -> None:
    meta = {"fingerprint": vocabulary.fingerprint, "words": 100, "bits": vocabulary.bits}
    vocabulary.check_made(tmp_path, meta)
    for other in ({"words": 101}, {"bits": 64}, {"fingerprint": "0" * 64}):
        with pytest.raises(FormatError, match="is not the one that the index was made with"):
            vocabulary.check_made(tmp_path, meta | other)


@pytest.mark.parametrize("number", range(3))
def test_a_vocabulary_is_not_lost_while_another_replaces_it(
    vocabulary: Vocabulary,
    sift: Bytes,
    saved: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    """Whichever rename is the last one, one of the two can be loaded."""
    other = Vocabulary.train(sift[:500], VocabularyOptions(words=20))
    left = [number]
    rename = Path.rename

    def killed(self: Path, target: Path) -> Path:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", killed)
    monkeypatch.setattr(files, "_remove", lambda path: None)  # nothing runs after a kill
    try:
        other.save(saved)
    except KeyboardInterrupt:
        assert number < 2
    monkeypatch.undo()
    found = Vocabulary.load(saved).fingerprint
    assert found == (vocabulary if number < 2 else other).fingerprint
    vocabulary.save(saved)
    assert Vocabulary.load(saved).fingerprint == vocabulary.fingerprint
    assert not [path for path in saved.parent.iterdir() if path.name.endswith(".replaced")]
