"""An index that is brought up to date holds what a fresh one would, whatever was done to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bovw.compute.isolation import Failure
from bovw.demo.scenes import Collection
from bovw.errors import FormatError, UsageError
from bovw.images.find import ImageFile, find_images, sha256
from bovw.index import Index, IndexWriter, merging
from bovw.index.catalog import FILE, ImageRow
from bovw.index.graph import Graph
from bovw.index.integrity import find_leftovers, find_problems
from bovw.ingest import build
from bovw.ingest.build import build_index
from bovw.ingest.changes import ChangeSet, below, name_files
from bovw.ingest.encode import Described
from bovw.ingest.repair import repair_index
from bovw.ingest.run import Recipe, Run
from bovw.options import FeatureOptions, IngestOptions, SearchOptions
from bovw.search.searcher import Searcher
from bovw.vocab import Vocabulary

FEW = FeatureOptions(max_size=300, max_features=150)


@pytest.fixture(scope="module")
def pictures(collection: Collection) -> list[Path]:
    return [image.path for image in find_images([collection.database])][:8]


@pytest.fixture(scope="module")
def vocabulary(searcher: Searcher) -> Vocabulary:
    return searcher.vocabulary


@pytest.fixture
def photos(tmp_path: Path, pictures: list[Path]) -> Path:
    """A folder with three of the pictures: 0.jpg, 1.jpg and 2.jpg."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, picture in enumerate(pictures[:3]):
        shutil.copy(picture, folder / f"{number}.jpg")
    return folder


class Updates:
    """Updates an index of the photos, and remembers what was planned."""

    def __init__(self, photos: Path, vocabulary: Vocabulary) -> None:
        self.photos, self.vocabulary = photos, vocabulary
        self.folder = photos.parent / "index"
        self.plans: list[ChangeSet] = []
        self.told: dict[str, str] = {}

    def __call__(
        self,
        images: Sequence[ImageFile] | None = None,
        recipe: Recipe | None = None,
        ingest: IngestOptions = IngestOptions(),
        may_vanish: Callable[[ImageRow], bool] = lambda row: True,
    ) -> Index:
        found = find_images([self.photos]) if images is None else images
        made_with = recipe or Recipe(self.vocabulary, features=FEW)
        self.told.clear()
        run = Run(jobs=1, on_skip=self.told.__setitem__, options=ingest)
        on_changes = self.plans.append
        return build_index(found, self.folder, made_with, run, may_vanish, on_changes)

    @property
    def counts(self) -> dict[str, int]:
        return {kind: count for kind, count in self.plans[-1].counts().items() if count}


@pytest.fixture
def update(photos: Path, vocabulary: Vocabulary) -> Updates:
    return Updates(photos, vocabulary)


def answers(index: Index, queries: list[Path]) -> list[list[tuple[object, ...]]]:
    """Return every hit of every query, to the last bit."""
    found = []
    for scoring in ("tfidf", "hamming", "asmk"):
        searcher = Searcher(index, SearchOptions(scoring=scoring))
        for query in queries:
            hits = searcher.search(query, topk=None)
            found.append([(hit.name, hit.path, hit.score, hit.inliers) for hit in hits])
    return found


# What is read, and what is not


def test_what_is_as_before_is_not_opened(update: Updates, monkeypatch: pytest.MonkeyPatch) -> None:
    before = update().files()
    assert update.counts == {"new": 3}

    def refuse(*_: object) -> None:
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
    index = update(images=images, may_vanish=below([other]))
    assert update.counts == {"new": 1}
    assert len(index) == 4
    shutil.copy(pictures[7], other / "0.jpg")
    with pytest.raises(UsageError, match=r"would both be called 0\.jpg"):
        update(images=find_images([other]), may_vanish=below([other]))
    assert len(update(may_vanish=below([update.photos]))) == 4
    assert update.counts == {"same": 3}


def test_files_are_named_by_the_folder_that_is_indexed(update: Updates, tmp_path: Path) -> None:
    rows = update().images()
    (update.photos / "a").mkdir()
    paths = [update.photos / "a" / "x.jpg", tmp_path / "y.jpg", update.photos / "1.jpg"]
    assert [image.name for image in name_files(paths, rows)] == ["a/x.jpg", "y.jpg", "1.jpg"]
    with pytest.raises(UsageError, match=r"would both be y\.jpg"):
        name_files([tmp_path / "y.jpg", tmp_path / "b" / "y.jpg"], rows)


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
    run_isolated = build.run_isolated

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
    monkeypatch.setattr(build, "plan_update", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build_index(find_images([photos]), tmp_path / "index", Recipe(features=FEW), Run(jobs=1))
    monkeypatch.undo()
    trained = Index.open(tmp_path / "index").meta["fingerprint"]
    assert len(Index.open(tmp_path / "index")) == 0
    index = build_index(find_images([photos]), tmp_path / "index", run=Run(jobs=1))
    assert len(index) == 3 and index.meta["fingerprint"] == trained


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


# Repair


def spoil(path: Path) -> None:
    """Flip the last bit of a file."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_a_damaged_segment_is_read_again(
    update: Updates, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "MERGE_SHARE", 10)
    whole = answers(update(), pictures[:3])
    with IndexWriter.open(update.folder) as opened:
        row = opened.rows["1.jpg"]
        opened.remove("1.jpg")
        opened.commit()
    assert row.segment is not None
    update()
    path = update.folder / "segments" / str(row.segment) / "signatures.npy"
    spoil(path)
    (update.folder / "names" / "99").mkdir()
    problems = find_problems(update.folder)
    assert len(problems) == 1 and str(path) in problems[0]
    assert find_leftovers(update.folder) == [update.folder / "names" / "99"]
    assert repair_index(update.folder) == ["0.jpg", "2.jpg"]
    assert find_problems(update.folder) == [] and find_leftovers(update.folder) == []
    assert len(Index.open(update.folder)) == 1
    assert answers(update(), pictures[:3]) == whole


@pytest.mark.parametrize("name", ["weights.npy", "order.npy", "cells.npz", "manifest.json"])
def test_what_follows_from_the_segments_is_made_again(
    update: Updates, pictures: list[Path], name: str
) -> None:
    whole = answers(update(), pictures[:3])
    path = next(update.folder.rglob(name))
    if name == "manifest.json":
        path.write_text(path.read_text().replace('"seed"', '"Seed"'))
    else:
        spoil(path)
    assert [str(path) in problem for problem in find_problems(update.folder)] == [True]
    assert repair_index(update.folder) == []
    assert find_problems(update.folder) == []
    assert answers(Index.open(update.folder), pictures[:3]) == whole


@pytest.mark.parametrize("name", ["signatures.npy", "words.npy", FILE])
def test_damage_is_not_taken_for_content(update: Updates, name: str) -> None:
    """A merge gives new checksums, and only to what is whole."""
    update()
    if name == FILE:
        path = update.folder / FILE
        path.write_bytes(path.read_bytes().replace(b"1.jpg", b"7.jpg"))
    else:
        spoil(next(update.folder.rglob(name)))
    before = find_problems(update.folder)
    assert before
    try:
        with IndexWriter.open(update.folder) as opened:
            opened.remove("0.jpg")
            opened.compact()
            opened.commit()
    except FormatError as error:
        assert name in str(error)
    assert find_problems(update.folder) == before


def test_a_damaged_graph_is_left_out(update: Updates) -> None:
    update()
    for damaged in (False, True):
        with IndexWriter.open(update.folder) as opened:
            opened.put_graph(Graph.of([[(1, 9.0)], [], []]))
            opened.commit()
        if damaged:
            spoil(next((update.folder / "graph").rglob("weights.npy")))
        assert bool(find_problems(update.folder)) == damaged
        assert repair_index(update.folder) == []
        assert (Index.open(update.folder).graph is None) == damaged
        assert find_problems(update.folder) == []


def test_an_empty_catalog_is_named(update: Updates) -> None:
    update()
    (update.folder / FILE).write_bytes(b"")
    with pytest.raises(FormatError, match=f"{FILE} is missing or empty"):
        find_problems(update.folder)


def test_a_damaged_list_of_columns_is_told(update: Updates) -> None:
    update()
    path = update.folder / FILE
    path.write_bytes(path.read_bytes().replace(b"folder TEXT", b"fonder TEXT"))
    with pytest.raises(FormatError, match="no such column: folder"):
        find_problems(update.folder)


# Any order of changes


@pytest.fixture(scope="module", autouse=True)
def shared(pictures: list[Path], vocabulary: Vocabulary) -> Iterator[None]:
    """Give the state machine what fixtures cannot."""
    Life.pictures, Life.vocabulary = pictures, vocabulary
    Life.described = {}
    yield


class Life(RuleBasedStateMachine):
    """Files come, change, move and go; the index is updated and merged in between."""

    pictures: list[Path]
    vocabulary: Vocabulary
    described: dict[str | None, Described]

    def __init__(self) -> None:
        super().__init__()
        self.place = TemporaryDirectory()
        self.photos = Path(self.place.name) / "photos"
        self.photos.mkdir()
        self.clock = 10**9
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(build, "run_isolated", self.once)
        self.updated = False

    def once(self, function, items, jobs, limit):  # type: ignore[no-untyped-def]
        """Describe a content once in all runs, in this process."""
        for item in items:
            known = self.described.get(sha256(item.path))
            if known is None:
                known, words = function(item)
                self.described[known.row.sha256] = known, words
            known, words = self.described[sha256(item.path)]
            row = describe_row(item, known.row)
            yield Described(row, known.features), words

    def names(self) -> list[str]:
        return sorted(path.name for path in self.photos.iterdir())

    def write(self, name: str, picture: int) -> None:
        shutil.copyfile(self.pictures[picture], self.photos / name)
        self.clock += 1
        os.utime(self.photos / name, (self.clock, self.clock))
        self.updated = False

    @rule(name=st.sampled_from("abcdef"), picture=st.integers(0, 7))
    def put(self, name: str, picture: int) -> None:
        self.write(f"{name}.jpg", picture)

    @rule(name=st.sampled_from("abcdef"))
    def spoil(self, name: str) -> None:
        (self.photos / f"{name}.jpg").write_bytes(b"not a photograph")
        self.updated = False

    @precondition(lambda self: self.names())
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        (self.photos / data.draw(st.sampled_from(self.names()))).unlink()
        self.updated = False

    @precondition(lambda self: self.names())
    @rule(data=st.data(), to=st.sampled_from("abcdefg"))
    def move(self, data: st.DataObject, to: str) -> None:
        old = data.draw(st.sampled_from(self.names()))
        (self.photos / old).rename(self.photos / f"{to}.jpg")
        self.updated = False

    def usable(self) -> bool:
        return any((self.photos / n).stat().st_size > 100 for n in self.names())

    @precondition(lambda self: self.usable())
    @rule(batch=st.sampled_from([1, 2, 500]))
    def update(self, batch: int) -> None:
        recipe = Recipe(self.vocabulary, features=FEW)
        run = Run(jobs=1, options=IngestOptions(batch=batch))
        build_index(find_images([self.photos]), self.folder, recipe, run)
        self.updated = True

    @precondition(lambda self: self.folder.exists())
    @rule()
    def merge(self) -> None:
        with IndexWriter.open(self.folder) as opened:
            opened.compact()
            opened.commit()

    @precondition(lambda self: self.folder.exists())
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        with IndexWriter.open(self.folder) as opened:
            if opened.rows:
                opened.remove(data.draw(st.sampled_from(sorted(opened.rows))))
                opened.commit()
        self.updated = False

    @property
    def folder(self) -> Path:
        return Path(self.place.name) / "index"

    @precondition(lambda self: self.updated)
    @invariant()
    def answers_are_those_of_a_fresh_build(self) -> None:
        with TemporaryDirectory() as fresh:
            images = find_images([self.photos])
            expected = build_index(
                images, Path(fresh) / "index", Recipe(self.vocabulary, features=FEW), Run(jobs=1)
            )
            index = Index.open(self.folder)
            assert answers(index, self.pictures[:2]) == answers(expected, self.pictures[:2])
            assert index.statistics.weights.tobytes() == expected.statistics.weights.tobytes()
            assert found(index) == found(expected)
        assert find_problems(self.folder) == []
        assert find_leftovers(self.folder) == []

    def teardown(self) -> None:
        self.patch.undo()
        self.place.cleanup()


def describe_row(image: ImageFile, known: ImageRow) -> ImageRow:
    """Return the row of an image whose content is known."""
    status = image.path.stat()
    names = ("sha256", "width", "height", "features", "status", "reason")
    return ImageRow(
        image.name, image.folder, status.st_size, status.st_mtime_ns,
        **{name: getattr(known, name) for name in names},
    )  # fmt: skip


def found(index: Index) -> list[tuple[object, ...]]:
    """Return what the catalog says of every image, but for where its postings are."""
    return [(r.name, r.sha256, r.features, r.status, r.reason, r.mtime) for r in index.images()]


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=int(os.environ.get("BOVW_LIVES", "8")),
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
