"""Stage 4: what goes into an index comes out again, and a commit happens whole or not at all."""

from __future__ import annotations

import math
import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bovw.compute.jit import read_only
from bovw.compute.kernels import decode_images, encode_images
from bovw.errors import FormatError
from bovw.index import Index, IndexWriter, merging
from bovw.index import writer as index_writer
from bovw.index.building import SegmentBuilder, merge, quantise
from bovw.index.catalog import FILE, FORMAT, Catalog, ImageRow
from bovw.index.graph import Graph
from bovw.index.integrity import find_problems
from bovw.index.names import Names
from bovw.index.segment import Segment, postings_of
from bovw.index.statistics import Counts, Statistics
from bovw.records import Bytes, Features, InvertedFile, Longs, Words

WORDS = 30
ODD_NAMES = (
    "plain.jpg",
    "a\nnew line.jpg",
    'it\'s "quoted"; --.jpg',
    "ünïcode/東京.jpg",
    "not utf-8 \udcff\udc80.jpg",
    "50% #1? & more.jpg",
)
ARRAYS = tuple(f"{name}.npy" for name in Segment.declared())
STATISTICS = tuple(f"{name}.npy" for name in Statistics.declared())


def random_features(rng: np.random.Generator, count: int, size: tuple[int, int]) -> Features:
    # The smallest scale that a segment tells apart is 1/4700 of the longest side.
    scales = max(size) * 2 ** rng.uniform(-12, -2, count)
    x, y = rng.uniform(0, size[0] - 1, count), rng.uniform(0, size[1] - 1, count)
    keypoints = np.stack([x, y, scales, rng.uniform(0, 360, count)], axis=1).astype(np.float32)
    return Features(keypoints, np.zeros((count, 128), np.uint8), *size)


def random_words(rng: np.random.Generator, count: int) -> Words:
    ids = rng.integers(0, WORDS, (count, 1)).astype(np.int32)
    signatures = rng.integers(0, 2**63, (count, 1, 2)).astype(np.uint64)
    return Words(ids, signatures, rng.integers(0, 256, count).astype(np.uint8))


def random_images(count: int, seed: int = 0) -> list[tuple[Features, Words]]:
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 40, count).tolist()
    return [(random_features(rng, n, (640, 480)), random_words(rng, n)) for n in counts]


def gathered(images: Sequence[tuple[Features, Words]]) -> Segment:
    gathering = SegmentBuilder(WORDS, 128)
    for features, words in images:
        gathering.add(features, words.ids[:, 0], words.signatures[:, 0])
    return gathering.segment()


def row_of(name: str, features: int = 0, folder: str = "/photos/") -> ImageRow:
    return ImageRow(name, folder, 1234, 5678, "ab" * 32, 640, 480, features, "ok")


def fill(started: IndexWriter, names: Sequence[str], seed: int = 0) -> None:
    """Add images of random features, without a commit."""
    started.vocabulary_folder.mkdir(parents=True, exist_ok=True)
    for name, (features, words) in zip(names, random_images(len(names), seed), strict=True):
        started.add(row_of(name, len(features)), features, words)


def create(folder: Path) -> IndexWriter:
    return IndexWriter.create(folder, WORDS, 128, "f" * 64, {"max_size": 1024})


def written(folder: Path, names: Sequence[str], seed: int = 0) -> Index:
    with create(folder) as started:
        fill(started, names, seed)
        started.commit()
    return Index.open(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written(tmp_path / "index", ["a.jpg", "b.jpg", "c.jpg"])
    return tmp_path / "index"


# Segments


@pytest.mark.parametrize("size", [(640, 480), (16, 4000), (100_000, 300)])
def test_geometry_comes_back_within_its_steps(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    features = random_features(rng, 500, size)
    ids = np.zeros(500, np.int32)
    gathering = SegmentBuilder(1, 128)
    gathering.add(features, ids, np.zeros((500, 2), np.uint64))
    stored = gathering.segment().keypoints(np.arange(500), 0)
    assert np.abs(stored[:, :2] - features.keypoints[:, :2]).max() <= 0.6 * max(size) / 65_535
    ratio = stored[:, 2] / features.keypoints[:, 2]
    assert np.abs(np.log2(ratio)).max() <= 0.501 / 21
    turn = np.abs(stored[:, 3] - features.keypoints[:, 3])
    assert np.minimum(turn, 360 - turn).max() <= 180 / 256 + 1e-3


def test_geometry_at_the_limits() -> None:
    keypoints = [[-0.5, -0.5, 1e-9, 360], [639.5, 479.5, 5000, 0], [-9, 900, 0, 359.9]]
    features = Features(np.array(keypoints, np.float32), np.zeros((3, 128), np.uint8), 640, 480)
    positions, frames = quantise(features).values()
    assert positions.tolist() == [[0, 0], [65_535, 49_151], [0, 65_535]]
    assert frames.tolist() == [[0, 0], [255, 0], [0, 0]]


def test_segment_agrees_with_a_dictionary_of_lists() -> None:
    images = random_images(12)
    postings = defaultdict(list)
    for number, (features, words) in enumerate(images):
        positions, frames = quantise(features).values()
        for i, word in enumerate(words.ids[:, 0].tolist()):
            row = (number, *words.signatures[i, 0], *positions[i], *frames[i])
            postings[word].append([int(value) for value in row])
    segment = gathered(images)
    columns = (segment.images[:, None], segment.signatures, segment.positions, segment.frames)
    for word in range(WORDS):
        own = slice(segment.offsets[word], segment.offsets[word + 1])
        rows = zip(*(column[own].tolist() for column in columns), strict=True)
        assert [[v for part in row for v in part] for row in rows] == postings[word]
    assert segment.sizes.tolist() == [[640, 480]] * 12


@settings(deadline=None)
@given(
    lists=st.lists(
        st.lists(st.integers(0, 300) | st.integers(0, 2**31 - 2), max_size=9), max_size=6
    )
)
def test_image_numbers_survive_their_encoding(lists: list[list[int]]) -> None:
    images = np.array([image for own in lists for image in sorted(own)], np.int32)
    offsets = np.cumsum([0, *map(len, lists)])
    gaps, places = encode_images(offsets, images)
    assert decode_images(lists_of(offsets, places, gaps, 2**31 - 1)).tolist() == images.tolist()
    expected = []
    for own in lists:
        for before, image in pairwise([0, *sorted(own)]):
            gap = image - before
            while gap >= 128:
                expected.append(gap % 128 + 128)
                gap //= 128
            expected.append(gap)
    assert gaps.tolist() == expected
    if len(images):
        below = lists_of(offsets, places, gaps, int(images.max()))
        assert decode_images(below).shape == (0,)


def lists_of(offsets: Longs, places: Longs, gaps: Bytes, images: int) -> InvertedFile:
    """Return lists whose postings have neither signatures nor frames."""
    columns = offsets, places, gaps, np.empty((0, 1), np.uint64), np.empty((0, 2), np.uint8)
    return InvertedFile(*(read_only(column) for column in columns), images)


def test_the_postings_of_images_are_found() -> None:
    segments = [gathered(random_images(9, seed)) for seed in (1, 2)]
    asked = np.array([11, 3, 0, 3, 17], np.int32)
    found = list(postings_of(segments, asked))
    for image, (segment, number, postings) in zip(asked.tolist(), found, strict=True):
        assert segment is segments[image // 9] and number == image % 9
        assert postings.tolist() == np.flatnonzero(segment.images == number).tolist()
        words = segment.words(postings)
        for posting, word in zip(postings, words.ids[:, 0], strict=True):
            assert segment.offsets[word] <= posting < segment.offsets[word + 1]
        assert words.angles.tolist() == segment.frames[postings, 1].tolist()


def test_segment_without_images() -> None:
    segment = gathered([])
    assert segment.offsets.tolist() == [0] * (WORDS + 1)
    assert segment.keypoints(np.empty(0, np.int64), np.empty(0, np.int32)).shape == (0, 4)


def test_segment_on_disk_is_the_same(tmp_path: Path) -> None:
    segment = gathered(random_images(5))
    segment.save(tmp_path / "1")
    opened = Segment.open(tmp_path / "1")
    for name in Segment.declared():
        first, second = getattr(segment, name), getattr(opened, name)
        assert first.dtype == second.dtype
        assert np.array_equal(first, second)


# Statistics


def slow_statistics(images: Sequence[tuple[Features, Words]]) -> dict[str, list[float]]:
    """Count and weigh by the formulas, from lists of words."""
    lists = [words.ids[:, 0].tolist() for _, words in images]
    weights = []
    for word in range(WORDS):
        frequency = sum(word in words for words in lists)
        weights.append(math.log(1 + len(lists) / max(frequency, 1)) ** 2)
    return {
        "weights": weights,
        "features": [len(words) for words in lists],
        "distinct": [len(set(words)) for words in lists],
    }


def statistics_of(*parts: Sequence[tuple[Features, Words]]) -> Statistics:
    """Count over segments, one of each part, of which all images are live."""
    counts = [Counts.of(gathered(part)) for part in parts]
    return Statistics.of(counts, WORDS)


def test_statistics_agree_with_their_formulas() -> None:
    images = random_images(20)
    rng = np.random.default_rng(1)
    images.append((random_features(rng, 0, (640, 480)), random_words(rng, 0)))
    expected = slow_statistics(images)
    for parts in ([images], [images[:7], images[7:8], images[8:]]):
        statistics = statistics_of(*parts)
        assert np.allclose(statistics.weights, expected["weights"], rtol=1e-6)
        assert statistics.features.tolist() == expected["features"]
        assert statistics.distinct.tolist() == expected["distinct"]


def test_statistics_do_not_depend_on_segments() -> None:
    images = random_images(20)
    whole, parts = statistics_of(images), statistics_of(images[:9], images[9:])
    for name in Statistics.declared():
        assert getattr(whole, name).tobytes() == getattr(parts, name).tobytes()


def test_statistics_of_nothing() -> None:
    assert np.isfinite(statistics_of([]).weights).all()
    assert len(statistics_of().features) == 0


def test_removed_images_count_for_nothing() -> None:
    images = random_images(20)
    live = np.arange(20) % 3 > 0
    counted = Statistics.of([Counts.of(gathered(images), live)], WORDS)
    left = statistics_of([image for image, is_live in zip(images, live, strict=True) if is_live])
    assert counted.weights.tobytes() == left.weights.tobytes()
    assert counted.live.tolist() == live.tolist()
    for name in ("features", "distinct"):
        assert getattr(counted, name)[live].tolist() == getattr(left, name).tolist()
        assert not getattr(counted, name)[~live].any()


def test_merging_is_gathering_what_is_live() -> None:
    images = random_images(20)
    rng = np.random.default_rng(3)
    for live in (rng.random(20) < 0.5, np.ones(20, bool), np.zeros(20, bool)):
        parts = [slice(0, 7), slice(7, 8), slice(8, 20)]
        merged = merge([gathered(images[part]) for part in parts], [live[part] for part in parts])
        left = gathered([image for image, own in zip(images, live, strict=True) if own])
        for name in Segment.declared():
            first, second = getattr(merged, name), getattr(left, name)
            assert first.dtype == second.dtype
            assert np.array_equal(first, second)


# The index


def test_index_has_what_was_added(folder: Path) -> None:
    index = Index.open(folder)
    assert list(index.names) == ["a.jpg", "b.jpg", "c.jpg"]
    assert len(index) == 3
    assert index.path(1) == Path("/photos/b.jpg")
    assert index.sizes.tolist() == [[640, 480]] * 3
    assert index.meta["options"] == {"max_size": 1024}
    assert index.features == sum(row.features for row in index.images())
    assert index.damaged_files() == []
    assert all(index.bytes().values())


def test_names_come_back_as_they_were(tmp_path: Path) -> None:
    place = tmp_path / "an odd %41 #? ü.index"
    below = "/ph\udcffotos/"
    skipped = ImageRow("bad\n\udcfe.jpg", below, status="skipped", reason="grün")
    with create(place) as started:
        fill(started, ODD_NAMES)
        started.skip(skipped)
        started.commit()
    index = Index.open(place)
    assert list(index.names) == list(ODD_NAMES)
    rows = {row.name: row for row in index.images()}
    assert rows.keys() == {*ODD_NAMES, skipped.name}
    assert rows[skipped.name] == skipped
    assert rows["plain.jpg"].segment is not None
    ordered = sorted(range(len(index)), key=index.names.order.__getitem__)
    assert [index.names[i] for i in ordered] == sorted(ODD_NAMES)


@given(st.lists(st.text("aAb/.é\udcff", min_size=1), unique=True), st.text("aAb/é", min_size=1))
def test_names_are_found_and_searched(names: list[str], part: str) -> None:
    kept = Names.of([*(("/A/b/", name) for name in names), ("", "")])
    assert [kept.find(name) for name in names] == list(range(len(names)))
    assert kept.find("") is None and kept.find("another") is None
    assert (part in names) == (kept.find(part) is not None)
    held = [os.fsencode(part).lower() in os.fsencode(name).lower() for name in names]
    assert kept.containing(part).tolist() == [*held, False]


# Commits


def content(index: Index) -> dict[str, object]:
    """Return all that is known of every image of an index, wherever it is kept."""
    found = {}
    for image in np.flatnonzero(index.statistics.live).tolist():
        ((segment, number, postings),) = postings_of(index.segments, np.array([image], np.int32))
        words = segment.words(postings)
        found[index.names[image]] = (
            str(index.path(image)),
            segment.sizes[number].tolist(),
            words.ids.tolist(),
            words.signatures.tolist(),
            segment.keypoints(postings, number).tolist(),
            int(index.statistics.features[image]),
            int(index.statistics.distinct[image]),
        )
    return found


def assert_holds_the_same(first: Index, second: Index) -> None:
    assert content(first) == content(second)
    assert first.statistics.weights.tobytes() == second.statistics.weights.tobytes()
    assert len(first) == len(second) and first.features == second.features


def test_without_a_commit_nothing_changes(folder: Path) -> None:
    before = Index.open(folder).files()
    with IndexWriter.open(folder) as opened:
        fill(opened, ["x.jpg", "y.jpg"], seed=1)
        opened._flush()
        opened.remove("a.jpg")
    index = Index.open(folder)
    assert list(index.names) == ["a.jpg", "b.jpg", "c.jpg"]
    assert index.files() == before
    assert index.damaged_files() == []


def fail(*_: object, **__: object) -> None:
    raise OSError("no space left on device")


STEPS: dict[str, tuple[object, str]] = {
    "segment": (Segment, "save"),
    "statistics": (Statistics, "save"),
    "names": (Names, "save"),
    "file": (os, "fsync"),
    "folder": (index_writer, "sync_folder"),
    "meta": (Catalog, "put_meta"),
    "segments": (Catalog, "put_segments"),
    "images": (Catalog, "put_images"),
    "seal": (Catalog, "write_digest"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_failed_commit_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = content(Index.open(folder))
    with IndexWriter.open(folder) as opened:
        fill(opened, ["b.jpg", "x.jpg"], seed=1)
        opened.remove("a.jpg")
        owner, method = STEPS[step]
        if step in ("meta", "segments", "images", "seal"):
            # It fails once it has done its part.
            done = getattr(owner, method)
            monkeypatch.setattr(owner, method, lambda *a: (done(*a), fail()))
        else:
            monkeypatch.setattr(owner, method, fail)
        with pytest.raises(OSError, match="no space left"):
            opened.commit()
        monkeypatch.undo()
    assert content(Index.open(folder)) == before
    assert find_problems(folder) == []
    # The next one is not disturbed by what this one left, and clears it up.
    with IndexWriter.open(folder) as opened:
        fill(opened, ["z.jpg"])
        opened.commit()
    index = Index.open(folder)
    assert set(content(index)) == {"a.jpg", "b.jpg", "c.jpg", "z.jpg"}
    kept = {path.relative_to(folder).as_posix() for path in folder.rglob("*.npy")}
    assert kept == set(index.files())


def test_a_short_write_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(file: IO[bytes], array: npt.NDArray[np.generic]) -> None:
        file.write(array.tobytes()[:-1])

    with IndexWriter.open(folder) as opened:
        fill(opened, ["x.jpg"], seed=1)
        monkeypatch.setattr(np, "save", short)
        with pytest.raises(FormatError, match="damaged"):
            opened.commit()
    monkeypatch.undo()
    assert list(Index.open(folder).names) == ["a.jpg", "b.jpg", "c.jpg"]


def test_an_opened_index_keeps_its_snapshot(folder: Path) -> None:
    old = Index.open(folder)
    before = content(old)
    with IndexWriter.open(folder) as opened:
        fill(opened, ["a.jpg", "x.jpg"], seed=1)
        opened.remove("b.jpg")
        opened.compact()
        opened.commit()
    assert content(old) == before
    assert set(content(Index.open(folder))) == {"a.jpg", "c.jpg", "x.jpg"}
    with pytest.raises(FormatError, match="changed meanwhile"):
        old.images()


def test_a_reader_that_comes_during_a_commit_reads_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Index._read_catalog

    def overtaken(index: Index) -> None:
        read(index)
        monkeypatch.setattr(Index, "_read_catalog", read)
        with IndexWriter.open(folder) as opened:
            fill(opened, ["x.jpg"], seed=1)
            opened.commit()

    monkeypatch.setattr(Index, "_read_catalog", overtaken)
    assert set(content(Index.open(folder))) == {"a.jpg", "b.jpg", "c.jpg", "x.jpg"}


def test_an_image_is_replaced_by_name(folder: Path, tmp_path: Path) -> None:
    with IndexWriter.open(folder) as opened:
        fill(opened, ["b.jpg"], seed=7)
        fill(opened, ["b.jpg"], seed=8)
        opened.commit()
    with create(tmp_path / "fresh") as started:
        fill(started, ["a.jpg", "b.jpg", "c.jpg"])
        fill(started, ["b.jpg"], seed=8)
        started.commit()
    assert_holds_the_same(Index.open(folder), Index.open(tmp_path / "fresh"))


def test_renaming_keeps_features_and_graph(folder: Path) -> None:
    before = content(Index.open(folder))
    with IndexWriter.open(folder) as opened:
        opened.put_graph(Graph.of([[(1, 20.0)], [], []]))
        opened.commit()
    with IndexWriter.open(folder) as opened:
        opened.rename("a.jpg", replace(opened.rows["a.jpg"], name="d.jpg", folder="/other/"))
        opened.commit()
    index = Index.open(folder)
    after = content(index)
    assert after["d.jpg"] == ("/other/d.jpg", *before["a.jpg"][1:])
    assert index.graph and index.graph.neighbours[0, 0] == 1
    assert [row.name for row in index.images()] == ["b.jpg", "c.jpg", "d.jpg"]
    with IndexWriter.open(folder) as opened:
        opened.remove("d.jpg")
        opened.commit()
    assert Index.open(folder).graph is None
    assert find_problems(folder) == []


def test_nothing_to_do_writes_nothing(folder: Path) -> None:
    before = Index.open(folder).files()
    with IndexWriter.open(folder) as opened:
        opened.commit()
    assert Index.open(folder).files() == before


def test_segments_of_one_commit_become_one(tmp_path: Path) -> None:
    images = random_images(31)
    with create(tmp_path / "index") as opened:
        opened.vocabulary_folder.mkdir(parents=True)
        # The last is too small for the one before to be merged with it.
        for start, end in ((0, 10), (10, 20), (20, 30), (30, 31)):
            own = images[start:end]
            rows = [row_of(f"{start}-{i}.jpg", len(f)) for i, (f, _) in enumerate(own)]
            opened.adopt(gathered(own), rows)
        opened.commit()
        assert len(opened._segments.states) == 1
    assert len(Index.open(tmp_path / "index").names) == 31
    assert find_problems(tmp_path / "index") == []


def test_segments_stay_few_and_of_live_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = {f"{n:03}.jpg": image for n, image in enumerate(random_images(150))}
    with create(tmp_path / "index") as opened:
        opened.vocabulary_folder.mkdir(parents=True)
        for count, (name, (features, words)) in enumerate(images.items(), 1):
            opened.add(row_of(name, len(features)), features, words)
            if rng.random() < 0.3:
                opened.remove(sorted(opened.rows)[rng.integers(len(opened.rows))])
            opened.commit()
            assert len(opened._segments.states) <= 2 + math.log(count, 4)
    index = Index.open(tmp_path / "index")
    assert index.removed <= 0.5 * sum(row.features for row in index.segment_rows)
    fresh = tmp_path / "fresh"
    with create(fresh) as started:
        started.vocabulary_folder.mkdir(parents=True)
        for name in content(index):
            features, words = images[name]
            started.add(row_of(name, len(features)), features, words)
        started.commit()
    assert_holds_the_same(index, Index.open(fresh))
    with IndexWriter.open(tmp_path / "index") as opened:
        opened.compact()
        opened.commit()
    compacted = Index.open(tmp_path / "index")
    assert len(compacted.segments) == 1 and compacted.removed == 0
    assert_holds_the_same(compacted, Index.open(fresh))
    assert find_problems(tmp_path / "index") == []


def test_a_posting_is_rewritten_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many commits there are, as often as the logarithm of their number."""
    written = []
    save = Segment.save
    monkeypatch.setattr(
        Segment, "save", lambda self, folder: (written.append(len(self)), save(self, folder))[1]
    )
    rng = np.random.default_rng(0)
    with create(tmp_path / "index") as opened:
        opened.vocabulary_folder.mkdir(parents=True)
        for count in range(1, 129):
            opened.add(
                row_of(f"{count}.jpg", 5),
                random_features(rng, 5, (640, 480)),
                random_words(rng, 5),
            )
            opened.commit()
            assert len(opened._segments.states) <= 2 + math.log(count, 4)
            assert sum(written) <= 5 * count * (1 + 2 * math.log2(count))


def test_all_images_can_be_removed(folder: Path) -> None:
    with IndexWriter.open(folder) as opened:
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            opened.remove(name)
        opened.commit()
    index = Index.open(folder)
    assert len(index) == 0 and index.features == 0 and index.segments == []
    assert find_problems(folder) == []


def test_an_interrupted_first_build_is_no_obstacle(tmp_path: Path) -> None:
    place = tmp_path / "index"
    with create(place) as started:
        fill(started, ["a.jpg"])
        started._flush()
    with pytest.raises(FormatError, match="no index in"):
        Index.open(place)
    # A first commit that was killed leaves a catalog without tables.
    (place / FILE).touch()
    with pytest.raises(FormatError, match="no index in"):
        Index.open(place)
    assert list(written(place, ["b.jpg"]).names) == ["b.jpg"]
    assert len(list((place / "segments").iterdir())) == 1


def test_an_index_is_not_overwritten(folder: Path) -> None:
    with pytest.raises(FormatError, match="already"):
        create(folder)


def test_another_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(FormatError, match="not an index"):
        create(tmp_path)


def test_older_format_says_what_to_do(folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute("UPDATE meta SET value = '1' WHERE key = 'format'")
    with pytest.raises(FormatError, match=r"format 1.*index the images again"):
        Index.open(folder)


def test_newer_format_is_refused_by_number(folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'format'", [str(FORMAT + 1)])
    with pytest.raises(FormatError, match=f"format {FORMAT + 1}.*pip install -U bovw"):
        Index.open(folder)


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [Path.unlink, halve, empty])
@pytest.mark.parametrize("name", [*ARRAYS, *STATISTICS])
def test_damage_is_told_in_one_line(
    folder: Path, name: str, damage: Callable[[Path], object]
) -> None:
    path = next(folder.rglob(name))
    damage(path)
    with pytest.raises(FormatError, match="bovw check --repair") as caught:
        Index.open(folder)
    assert str(path.parent) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_catalog_is_told(folder: Path) -> None:
    (folder / FILE).write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    with pytest.raises(FormatError, match="damaged"):
        Index.open(folder)


def test_a_segment_of_another_index_is_told(folder: Path, tmp_path: Path) -> None:
    written(tmp_path / "other", ["x.jpg"], seed=5)
    stranger = next((tmp_path / "other").rglob("gaps.npy"))
    next(folder.rglob("gaps.npy")).write_bytes(stranger.read_bytes())
    with pytest.raises(FormatError, match="bovw check --repair"):
        Index.open(folder)


@pytest.mark.parametrize("name", [*ARRAYS, *STATISTICS])
def test_a_flipped_byte_is_found(folder: Path, name: str) -> None:
    index = Index.open(folder)
    path = next(folder.rglob(name))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert index.damaged_files() == [path.relative_to(folder).as_posix()]


def test_the_same_images_give_the_same_files(folder: Path, tmp_path: Path) -> None:
    again = written(tmp_path / "again", ["a.jpg", "b.jpg", "c.jpg"])
    assert again.files() == Index.open(folder).files()


def test_many_segments_hold_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{n}.jpg" for n in range(20)]
    whole = written(tmp_path / "whole", names)
    monkeypatch.setattr(merging, "SEGMENT_FEATURES", 50)
    parts = written(tmp_path / "parts", names)
    assert len(parts.segments) > 4
    assert list(parts.names) == list(whole.names)
    assert parts.features == whole.features
    for name in Statistics.declared():
        first, second = getattr(parts.statistics, name), getattr(whole.statistics, name)
        assert first.tobytes() == second.tobytes()
    assert (
        parts.starts.tolist()
        == np.cumsum([0, *(len(s.sizes) for s in parts.segments)])[:-1].tolist()
    )
