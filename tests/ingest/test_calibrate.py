"""An index asks mirrored images of its own, which match nothing but by chance."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from bovw.demo.scenes import Collection
from bovw.errors import BovwError, FormatError
from bovw.images.find import find_images
from bovw.index import Decoys, Index, IndexWriter
from bovw.index.integrity import find_problems
from bovw.index.names import Names
from bovw.index.resharding import split_index
from bovw.ingest.build import build_index
from bovw.ingest.calibrate import SYMMETRIC, calibrate_index, is_outgrown
from bovw.ingest.run import Recipe, Run
from bovw.options import FeatureOptions, IngestOptions
from bovw.search import Searcher
from bovw.verification import Calibration
from bovw.vocab import Vocabulary
from tests.ingest.updates import Updates
from tests.queries import search

FEW = FeatureOptions(max_features=400)


def run_of(sample: int = 200, jobs: int = 1) -> Run:
    return Run(jobs, options=IngestOptions(sample=sample))


@pytest.fixture
def copied(index_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(index_folder, tmp_path / "index"))


@dataclass
class Making:
    """Indexes the pictures that a folder is given."""

    folder: Path
    vocabulary: Vocabulary

    def __call__(self, pictures: dict[str, np.ndarray]) -> Index:
        (self.folder / "photos").mkdir()
        for name, pixels in pictures.items():
            cv2.imwrite(str(self.folder / "photos" / name), pixels)
        files = find_images([self.folder / "photos"])
        recipe = Recipe(self.vocabulary, features=FEW)
        return build_index(files, self.folder / "index", recipe, Run(jobs=1))


@pytest.fixture
def make(tmp_path: Path, vocabulary: Vocabulary) -> Making:
    return Making(tmp_path, vocabulary)


def same(first: Decoys, second: Decoys | None) -> bool:
    return second is not None and all(
        getattr(first, name).tobytes() == getattr(second, name).tobytes()
        for name in Decoys.declared()
    )


def calibrated(folder: Path, sample: int = 200) -> tuple[Decoys, Searcher]:
    decoys = calibrate_index(folder, run_of(sample))
    searcher = Searcher(Index.open(folder))
    assert same(decoys, searcher.index.decoys)
    assert find_problems(folder) == []
    return decoys, searcher


def finds_itself(searcher: Searcher, path: Path) -> None:
    """Check that a picture of the index is confirmed, and first."""
    hit = search(searcher, path)[0]
    assert hit.confirmed and hit.false_alarms is not None
    assert hit.probability > 0.9


@pytest.mark.slow
def test_what_decoys_found_is_kept_and_used(copied: Path, collection: Collection) -> None:
    decoys, searcher = calibrated(copied)
    assert (decoys.images, len(searcher.index)) == (22, 22)
    assert 15 <= decoys.asked <= 22 and 1 <= decoys.verified <= 22
    assert (decoys.meanings < SYMMETRIC).all() and (np.diff(decoys.meanings) <= 0).all()
    expected = Calibration.of(decoys.meanings, decoys.asked, decoys.verified)
    assert searcher.calibration == expected
    assert 0.1 < expected.factor < 5
    for query in collection.queries:
        hits = search(searcher, collection.root / query.name)
        found = {hit.name for hit in hits if hit.confirmed}
        assert found >= {view.name for view in collection.views_of(query.scene)}


@pytest.mark.slow
def test_the_same_is_found_again_and_in_other_processes(copied: Path) -> None:
    first = calibrate_index(copied, run_of(8))
    assert first.asked <= 8
    assert same(first, calibrate_index(copied, run_of(8)))
    assert same(first, calibrate_index(copied, run_of(8, jobs=2)))
    assert len(list((copied / "calibration").iterdir())) == 1


@pytest.mark.slow
def test_shards_share_it(copied: Path, tmp_path: Path) -> None:
    split_index(copied, 3, tmp_path / "shards")
    decoys, searcher = calibrated(tmp_path / "shards")
    whole = calibrate_index(copied, run_of())
    # Images have other numbers there, and with all of them the same are asked.
    assert same(whole, decoys)
    assert all(part.decoys is None for part in searcher.index.parts)
    assert same(whole, split_index(tmp_path / "shards", 2, tmp_path / "again").decoys)


def test_one_image(make: Making, pictures: list[Path]) -> None:
    index = make({"a.png": cv2.imread(str(pictures[0]))})
    decoys, searcher = calibrated(index.folder)
    # There is nothing else to try it on.
    assert decoys.counts.tolist() == [1, 0, 1] and not len(decoys.meanings)
    assert searcher.calibration.factor == pytest.approx(1)
    finds_itself(searcher, make.folder / "photos" / "a.png")


def test_identical_images(make: Making, pictures: list[Path]) -> None:
    pixels = cv2.imread(str(pictures[0]))
    index = make({f"{name}.png": pixels for name in "abcd"})
    decoys, searcher = calibrated(index.folder)
    # They are related to each other.
    assert decoys.verified == 0
    assert searcher.calibration.factor == pytest.approx(1)
    hits = search(searcher, make.folder / "photos" / "a.png")
    assert [hit.confirmed for hit in hits] == [True] * 4


def test_symmetric_pictures(make: Making, pictures: list[Path]) -> None:
    """Their mirror images match them, and each other's halves; that is not chance."""
    halves = [cv2.imread(str(path))[:, :320] for path in pictures[:4]]
    whole = {f"{n}.png": np.hstack([half, half[:, ::-1]]) for n, half in enumerate(halves)}
    index = make(whole)
    _, searcher = calibrated(index.folder)
    assert 0.1 < searcher.calibration.factor < 3
    finds_itself(searcher, make.folder / "photos" / "0.png")


def test_a_collection_that_has_its_mirror_images(make: Making) -> None:
    """A decoy that matches too well is none."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (2, 48, 64), np.uint8)
    pixels = [cv2.resize(one, (640, 480), interpolation=cv2.INTER_CUBIC) for one in noise]
    flipped = {f"{n}b.png": np.ascontiguousarray(one[:, ::-1]) for n, one in enumerate(pixels)}
    index = make({f"{n}a.png": one for n, one in enumerate(pixels)} | flipped)
    decoys, searcher = calibrated(index.folder)
    assert decoys.asked == 0 and not len(decoys.meanings)
    assert searcher.calibration.factor == pytest.approx(1)
    finds_itself(searcher, make.folder / "photos" / "0a.png")


def test_pictures_that_are_gone_are_told_and_left_out(update: Updates) -> None:
    update()
    (update.photos / "1.jpg").unlink()
    told: list[str] = []
    run = Run(jobs=1, on_skip=lambda name, reason: told.append(name))
    decoys = calibrate_index(update.folder, run)
    assert told == ["1.jpg"]
    assert (decoys.asked, decoys.images) == (2, 3)


def test_an_index_that_changed_is_asked_anew(update: Updates, pictures: list[Path]) -> None:
    """Within one process, too."""
    update()
    calibrate_index(update.folder, run_of())
    (update.photos / "0.jpg").unlink()
    for number, picture in enumerate(pictures[3:8], 3):
        shutil.copy(picture, update.photos / f"{number}.jpg")
    update()
    told: list[str] = []
    decoys = calibrate_index(update.folder, Run(jobs=1, on_skip=lambda name, _: told.append(name)))
    assert told == []
    assert (decoys.asked, decoys.images) == (7, 7)
    copy = shutil.copytree(update.folder, update.folder.parent / "copy")
    assert same(decoys, calibrate_index(copy, run_of()))


def always(decoys: Decoys) -> Callable[[Names], Decoys]:
    return lambda names: decoys


def test_an_index_is_outgrown_at_twice_its_size(update: Updates) -> None:
    index = update()
    assert len(index) == 3 and is_outgrown(index)
    for images, outgrown in ((3, False), (2, False), (1, True), (0, True), (100, False)):
        with IndexWriter.open(update.folder) as writer:
            writer.put("calibration", always(Decoys.of([], 1, 1, images)))
            writer.commit()
        assert is_outgrown(Index.open(update.folder)) is outgrown


def test_an_index_without_images(update: Updates) -> None:
    update()
    with IndexWriter.open(update.folder) as writer:
        for name in list(writer.rows):
            writer.remove(name)
        writer.commit()
    decoys, searcher = calibrated(update.folder)
    assert decoys.counts.tolist() == [0, 0, 0]
    assert searcher.calibration.factor == pytest.approx(1)
    assert not is_outgrown(searcher.index)


def test_what_is_no_index_is_told(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="there is no index"):
        calibrate_index(tmp_path / "nothing", run_of())


def test_nobody_else_writes_meanwhile(update: Updates, monkeypatch: pytest.MonkeyPatch) -> None:
    update()

    def write(*_: object) -> None:
        IndexWriter.open(update.folder)

    monkeypatch.setattr("bovw.ingest.calibrate.map_processes", write)
    with pytest.raises(BovwError, match="is being written by process"):
        calibrate_index(update.folder)
