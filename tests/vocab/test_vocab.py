"""Stage 3: descriptors become words and signatures, the same ones every time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bovw.demo.scenes import Collection
from bovw.errors import FormatError
from bovw.features import describer_of
from bovw.images.decode import read_picture
from bovw.options import FeatureOptions, VocabularyOptions
from bovw.records import Bytes, Features, Floats, Ints
from bovw.vocab import Vocabulary, train
from bovw.vocab import vocabulary as store
from bovw.vocab.assign import (
    PROBES,
    PROBES_FOR_SEVERAL,
    SHORTLIST,
    SHORTLIST_A_WORD,
    Assigner,
)
from bovw.vocab.cells import Cells, project
from bovw.vocab.signatures import random_projection, sign
from bovw.vocab.train import feasible_words, train_words
from bovw.vocab.vocabulary import damaged_files

ARRAYS = ("words.npy", "projection.npy", "sources.npy")
SMALL = VocabularyOptions(words=100)


def floats(descriptors: Bytes) -> Floats:
    return descriptors.astype(np.float32)


@pytest.fixture(scope="module")
def sift(collection: Collection) -> Bytes:
    """Descriptors of four drawn pictures, two scenes: about 8,000."""
    names = [view.name for view in collection.views if view.name.endswith(("0.jpg", "1.jpg"))][:4]
    pictures = (read_picture(collection.database / name, 1024) for name in names)
    return np.concatenate(
        [describer_of(FeatureOptions()).describe(picture).descriptors for picture in pictures]
    )


@pytest.fixture(scope="module")
def vocabulary(sift: Bytes) -> Vocabulary:
    return Vocabulary.train(sift, SMALL, np.array([9, 3, 9], np.uint64))


@pytest.fixture
def saved(vocabulary: Vocabulary, tmp_path: Path) -> Path:
    vocabulary.save(tmp_path / "vocabulary")
    return tmp_path / "vocabulary"


def clusters(count: int, members: int, spread: int) -> tuple[Bytes, Bytes]:
    """Return planted centres [count, 128] and their members, shuffled."""
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 200, (count, 128)) * (rng.random((count, 128)) < 0.3)
    noise = rng.integers(0, spread + 1, (members, count, 128))
    points = (centres + noise).reshape(-1, 128)
    return centres.astype(np.uint8), rng.permutation(points).astype(np.uint8)


def exact_nearest(values: Floats, words: Floats, count: int) -> Ints:
    """Return the nearest words by computing every distance."""
    distances = (
        (values**2).sum(axis=1)[:, None] - 2 * values @ words.T + (words**2).sum(axis=1)[None]
    )
    return np.argsort(distances, axis=1, kind="stable")[:, :count].astype(np.int32)


def quantisation_error(descriptors: Bytes, words: Floats) -> float:
    """Return the mean squared distance of SIFT [n, 128] to the nearest words."""
    values = floats(descriptors)
    nearest = words[exact_nearest(values, words, 1)[:, 0]]
    return float(np.square(values - nearest, dtype=np.float64).sum(axis=1).mean())


# Training


@pytest.mark.parametrize(
    ("asked", "descriptors", "words"),
    [(100, 800, 100), (100, 799, 99), (100, 16, 2), (100, 7, 1), (1, 10_000, 1)],
)
def test_few_descriptors_lower_the_number_of_words(
    asked: int, descriptors: int, words: int
) -> None:
    assert feasible_words(asked, descriptors) == words


def featured(descriptors: Bytes) -> Features:
    """Give descriptors keypoints, each with another angle."""
    keypoints = np.ones((len(descriptors), 4), np.float32)
    keypoints[:, 3] = np.arange(len(descriptors)) % 360
    return Features(keypoints, descriptors, 64, 64)


def test_training_gives_as_many_words_as_asked(vocabulary: Vocabulary) -> None:
    assert vocabulary.words.shape == (100, 128)
    assert vocabulary.projection.shape == (128, 128)
    assert vocabulary.settings["words"] == 100
    assert len(np.unique(vocabulary.words, axis=0)) == 100
    assert vocabulary.sources.tolist() == [3, 9]


def test_training_on_few_descriptors(sift: Bytes) -> None:
    few = Vocabulary.train(sift[:41], SMALL)
    assert len(few.words) == 5
    assert few.assign(featured(sift[:7]), 10).ids.shape == (7, 5)


def test_training_on_one_descriptor(sift: Bytes) -> None:
    one = Vocabulary.train(sift[:1], SMALL)
    assert one.words.tolist() == floats(sift[:1]).tolist()


@pytest.mark.parametrize("flat_words", [1024, 20])
def test_identical_descriptors_make_one_word(
    monkeypatch: pytest.MonkeyPatch, sift: Bytes, flat_words: int
) -> None:
    monkeypatch.setattr(train, "FLAT_WORDS", flat_words)
    same = np.repeat(sift[:1], 2000, axis=0)
    assert train_words(same, 100, 0, 2, 1).tolist() == floats(sift[:1]).tolist()


@pytest.mark.parametrize("flat_words", [1024, 20])
def test_duplicates_do_no_harm(
    monkeypatch: pytest.MonkeyPatch, sift: Bytes, flat_words: int
) -> None:
    monkeypatch.setattr(train, "FLAT_WORDS", flat_words)
    words = train_words(np.repeat(sift[:30], 60, axis=0), 64, 0, 2, 1)
    assert 10 <= len(words) <= 30
    assert len(np.unique(words, axis=0)) == len(words)
    assert np.isfinite(words).all()


@pytest.mark.parametrize("flat_words", [1024, 64])
def test_training_does_not_depend_on_jobs(
    monkeypatch: pytest.MonkeyPatch, sift: Bytes, flat_words: int
) -> None:
    monkeypatch.setattr(train, "FLAT_WORDS", flat_words)
    first, second = (train_words(sift, 300, 0, 2, jobs) for jobs in (1, 2))
    assert first.tobytes() == second.tobytes()
    assert train_words(sift, 300, 1, 2, 1).tobytes() != first.tobytes()


def test_two_levels_are_about_as_good_as_one(monkeypatch: pytest.MonkeyPatch, sift: Bytes) -> None:
    flat = train_words(sift, 300, 0, 2, 1)
    monkeypatch.setattr(train, "FLAT_WORDS", 64)
    two_levels = train_words(sift, 300, 0, 2, 1)
    assert 285 <= len(two_levels) <= 300
    error = quantisation_error(sift, two_levels)
    assert error < 1.1 * quantisation_error(sift, flat)


def test_more_words_than_one_level_takes(sift: Bytes) -> None:
    words = train_words(sift, train.FLAT_WORDS + 76, 0, 1, 1)
    assert train.FLAT_WORDS < len(words) <= train.FLAT_WORDS + 76


@pytest.mark.parametrize("flat_words", [1024, 10])
def test_planted_clusters_are_found(monkeypatch: pytest.MonkeyPatch, flat_words: int) -> None:
    monkeypatch.setattr(train, "FLAT_WORDS", flat_words)
    centres, members = clusters(count=40, members=50, spread=4)
    words = train_words(members, 80, 0, 2, 1)
    gaps = np.linalg.norm(floats(centres + 2)[:, None] - words[None], axis=2).min(axis=1)
    # Centres lie about 200 apart, members within 25 of theirs.
    assert gaps.max() < 40


# Assignment


@pytest.mark.parametrize(("count", "least"), [(1, 0.95), (5, 0.95)])
def test_assigner_agrees_with_every_distance(sift: Bytes, count: int, least: float) -> None:
    words = train_words(sift[::2], 400, 0, 1, 1)
    values = floats(sift[1::2])
    found = Assigner(words).nearest(values, count)
    truth = exact_nearest(values, words, count)
    shared = [len(set(a) & set(b)) for a, b in zip(found.tolist(), truth.tolist(), strict=True)]
    assert sum(shared) >= least * truth.size


def test_assigner_does_not_depend_on_jobs_nor_batches(vocabulary: Vocabulary, sift: Bytes) -> None:
    values = floats(sift[:500])
    whole = vocabulary.assigner.nearest(values, 5, jobs=2)
    alone = [vocabulary.assigner.nearest(values[i : i + 1], 5)[0] for i in range(len(values))]
    assert np.array_equal(whole, alone)


def test_assigner_searches_the_nearest_cells_exactly(sift: Bytes) -> None:
    """With as many shortlisted as the cells probed hold, the exact nearest of those are found."""
    words, values = train_words(sift[::2], 900, 0, 1, 1), floats(sift[1:401:2])
    cells = Cells.of(words)
    assert len(cells.centres) == 30
    assert np.array_equal(
        cells.owners, exact_nearest(project(words, cells.directions), cells.centres, 1)[:, 0]
    )
    points = project(values, cells.directions)
    probed = exact_nearest(points, cells.centres, PROBES_FOR_SEVERAL)
    found = Assigner(words, cells).nearest(values, 100)
    for row, value in enumerate(values):
        near = np.flatnonzero(np.isin(cells.owners, probed[row]))
        truth = near[exact_nearest(value[None], words[near], 100)[0]]
        assert len(near) <= 100 * SHORTLIST_A_WORD, "the shortlist holds all of them"
        got = found[row][found[row] >= 0]
        assert np.array_equal(got, truth)


def test_shortlists_agree_with_a_slow_loop(sift: Bytes) -> None:
    """Along the principal directions, the shortlisted are the nearest in the cells probed."""
    words, values = train_words(sift[::2], 400, 0, 1, 1), floats(sift[1:61:2])
    cells = Cells.of(words)
    points, queries = project(words, cells.directions), project(values, cells.directions)
    probed = exact_nearest(queries, cells.centres, PROBES)
    found = Assigner(words, cells).nearest(values, 1)[:, 0]
    for row, query in enumerate(queries):
        distances = ((points - query) ** 2).sum(axis=1)
        near = [w for w in range(len(words)) if cells.owners[w] in probed[row]]
        short = sorted(near, key=lambda w: distances[w])[:SHORTLIST]
        best = min(short, key=lambda w: (((words[w] - values[row]) ** 2).sum(), w))
        assert found[row] == best


@pytest.mark.parametrize("count", [1, 2, 9])
def test_a_few_words_are_all_found(sift: Bytes, count: int) -> None:
    words = np.unique(floats(sift[:count]), axis=0)
    found = Assigner(words).nearest(floats(sift[:50]), 20)
    assert np.array_equal(found, exact_nearest(floats(sift[:50]), words, len(words)))


def test_saved_cells_give_the_same_answers(
    vocabulary: Vocabulary, sift: Bytes, tmp_path: Path
) -> None:
    values = floats(sift)
    first = Assigner(vocabulary.words)
    first.cells.save(tmp_path / "cells.npz")
    second = Assigner(vocabulary.words, Cells.load(tmp_path / "cells.npz", 100))
    assert np.array_equal(first.nearest(values, 5), second.nearest(values, 5))


@pytest.mark.parametrize(
    "change",
    [
        {"owners": np.zeros(99, np.int32)},
        {"owners": np.full(100, 10, np.int32)},
        {"owners": np.full(100, -1, np.int32)},
        {"directions": np.zeros((31, 128), np.int16)},
        {"centres": np.zeros((10, 31), np.int16)},
    ],
)
def test_cells_of_other_words_are_refused(
    change: dict[str, np.ndarray], vocabulary: Vocabulary, tmp_path: Path
) -> None:
    assert len(vocabulary.words) == 100
    vocabulary.assigner.cells.save(tmp_path / "cells.npz")
    with np.load(tmp_path / "cells.npz") as saved:
        content = {**saved, **change}
    np.savez(tmp_path / "cells.npz", **content)
    with pytest.raises(ValueError, match="cells"):
        Cells.load(tmp_path / "cells.npz", 100)


def test_no_descriptors_have_no_words(vocabulary: Vocabulary) -> None:
    words = vocabulary.assign(featured(np.empty((0, 128), np.uint8)), 5)
    assert words.ids.shape == (0, 5)
    assert words.signatures.shape == (0, 5, 2)


# Signatures


def test_directions_are_orthogonal() -> None:
    projection = random_projection(128, 128, 0)
    products = projection.astype(np.float64) @ projection.T.astype(np.float64) / 2**28
    assert np.abs(products - np.eye(128)).max() < 1e-3
    assert np.array_equal(random_projection(64, 128, 0), projection[:64])


@pytest.mark.parametrize("bits", [64, 128])
def test_signatures_agree_with_a_slow_loop(vocabulary: Vocabulary, sift: Bytes, bits: int) -> None:
    values, words = floats(sift[:6]), vocabulary.words
    projection = random_projection(bits, 128, 3)
    ids = exact_nearest(values, words, 3)
    signatures = sign(values, words, ids, projection)
    assert signatures.shape == (6, 3, bits // 64)
    assert signatures.dtype == np.uint64
    for row, value in enumerate(values.astype(int).tolist()):
        for place, word in enumerate(ids[row]):
            number = 0
            for bit, direction in enumerate(projection.astype(int).tolist()):
                residuals = zip(value, words[word].astype(int).tolist(), direction, strict=True)
                number |= (sum((v - w) * d for v, w, d in residuals) > 0) << bit
            got = sum(int(part) << 64 * i for i, part in enumerate(signatures[row, place]))
            assert got == number


def test_signatures_do_not_depend_on_batches(vocabulary: Vocabulary, sift: Bytes) -> None:
    whole = vocabulary.assign(featured(sift), 3)
    for size in (1, 7, 300):
        part = vocabulary.assign(featured(sift[:size]), 3)
        assert np.array_equal(part.ids, whole.ids[:size])
        assert np.array_equal(part.signatures, whole.signatures[:size])
        assert np.array_equal(part.angles, whole.angles[:size])


def test_angles_are_256ths_of_a_turn(vocabulary: Vocabulary, sift: Bytes) -> None:
    features = featured(sift[:6])
    features.keypoints[:, 3] = [0, 0.7, 1.5, 180, 359.2, 359.9]
    assert vocabulary.assign(features).angles.tolist() == [0, 0, 1, 128, 255, 0]


# On disk


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
