"""An index that is brought up to date reads what is new, and holds what a fresh one would."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from bovw.compute.isolation import Failure
from bovw.errors import FormatError, UsageError
from bovw.images.find import ImageFile, find_images
from bovw.index import Index
from bovw.index.integrity import find_problems
from bovw.ingest import build
from bovw.ingest.build import build_index
from bovw.ingest.collection import Collection, Looked
from bovw.ingest.run import Recipe, Run
from bovw.options import FeatureOptions, IngestOptions
from bovw.search.searcher import Searcher
from bovw.vocab import Vocabulary
from tests.ingest.updates import FEW, Updates, answers

# What is read, and what is not


def test_what_is_as_before_is_not_opened(update: Updates, monkeypatch: pytest.MonkeyPatch) -> None:
    before = update().files()
    assert update.counts == {"new": 3}

    def refuse(*_: object) -> object:
        raise AssertionError("opened")

    monkeypatch.setattr("bovw.ingest.changes.sha256", refuse)
    monkeypatch.setattr(
        build, "run_isolated", lambda function, items, jobs, limit: (refuse(i) for i in items)
    )
    assert update().files() == before
    assert update.counts == {"same": 3}


def test_each_change_is_told(update: Updates, pictures: list[Path]) -> None:
    update()
    photos = update.photos
    (photos / "deep").mkdir()
    (photos / "0.jpg").rename(photos / "deep" / "moved.jpg")
    shutil.copy(pictures[4], photos / "1.jpg")
    (photos / "2.jpg").unlink()
    shutil.copy(pictures[5], photos / "3.jpg")
    index = update()
    assert update.counts == {"new": 1, "changed": 1, "moved": 1, "removed": 1}
    assert list(update.plans[-1].steps()) == [
        ("new", "3.jpg"),
        ("changed", "1.jpg"),
        ("moved", "0.jpg to deep/moved.jpg"),
        ("removed", "2.jpg"),
    ]
    assert {row.name for row in index.images()} == {"1.jpg", "3.jpg", "deep/moved.jpg"}
    assert Searcher(index).search(pictures[0])[0].name == "deep/moved.jpg"
    assert find_problems(update.folder) == []


def test_a_touched_file_is_compared_and_kept(update: Updates) -> None:
    before = update().files()
    os.utime(update.photos / "0.jpg", (1, 1))
    kept = {n: d for n, d in update().files().items() if n.startswith("segments")}
    assert kept == {n: d for n, d in before.items() if n.startswith("segments")}
    assert update.counts == {"same": 3}
    update()
    assert update.plans[-1].moved == {}


def test_a_moved_collection_keeps_its_features(update: Updates, tmp_path: Path) -> None:
    segments = update().segment_rows
    update.photos = update.photos.rename(tmp_path / "elsewhere")
    index = update()
    assert update.counts == {"same": 3}
    assert index.segment_rows == segments
    assert {index.path(i).parent for i in range(3)} == {tmp_path / "elsewhere"}


def test_another_folder_is_added(update: Updates, pictures: list[Path], tmp_path: Path) -> None:
    update()
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(pictures[6], other / "9.jpg")
    images = find_images([other])
    index = update(images=images, may_vanish=Looked([other]))
    assert update.counts == {"new": 1}
    assert len(index) == 4
    shutil.copy(pictures[7], other / "0.jpg")
    with pytest.raises(UsageError, match=r"would both be called 0\.jpg"):
        update(images=find_images([other]), may_vanish=Looked([other]))
    assert len(update(may_vanish=Looked([update.photos]))) == 4
    assert update.counts == {"same": 3}


def test_files_are_named_by_the_folder_that_is_indexed(update: Updates, tmp_path: Path) -> None:
    update()
    collection = Collection.of(update.folder)
    paths = [update.photos / "a" / "x.jpg", tmp_path / "y.jpg", update.photos / "1.jpg"]
    files = [ImageFile(path.name, path) for path in paths]
    assert [image.name for image in collection.name(files)] == ["1.jpg", "a/x.jpg", "y.jpg"]
    assert [image.path for image in collection.name(files)] == [paths[2], *paths[:2]]
    with pytest.raises(UsageError, match=r"would both be called y\.jpg"):
        collection.name([files[1], ImageFile("y.jpg", tmp_path / "b" / "y.jpg")])


def test_other_words_or_features_are_refused(update: Updates, vocabulary: Vocabulary) -> None:
    before = update().files()
    other = Vocabulary(
        vocabulary.words[::-1].copy(), vocabulary.projection, vocabulary.sources
    )  # fmt: skip
    with pytest.raises(FormatError, match="another vocabulary"):
        update(recipe=Recipe(other, features=FEW))
    with pytest.raises(FormatError, match="max_features 150 and not 200"):
        update(recipe=Recipe(features=FeatureOptions(max_size=300, max_features=200)))
    assert update(recipe=Recipe()).files() == before


# Images that cannot be used


def test_what_was_skipped_is_not_tried_again(update: Updates) -> None:
    bad = update.photos / "bad.jpg"
    bad.write_bytes(b"\xff\xd8 not a photograph")
    update()
    assert list(update.told) == ["bad.jpg"]
    update()
    assert update.told == {} and update.counts == {"same": 4}
    update(ingest=IngestOptions(retry=True))
    assert list(update.told) == ["bad.jpg"] and update.counts == {"retried": 1, "same": 3}
    shutil.copy(update.photos / "1.jpg", bad)
    assert len(update()) == 4 and update.counts == {"changed": 1, "same": 3}


def test_what_cannot_be_read_is_tried_again(update: Updates) -> None:
    (update.photos / "link.jpg").symlink_to("nowhere")
    for _ in range(2):
        update()
        assert list(update.told) == ["link.jpg"]


def test_a_changed_image_that_is_damaged_leaves_no_features(update: Updates) -> None:
    update()
    (update.photos / "1.jpg").write_bytes(b"")
    index = update()
    assert update.told == {"1.jpg": "empty file"}
    assert len(index) == 2
    rows = {row.name: row for row in index.images()}
    assert (rows["1.jpg"].status, rows["1.jpg"].features) == ("skipped", 0)


def test_a_picture_that_ends_its_process_is_on_record(
    update: Updates, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(function, items, jobs, limit):  # type: ignore[no-untyped-def]
        for item in items:
            yield Failure(item, "took more than 1 s") if item.name == "1.jpg" else function(item)

    monkeypatch.setattr(build, "run_isolated", crash)
    index = update()
    assert update.told == {"1.jpg": "took more than 1 s"}
    assert len(index) == 2
    monkeypatch.undo()
    update()
    assert update.counts == {"same": 3}
    assert len(update(ingest=IngestOptions(retry=True))) == 3


# Interrupted runs


def test_batches_that_were_committed_are_kept(
    update: Updates, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_isolated = vars(build)["run_isolated"]

    def stop(function, items, jobs, limit):  # type: ignore[no-untyped-def]
        for done, answer in enumerate(run_isolated(function, items, jobs, limit)):
            if done == 2:
                raise KeyboardInterrupt
            yield answer

    monkeypatch.setattr(build, "run_isolated", stop)
    with pytest.raises(KeyboardInterrupt):
        update(ingest=IngestOptions(batch=1))
    monkeypatch.undo()
    assert len(Index.open(update.folder)) == 2
    assert len(update()) == 3
    assert update.counts == {"new": 1, "same": 2}


def test_words_that_were_trained_are_kept(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "find_changes", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build_index(find_images([photos]), tmp_path / "index", Recipe(features=FEW), Run(jobs=1))
    monkeypatch.undo()
    trained = Index.open(tmp_path / "index").meta["fingerprint"]
    assert len(Index.open(tmp_path / "index")) == 0
    index = build_index(find_images([photos]), tmp_path / "index", run=Run(jobs=1))
    assert len(index) == 3 and index.meta["fingerprint"] == trained


@pytest.mark.slow
def test_jobs_and_batches_make_no_difference(
    photos: Path, vocabulary: Vocabulary, pictures: list[Path], tmp_path: Path
) -> None:
    for number, picture in enumerate(pictures):
        shutil.copy(picture, photos / f"{number}.jpg")
    images = find_images([photos])
    made = {
        (jobs, batch): build_index(
            images,
            tmp_path / f"{jobs}-{batch}",
            Recipe(vocabulary, features=FEW),
            Run(jobs=jobs, options=IngestOptions(batch=batch)),
        )
        for jobs, batch in ((1, 3), (4, 3), (1, 500))
    }  # fmt: skip
    assert made[1, 3].files() == made[4, 3].files()
    assert len(made[1, 500].segments) == 1
    assert answers(made[1, 3], pictures[:2]) == answers(made[1, 500], pictures[:2])
