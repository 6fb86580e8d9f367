"""Collections built and searched whole: what was drawn is found, and what is unusable is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from bovw.demo.scenes import Collection
from bovw.errors import BovwError, FormatError
from bovw.images.find import find_images
from bovw.index import Index, merging
from bovw.ingest.build import build_index
from bovw.ingest.run import Recipe, Run
from bovw.ingest.training import build_vocabulary
from bovw.options import FeatureOptions, SearchOptions, VocabularyOptions
from bovw.search.query import describe_query
from bovw.search.searcher import Searcher
from tests.queries import search
from tests.search.hits import Build, same

# Collections


def test_one_image_is_found_with_a_score(build: Build, photos: Path) -> None:
    for name in ("0.jpg", "2.jpg"):
        (photos / name).unlink()
    searcher = Searcher(build(photos))
    assert len(searcher.index) == 1
    # The indexed features, with one word each: those that they were indexed under.
    indexed = FeatureOptions(**searcher.index.meta["options"])
    described = describe_query(photos / "1.jpg", options=indexed)
    for scoring, least in (("tfidf", 0.1), ("asmk", 0.999), ("hamming", 0.1)):
        ranking = Searcher(searcher.index, SearchOptions(scoring=scoring, rerank=0, words=1))
        assert ranking.search_features(*described)[0].score > least


def test_a_query_keeps_features_that_the_index_leaves_out(build: Build, photos: Path) -> None:
    searcher = Searcher(build(photos))
    indexed = searcher.index.meta["options"]["max_features"]
    assert indexed < FeatureOptions().max_features
    kept = describe_query(photos / "1.jpg", options=searcher.feature_options)[0]
    assert len(kept) > indexed
    assert len(kept) == len(describe_query(photos / "1.jpg")[0])


def test_one_image_is_verified(build: Build, photos: Path) -> None:
    for name in ("0.jpg", "2.jpg"):
        (photos / name).unlink()
    searcher = Searcher(build(photos))
    hit = searcher.search(photos / "1.jpg")[0]
    assert hit.confirmed
    assert hit.transform is not None
    assert np.allclose(hit.transform, np.eye(3), atol=0.02)


@pytest.mark.slow
def test_exact_duplicates_are_both_found(build: Build, photos: Path) -> None:
    shutil.copy(photos / "0.jpg", photos / "twin.jpg")
    hits = Searcher(build(photos)).search(photos / "0.jpg")
    assert [hit.name for hit in hits[:2]] == ["0.jpg", "twin.jpg"]
    assert hits[0].score == hits[1].score
    assert hits[2].name == "1.jpg"


def test_unusable_images_are_skipped_and_on_record(build: Build, photos: Path) -> None:
    (photos / "corrupt.jpg").write_bytes((photos / "0.jpg").read_bytes()[:3000])
    (photos / "empty.png").touch()
    cv2.imwrite(str(photos / "flat.png"), np.full((100, 100), 77, np.uint8))
    (photos / "text.jpg").write_text("not an image")
    told: dict[str, str] = {}
    index = build(photos, on_skip=told.__setitem__)
    bad = {"corrupt.jpg", "empty.png", "flat.png", "text.jpg"}
    assert told.keys() == bad
    assert "empty file" in told["empty.png"]
    assert "no features" in told["flat.png"]
    assert list(index.names) == ["0.jpg", "1.jpg", "2.jpg"]
    rows = {row.name: row for row in index.images()}
    assert {name for name, row in rows.items() if row.status == "skipped"} == bad
    assert {name: rows[name].reason for name in bad} == told
    assert all(rows[name].features == 0 and rows[name].segment is None for name in bad)
    assert rows["flat.png"].width == 100
    assert rows["0.jpg"].sha256
    assert Searcher(index).search(photos / "1.jpg")[0].name == "1.jpg"


def test_nothing_usable_is_an_error_and_keeps_the_old(build: Build, photos: Path) -> None:
    build(photos)
    for file in photos.iterdir():
        file.write_bytes(b"")
    with pytest.raises(BovwError, match="nothing was indexed"):
        build(photos)
    assert len(Index.open(photos.parent / "index")) == 3
    with pytest.raises(BovwError, match="no image has features to train on"):
        build_vocabulary(find_images([photos]), run=Run(jobs=1))


# The same inputs give the same index


@pytest.mark.slow
def test_jobs_do_not_change_the_files(
    collection: Collection, index: Index, feature_options: FeatureOptions, tmp_path: Path
) -> None:
    files = find_images([collection.database])
    other = build_index(files, tmp_path / "index", Recipe(features=feature_options), Run(jobs=2))
    assert other.meta["fingerprint"] == index.meta["fingerprint"]
    assert other.files() == index.files()
    assert other.damaged_files() == []
    for file in index.vocabulary_folder.iterdir():
        assert file.read_bytes() == (other.vocabulary_folder / file.name).read_bytes()


@pytest.mark.slow
def test_segments_do_not_change_the_answers(
    build: Build, photos: Path, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Searcher(build(photos, "whole"))
    monkeypatch.setattr(merging, "SEGMENT_FEATURES", 500)
    parts = Searcher(build(photos, "parts"))
    assert [len(searcher.index.segments) for searcher in (whole, parts)] == [1, 3]
    for query in collection.queries[:2]:
        image = collection.root / query.name
        assert same(search(parts, image), search(whole, image))


def test_training_takes_no_more_than_asked(photos: Path) -> None:
    options = VocabularyOptions(words=50, max_descriptors=1000)
    vocabulary = build_vocabulary(find_images([photos]), options=options, run=Run(jobs=1))
    assert vocabulary.settings["descriptors"] == 1000
    assert vocabulary.words.shape == (50, 128)
    # One picture has as many.
    assert len(vocabulary.sources) == 1


@pytest.mark.slow
def test_another_vocabulary_in_its_folder_is_told(build: Build, photos: Path) -> None:
    other = build_vocabulary(
        find_images([photos]), options=VocabularyOptions(words=20), run=Run(jobs=1)
    )
    index = build(photos)
    other.save(index.vocabulary_folder)
    with pytest.raises(FormatError, match="is not the one that the index was made with"):
        Searcher(index).search(photos / "0.jpg")
