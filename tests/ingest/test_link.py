"""The graph of an index: images of one scene are neighbours, and count for each other."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from bovw.demo.scenes import Collection
from bovw.errors import BovwError, FormatError
from bovw.images.find import find_images
from bovw.index import Index, IndexWriter
from bovw.index.graph import FULL_EVIDENCE, NEIGHBOURS, SHARE, Graph
from bovw.index.integrity import find_problems
from bovw.ingest.build import build_index
from bovw.ingest.link import choose_features, link_images
from bovw.ingest.run import Recipe, Run
from bovw.options import FeatureOptions, SearchOptions
from bovw.records import Features
from bovw.report.contents import describe_folder
from bovw.search.searcher import Searcher
from bovw.verification import Evidence, Verified
from tests.queries import search


def graph_of(folder: Path) -> Graph:
    graph = Index.open(folder).graph
    assert graph is not None
    return graph


@pytest.mark.slow
def test_views_of_a_scene_are_neighbours(linked: Path, collection: Collection) -> None:
    index = Index.open(linked)
    for view in collection.views:
        own = graph_of(linked).neighbours[index.names.index(view.name)]
        found = {index.names[image] for image in own if image >= 0}
        assert found >= {v.name for v in collection.views_of(view.scene)} - {view.name}
        assert view.name not in found


def test_augmenting_agrees_with_a_slow_loop() -> None:
    rng = np.random.default_rng(0)
    found = [
        [(int(i), float(rng.uniform(0, 20))) for i in rng.permutation(30)[: rng.integers(0, 14)]]
        for _ in range(30)
    ]
    scores = rng.uniform(0, 5, 30).astype(np.float32)
    expected = [
        score + sum(SHARE * min(1, e / FULL_EVIDENCE) * scores[i] for i, e in own[:NEIGHBOURS])
        for score, own in zip(scores, found, strict=True)
    ]
    assert np.allclose(Graph.of(found).augment(scores), expected)


def test_without_neighbours_scores_stay() -> None:
    scores = np.array([3, 1, 2], np.float32)
    assert Graph.of([[], [], []]).augment(scores).tolist() == [3, 1, 2]


@pytest.mark.slow
def test_confirmed_hits_stay_on_top(linked: Path, collection: Collection) -> None:
    searcher = Searcher(Index.open(linked))
    without = Searcher(searcher.index, SearchOptions(augment=False))
    for query in collection.queries:
        image = collection.root / query.name
        hits, plain = search(searcher, image), search(without, image)
        assert [h.name for h in hits if h.confirmed] == [h.name for h in plain if h.confirmed]
        assert all(np.diff([hit.score for hit in hits]) <= 0)


@pytest.mark.slow
def test_processes_make_no_difference(linked: Path, tmp_path: Path) -> None:
    shutil.copytree(linked, tmp_path / "index")
    again = link_images(tmp_path / "index", Run(jobs=2))
    assert np.array_equal(again.neighbours, graph_of(linked).neighbours)
    assert np.array_equal(again.weights, graph_of(linked).weights)
    place = Index.open(tmp_path / "index").meta["graph"]
    assert list((tmp_path / "index" / "graph").iterdir()) == [tmp_path / "index" / place]


@pytest.mark.slow
def test_the_index_says_so_and_checks_it(linked: Path, index_folder: Path, tmp_path: Path) -> None:
    assert describe_folder(linked)["linked"] and not describe_folder(index_folder)["linked"]
    shutil.copytree(linked, tmp_path / "index")
    place = Index.open(tmp_path / "index").meta["graph"]
    file = tmp_path / "index" / place / "weights.npy"
    file.write_bytes(file.read_bytes()[:-4] + b"x" + file.read_bytes()[-3:])
    assert describe_folder(tmp_path / "index")["damaged"] == [f"{place}/weights.npy"]
    np.save(file.with_name("neighbours.npy"), np.full((16, NEIGHBOURS), 16, np.int32))
    with pytest.raises(FormatError, match="bovw link"):
        assert Index.open(tmp_path / "index").graph


@pytest.mark.slow
def test_a_picture_that_is_gone_has_no_neighbours(
    index_folder: Path, collection: Collection, tmp_path: Path
) -> None:
    shutil.copytree(collection.database, tmp_path / "db")
    options = FeatureOptions(**Index.open(index_folder).meta["options"])
    vocabulary = Searcher(Index.open(index_folder)).vocabulary
    files = find_images([tmp_path / "db"])
    build_index(files, tmp_path / "index", Recipe(vocabulary, features=options), Run(jobs=1))
    gone = collection.views[0].name
    (tmp_path / "db" / gone).unlink()
    told: list[str] = []
    graph = link_images(
        tmp_path / "index", Run(jobs=1, on_skip=lambda name, why: told.append(name))
    )
    assert told == [gone]
    assert (graph.neighbours[Index.open(tmp_path / "index").names.index(gone)] == -1).all()


@pytest.mark.slow
def test_pictures_that_are_away_keep_their_neighbours(
    index_folder: Path, collection: Collection, tmp_path: Path
) -> None:
    """Linked once with all pictures, then without one, then without any."""
    db = Path(shutil.copytree(collection.database, tmp_path / "db"))
    options = FeatureOptions(**Index.open(index_folder).meta["options"])
    vocabulary = Searcher(Index.open(index_folder)).vocabulary
    folder = tmp_path / "index"
    build_index(find_images([db]), folder, Recipe(vocabulary, features=options), Run(jobs=1))
    first = link_images(folder, Run(jobs=1))
    (db / collection.views[0].name).rename(tmp_path / "away.jpg")
    assert np.array_equal(link_images(folder, Run(jobs=1)).neighbours, first.neighbours)
    db.rename(tmp_path / "elsewhere")
    told: list[str] = []
    last = link_images(folder, Run(jobs=1, on_skip=lambda name, why: told.append(name)))
    assert len(told) == len(Index.open(folder))
    assert np.array_equal(last.neighbours, first.neighbours)
    assert np.allclose(last.weights, first.weights)


@pytest.mark.slow
def test_other_images_are_not_linked(
    linked: Path, collection: Collection, feature_options: FeatureOptions, tmp_path: Path
) -> None:
    shutil.copytree(linked, tmp_path / "index")
    old = Index.open(tmp_path / "index")
    files = find_images([collection.database])
    again = build_index(files, tmp_path / "index", Recipe(features=feature_options), Run(jobs=1))
    assert again.graph
    made = build_index(files[:3], tmp_path / "index", Recipe(features=feature_options), Run(jobs=1))
    assert made.graph is None and old.graph
    assert not list((tmp_path / "index" / "graph").iterdir())


@pytest.mark.slow
def test_nobody_else_writes_meanwhile(
    linked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(linked, tmp_path / "index")

    def write(*_: object) -> None:
        IndexWriter.open(tmp_path / "index")

    monkeypatch.setattr("bovw.ingest.link.map_processes", write)
    with pytest.raises(BovwError, match="is being written by process"):
        link_images(tmp_path / "index")


def test_features_that_confirmed_are_kept_first() -> None:
    keypoints = np.array([[i, 0, 1, 0] for i in range(6)], np.float32)
    features = Features(keypoints, np.zeros((6, 128), np.uint8), 10, 10)

    def saw(*rows: int) -> Verified:
        points = np.hstack([keypoints[list(rows), :2], np.zeros((len(rows), 2))])
        count = len(points)
        evidence = Evidence(count, count, count, 1.0, 1.0, 0.1, 0.1, 9.0)
        return Verified(0, np.eye(3), points, evidence)

    order = np.array([3, 1, 2, 0, 5, 4])
    assert choose_features(features, order, [saw(4, 5), saw(4)], 2).tolist() == [4, 5]
    assert choose_features(features, order, [saw(4, 5), saw(4)], 1).tolist() == [4]
    assert choose_features(features, order, [saw(4)], 3).tolist() == [1, 3, 4]
    assert choose_features(features, order, [], 2).tolist() == [1, 3]
    assert choose_features(features, order, [], 9).tolist() == [0, 1, 2, 3, 4, 5]
    assert choose_features(features.rows(order[:0]), order[:0], [], 2).tolist() == []


@pytest.mark.slow
def test_fewer_features_find_the_views_still(
    index_folder: Path, collection: Collection, tmp_path: Path
) -> None:
    shutil.copytree(index_folder, tmp_path / "index")
    link_images(tmp_path / "index", Run(jobs=1), keep=60)
    index = Index.open(tmp_path / "index")
    assert len(index) == 22 and index.features == 22 * 60
    assert find_problems(index.folder) == []
    assert {row.features for row in index.images()} == {60}
    for view in collection.views:
        own = graph_of(index.folder).neighbours[index.names.index(view.name)]
        found = {index.names[image] for image in own if image >= 0}
        assert found >= {v.name for v in collection.views_of(view.scene)} - {view.name}
    searcher = Searcher(index)
    for view in collection.views:
        hits = search(searcher, collection.database / view.name, 3)
        assert {hit.name for hit in hits if hit.confirmed} == {
            v.name for v in collection.views_of(view.scene)
        }
