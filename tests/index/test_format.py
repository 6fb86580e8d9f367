"""The promise of docs/format.md: an index of an older version is read by every later one.

tests/data has one index of each format that was published, as `bovw export` wrote it: seven drawn
images of 60 features in 50 words of 64 bits, in two segments, linked; one was skipped, one removed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bovw.index import Index, IndexWriter
from bovw.index.archive import import_index
from bovw.index.integrity import find_problems
from bovw.index.segment import postings_of
from bovw.options import SearchOptions
from bovw.records import Box, WordQuery
from bovw.search import LocalQuestion

ARCHIVES = sorted((Path(__file__).parents[1] / "data").glob("format-*.bovw"))

# What the features that the index has of an image find besides it: best of all, score, inliers.
FOUND: dict[str, tuple[str, float, int]] = {
    "distractors/01.jpg": ("scene_01/view_0.jpg", 0.015, 0),
    "scene_00/view_0.jpg": ("scene_00/view_1.jpg", 0.24, 22),
    "scene_00/view_1.jpg": ("scene_00/view_0.jpg", 0.266, 22),
    "scene_01/view_0.jpg": ("scene_01/view_1.jpg", 0.164, 20),
    "scene_01/view_1.jpg": ("scene_01/view_0.jpg", 0.141, 20),
    "scene_02/view_0.jpg": ("scene_02/view_1.jpg", 0.41, 27),
    "scene_02/view_1.jpg": ("scene_02/view_0.jpg", 0.389, 27),
}


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.stem)
def frozen(request: pytest.FixtureRequest, tmp_path: Path) -> Index:
    return import_index(request.param, tmp_path / "index")


def test_there_is_an_index_of_every_format() -> None:
    assert [path.stem for path in ARCHIVES] == ["format-4"]


def test_its_content_is_read(frozen: Index) -> None:
    assert find_problems(frozen.folder) == []
    rows = {row.name: row for row in frozen.images()}
    assert {name for name, row in rows.items() if row.status == "ok"} == FOUND.keys()
    assert rows["bad.jpg"].reason == "empty file"
    assert (len(frozen), len(frozen.segments), frozen.removed) == (7, 2, 60)
    assert frozen.graph and frozen.graph.neighbours[:, 0].tolist() == [1] * 8
    assert frozen.meta["options"]["max_features"] == 60
    assert {frozen.path(i).parent.parent for i in range(1, 8)} == {Path("/photos")}
    assert rows["scene_01/view_0.jpg"].mtime == 1_700_000_000_000_000_000


def test_it_answers_as_it_did(frozen: Index) -> None:
    assert found_in(frozen) == FOUND


def test_it_can_be_updated(frozen: Index) -> None:
    with IndexWriter.open(frozen.folder) as writer:
        writer.compact()
        writer.commit()
    updated = Index.open(frozen.folder)
    assert (len(updated), len(updated.segments), updated.removed) == (7, 1, 0)
    assert found_in(updated) == FOUND
    assert find_problems(frozen.folder) == []


def found_in(index: Index) -> dict[str, tuple[str, float, int]]:
    found = {}
    for image in np.flatnonzero(index.statistics.live).tolist():
        ((segment, number, postings),) = postings_of(index.segments, np.array([image], np.int32))
        words = segment.words(postings)
        width, height = segment.sizes[number].tolist()
        keypoints = segment.keypoints(postings, number).astype(np.float32)
        query = WordQuery(keypoints, words, Box(0, 0, width, height))
        question = LocalQuestion(index, query, SearchOptions())
        other = next(i for i in question.rank(None).images.tolist() if i != image)
        verified = {v.image: v.evidence.inliers for v in question.verify(question.rank(7).images)}
        score = round(float(question.all_scores[other]), 3)
        found[index.names[image]] = (index.names[other], score, verified.get(other, 0))
    return found
