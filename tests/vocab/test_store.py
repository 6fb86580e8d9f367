"""A vocabulary on disk: the same comes back, and damage is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bovw.errors import FormatError
from bovw.options import VocabularyOptions
from bovw.records import Bytes
from bovw.vocab import Vocabulary
from bovw.vocab import manifest as store
from bovw.vocab.manifest import damaged_files
from tests.vocab.words import ARRAYS, featured


def test_saved_vocabulary_is_the_same(vocabulary: Vocabulary, saved: Path, sift: Bytes) -> None:
    loaded = Vocabulary.load(saved)
    for name in ("words", "projection", "sources"):
        first, second = getattr(vocabulary, name), getattr(loaded, name)
        assert first.dtype == second.dtype
        assert np.array_equal(first, second)
    assert loaded.settings == vocabulary.settings
    assert loaded.fingerprint == vocabulary.fingerprint
    first, second = vocabulary.assign(featured(sift), 5), loaded.assign(featured(sift), 5)
    assert np.array_equal(first.ids, second.ids)
    assert np.array_equal(first.signatures, second.signatures)
    assert damaged_files(saved) == []


def test_saving_twice_gives_the_same_bytes(
    vocabulary: Vocabulary, saved: Path, tmp_path: Path
) -> None:
    vocabulary.save(tmp_path / "again")
    for file in saved.iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


def test_fingerprint_tells_vocabularies_apart(vocabulary: Vocabulary, sift: Bytes) -> None:
    other = Vocabulary.train(sift, VocabularyOptions(words=100, seed=1))
    assert other.fingerprint != vocabulary.fingerprint
    sources = Vocabulary(vocabulary.words, vocabulary.projection, np.empty(0, np.uint64))
    assert sources.fingerprint == vocabulary.fingerprint


def test_lost_cells_are_made_again(vocabulary: Vocabulary, saved: Path, sift: Bytes) -> None:
    (saved / "cells.npz").unlink()
    ids = Vocabulary.load(saved).assign(featured(sift), 5).ids
    assert np.array_equal(ids, vocabulary.assign(featured(sift), 5).ids)
    assert damaged_files(saved) == ["cells.npz"]


def test_newer_format_is_refused_by_number(saved: Path) -> None:
    manifest = json.loads((saved / "manifest.json").read_text())
    manifest["format"] = store.FORMAT + 1
    (saved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(FormatError, match=f"format {store.FORMAT + 1}.*pip install -U bovw"):
        Vocabulary.load(saved)


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [Path.unlink, halve, empty])
@pytest.mark.parametrize("name", [*ARRAYS, "manifest.json"])
def test_damage_is_told_in_one_line(
    saved: Path, name: str, damage: Callable[[Path], object]
) -> None:
    damage(saved / name)
    with pytest.raises(FormatError, match=re.escape(str(saved))) as caught:
        Vocabulary.load(saved)
    assert "\n" not in str(caught.value)
    assert "bovw build-vocab" in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "{}", "null", '{"format": 1}', "\x00"])
def test_a_manifest_of_another_kind_is_damage(saved: Path, text: str) -> None:
    (saved / "manifest.json").write_text(text)
    with pytest.raises(FormatError):
        Vocabulary.load(saved)


@pytest.mark.parametrize("name", [*ARRAYS, "cells.npz"])
def test_a_flipped_byte_is_found(saved: Path, name: str) -> None:
    content = bytearray((saved / name).read_bytes())
    content[-1] ^= 1
    (saved / name).write_bytes(content)
    assert damaged_files(saved) == [name]


def test_no_vocabulary(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no vocabulary in"):
        Vocabulary.load(tmp_path / "nothing")


def test_saving_replaces_a_vocabulary_only(vocabulary: Vocabulary, saved: Path) -> None:
    other = Vocabulary(vocabulary.words[:50], vocabulary.projection, vocabulary.sources)
    other.save(saved)
    assert len(Vocabulary.load(saved).words) == 50
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_saving_over_something_else_is_refused(vocabulary: Vocabulary, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to.txt").write_text("dear")
    with pytest.raises(FormatError, match="not a vocabulary"):
        vocabulary.save(tmp_path / "letters")
    assert (tmp_path / "letters" / "to.txt").read_text() == "dear"


def test_saving_into_an_empty_folder(vocabulary: Vocabulary, tmp_path: Path) -> None:
    (tmp_path / "vocabulary").mkdir()
    vocabulary.save(tmp_path / "vocabulary")
    assert len(Vocabulary.load(tmp_path / "vocabulary").words) == 100
