"""Segments are few and hold live images, and a posting is rewritten seldom."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from bovw.errors import FormatError
from bovw.index import Index, IndexWriter
from bovw.index.catalog import FILE
from bovw.index.integrity import find_problems
from bovw.index.segment import Segment
from tests.index.samples import (
    assert_holds_the_same,
    content,
    create,
    fill,
    gathered,
    random_features,
    random_images,
    random_words,
    row_of,
    written,
)


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_posting_is_rewritten_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many commits there are, as often as the logarithm of their number."""
    written: list[int] = []
    save = Segment.save

    def counted(segment: Segment, folder: Path) -> dict[str, str]:
        written.append(len(segment))
        return save(segment, folder)

    monkeypatch.setattr(Segment, "save", counted)
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
