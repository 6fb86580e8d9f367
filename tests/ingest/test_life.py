"""Any order of changes: an index that lives holds what a fresh one would."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bovw.images.find import ImageFile, find_images, sha256
from bovw.index import Index, IndexWriter
from bovw.index.integrity import find_leftovers, find_problems
from bovw.index.rows import ImageRow
from bovw.ingest import build
from bovw.ingest.build import build_index
from bovw.ingest.encode import Described
from bovw.ingest.run import Recipe, Run
from bovw.options import IngestOptions
from bovw.vocab import Vocabulary
from tests.ingest.updates import FEW, answers

pytestmark = pytest.mark.slow


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
    described: dict[str, tuple[Described, Any]]

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
            content = sha256(item.path)
            if content not in self.described:
                self.described[content] = function(item)
            known, words = self.described[content]
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
