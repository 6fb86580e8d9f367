"""Shards give the answers of the one index that they are parts of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from bovw.cli import cli
from bovw.cluster.shard_search import ShardBackend, ShardSearcher
from bovw.demo.scenes import Collection
from bovw.errors import BovwError, FormatError, UnansweredError
from bovw.images.find import find_images
from bovw.index import Index, IndexWriter
from bovw.index.catalog import ImageRow
from bovw.index.editing import edit_index
from bovw.index.integrity import find_problems
from bovw.index.joined import join_shards
from bovw.index.manifest import MANIFEST, parts_of, read_manifest, shard_of
from bovw.index.resharding import split_index
from bovw.ingest.build import build_index
from bovw.ingest.link import link_images
from bovw.ingest.repair import repair_index
from bovw.ingest.run import Recipe, Run
from bovw.options import FeatureOptions, SearchOptions
from bovw.records import Box, Features, Hit, WordQuery, Words
from bovw.search import Found, Searcher, describe_query
from bovw.search.question import LocalBackend


def answers(index: Index, collection: Collection, options: SearchOptions) -> list[tuple]:
    searcher = Searcher(index, options)
    return [
        comparable(hit)
        for query in collection.queries
        for hit in searcher.search(collection.root / query.name, None)
    ]


def comparable(hit: Hit) -> tuple:
    transform = None if hit.transform is None else hit.transform.tobytes()
    return hit.rank, hit.name, hit.path, hit.score, hit.inliers, transform


WAYS = [SearchOptions(), SearchOptions(scoring="asmk"), SearchOptions(scoring="tfidf", rerank=0)]


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_answers_are_those_of_the_one_index(
    index: Index, collection: Collection, tmp_path: Path, count: int
) -> None:
    sharded = split_index(index.folder, count, tmp_path / "shards")
    assert len(parts_of(tmp_path / "shards")) == count
    assert (len(sharded), sharded.features) == (len(index), index.features)
    assert [row.name for row in sharded.images()] == [row.name for row in index.images()]
    for options in WAYS:
        assert answers(sharded, collection, options) == answers(index, collection, options)
    assert sharded.damaged_files() == []
    # And split again.
    again = split_index(tmp_path / "shards", 3, tmp_path / "again")
    assert answers(again, collection, WAYS[0]) == answers(index, collection, WAYS[0])


def test_the_graph_goes_along(index_folder: Path, collection: Collection, tmp_path: Path) -> None:
    shutil.copytree(index_folder, tmp_path / "one")
    link_images(tmp_path / "one", Run(jobs=1))
    linked, plain = Index.open(tmp_path / "one"), Index.open(index_folder)
    sharded = split_index(tmp_path / "one", 3, tmp_path / "shards")
    assert sharded.graph is not None
    expected = answers(linked, collection, WAYS[0])
    assert answers(sharded, collection, WAYS[0]) == expected
    assert answers(plain, collection, WAYS[0]) != expected
    # It stays while images have the numbers that it is made of.
    with edit_index(sharded.folder) as writers:
        number = shard_of(linked.names[0], len(writers))
        row = writers[number].rows[linked.names[0]]
        writers[number].rename(row.name, replace(row, mtime=(row.mtime or 0) + 1))
        for writer in writers:
            writer.commit()
    renamed = Index.open(sharded.folder)
    assert renamed.meta["digest"] != sharded.meta["digest"]
    assert answers(renamed, collection, WAYS[0]) == expected
    with edit_index(sharded.folder) as writers:
        writers[number].remove(row.name)
        for writer in writers:
            writer.commit()
    assert Index.open(sharded.folder).graph is None


def test_shards_are_built_and_brought_up_to_date(
    index: Index, collection: Collection, feature_options: FeatureOptions, tmp_path: Path
) -> None:
    photos, folder = tmp_path / "photos", tmp_path / "shards"
    shutil.copytree(collection.database, photos)
    files = find_images([photos])
    vocabulary = Searcher(index).vocabulary
    built = build_index(
        files[:-3], folder, Recipe(vocabulary, features=feature_options, shards=4), Run(jobs=1)
    )
    assert read_manifest(folder)["shards"] == [f"shard-{n}" for n in range(4)]
    assert len(built) == len(files) - 3
    built = build_index(files, folder, run=Run(jobs=1))
    found = [replace_path(a) for a in answers(built, collection, WAYS[0])]
    assert found == [replace_path(a) for a in answers(index, collection, WAYS[0])]
    fewer = build_index(files[2:], folder, run=Run(jobs=1))
    assert len(fewer) == len(files) - 2
    with pytest.raises(FormatError, match="has 4 shards and not 5"):
        build_index(files, folder, Recipe(shards=5), Run(jobs=1))


def replace_path(answer: tuple) -> tuple:
    return answer[:2] + answer[3:]


def test_a_shard_that_changed_alone_is_counted_anew(
    index: Index, collection: Collection, tmp_path: Path
) -> None:
    folder, one = tmp_path / "shards", tmp_path / "one"
    split_index(index.folder, 3, folder)
    shutil.copytree(index.folder, one)
    holder = next(part for part in parts_of(folder) if len(Index.open(part)))
    gone = Index.open(holder).images()[0].name
    before = Index.open(folder)
    for changed in (holder, one):
        with IndexWriter.open(changed) as writer:
            writer.remove(gone)
            writer.commit()
    assert before.outdated()
    expected = answers(Index.open(one), collection, WAYS[0])
    assert answers(Index.open(folder), collection, WAYS[0]) == expected
    join_shards(folder)
    assert answers(Index.open(folder), collection, WAYS[0]) == expected
    assert not Index.open(folder).outdated()
    # What was opened before goes on with what there was.
    assert answers(before, collection, WAYS[0]) == answers(index, collection, WAYS[0])


def test_bad_shards_are_told(index: Index, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    split_index(index.folder, 3, folder)

    def refused() -> str:
        with pytest.raises(BovwError) as caught:
            Index.open(folder)
        assert len(str(caught.value).splitlines()) == 1
        return str(caught.value)

    shutil.move(folder / "shard-1", tmp_path / "away")
    assert "shard-1 is missing" in refused()
    shutil.copytree(folder / "shard-0", folder / "shard-1")
    assert "another shard once more" in refused()
    shutil.rmtree(folder / "shard-1")
    shutil.move(tmp_path / "away", folder / "shard-1")
    assert len(Index.open(folder)) == len(index)

    manifest = json.loads((folder / MANIFEST).read_text())
    for broken in (
        {**manifest, "shards": ["../elsewhere"]},
        {**manifest, "shards": []},
        {"format": 1},
        [1],
    ):
        (folder / MANIFEST).write_text(json.dumps(broken))
        assert "damaged" in refused()
    (folder / MANIFEST).write_text(json.dumps({**manifest, "format": 2}))
    assert "upgrade" in refused()
    joined = {**manifest["joined"], "names": "names/../../x/1"}
    (folder / MANIFEST).write_text(json.dumps({**manifest, "joined": joined}))
    assert "damaged" in refused()


def test_shards_of_another_vocabulary_are_told(
    index: Index, collection: Collection, tmp_path: Path
) -> None:
    folder = tmp_path / "shards"
    split_index(index.folder, 2, folder)
    shutil.rmtree(folder / "shard-1")
    files = find_images([collection.database / "scene_00"])
    build_index(
        files, folder / "shard-1", Recipe(features=FeatureOptions(max_features=200)), Run(jobs=1)
    )
    with pytest.raises(FormatError, match="made with other"):
        Index.open(folder)


def test_an_image_in_two_shards_is_told(index: Index, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    split_index(index.folder, 2, folder)
    shutil.rmtree(folder / "shard-1")
    shutil.copytree(index.folder, folder / "shard-1")
    with pytest.raises(FormatError, match="in two shards"):
        Index.open(folder)


def test_statistics_are_those_of_all(index: Index, tmp_path: Path) -> None:
    sharded = split_index(index.folder, 4, tmp_path / "shards")
    np.testing.assert_array_equal(sharded.statistics.weights, index.statistics.weights)
    assert replace(index.images()[0], segment=None, number=None) == replace(
        sharded.images()[0], segment=None, number=None
    )


def test_every_command_takes_shards(index: Index, collection: Collection, tmp_path: Path) -> None:
    shards, other = tmp_path / "shards", tmp_path / "other"
    query = collection.root / collection.queries[0].name

    def run(*arguments: object) -> str:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    run("shard", index.folder, shards, "--into", 3)
    of_one = run("query", query, "--index", index.folder, "--format", "json")
    assert run("query", query, "--index", shards, "--format", "json") == of_one
    assert run("list", "--index", shards) == run("list", "--index", index.folder)
    assert json.loads(run("info", shards, "--format", "json"))["images"] == len(index)
    assert run("check", "--index", shards) == ""
    run("export", tmp_path / "one.bovw", "--index", shards)
    run("import", tmp_path / "one.bovw", "--index", other)
    assert run("query", query, "--index", other, "--format", "json") == of_one

    name = collection.views[0].name
    run("remove", name, "--index", other)
    assert name not in run("list", "--index", other).splitlines()
    run("index", collection.database, "--index", other, "--jobs", 1)
    run("merge", "--index", other)
    assert run("query", query, "--index", other, "--format", "json") == of_one
    run("link", "--index", other, "--jobs", 1)
    assert run("query", query, "--index", other, "--format", "json") != of_one
    truth, images = str(collection.truth), str(collection.root)
    figures = json.loads(
        run("eval", truth, "--images", images, "--index", shards, "--format", "json")
    )
    expected = run("eval", truth, "--images", images, "--index", index.folder, "--format", "json")
    assert figures["map"] == json.loads(expected)["map"]


def test_a_damaged_shard_is_repaired(index: Index, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    split_index(index.folder, 2, folder)
    part = Index.open(folder / "shard-0")
    path = part.folder / "segments" / str(part.segment_rows[0].id) / "signatures.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert any("signatures" in problem for problem in find_problems(folder))
    lost = repair_index(folder)
    assert len(lost) == len(part) and find_problems(folder) == []
    assert len(Index.open(folder)) == len(index) - len(lost)


# Shards that answer one by one


def find(searcher: Searcher, path: Path, topk: int | None = None) -> Found:
    return searcher.find(*describe_query(path, options=searcher.feature_options), topk)


def scattered(folder: Path, options: SearchOptions, silent: set[int] = frozenset()):
    """Return a searcher whose parts answer in this process, but for the silent ones."""
    shards = Index.open(folder)
    parts = [ShardSearcher(shards, number) for number in range(len(shards.parts))]

    def scatter(method: str, asked: Mapping[int, tuple], seconds: float) -> dict[int, object]:
        return {n: getattr(parts[n], method)(*a) for n, a in asked.items() if n not in silent}

    return Searcher(shards, options, ShardBackend(scatter))


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_parts_together_answer_as_one(
    index: Index, collection: Collection, tmp_path: Path, count: int
) -> None:
    split_index(index.folder, count, tmp_path / "shards")
    for options in WAYS:
        searcher = scattered(tmp_path / "shards", options)
        found = [find(searcher, collection.root / query.name) for query in collection.queries]
        assert [comparable(hit) for one in found for hit in one.hits] == answers(
            index, collection, options
        )
        assert not any(one.missing for one in found)


def test_parts_know_their_neighbours(
    index_folder: Path, collection: Collection, tmp_path: Path
) -> None:
    shutil.copytree(index_folder, tmp_path / "one")
    link_images(tmp_path / "one", Run(jobs=1))
    split_index(tmp_path / "one", 3, tmp_path / "shards")
    expected = Searcher(Index.open(tmp_path / "one"))
    searcher = scattered(tmp_path / "shards", SearchOptions())
    for query in collection.queries:
        path = collection.root / query.name
        found = [comparable(hit) for hit in searcher.search(path, 9)]
        assert found == [comparable(hit) for hit in expected.search(path, 9)]


def test_a_silent_part_is_named_and_its_images_are_left_out(
    index: Index, collection: Collection, tmp_path: Path
) -> None:
    folder = tmp_path / "shards"
    split_index(index.folder, 3, folder)
    silent = next(n for n, part in enumerate(parts_of(folder)) if len(Index.open(part)))
    gone = {row.name for row in Index.open(parts_of(folder)[silent]).images()}
    searcher = scattered(folder, SearchOptions(), {silent})
    hits, missing = find(searcher, collection.root / collection.queries[0].name)
    assert {hit.name for hit in hits} == set(index.names) - gone
    assert missing == [f"shard-{silent}"]
    with pytest.raises(UnansweredError, match="no shard answers"):
        deaf = scattered(folder, SearchOptions(), {0, 1, 2})
        deaf.search(collection.root / collection.queries[0].name)


def test_parts_that_fall_silent_leave_the_first_ranking(
    index: Index, collection: Collection, tmp_path: Path
) -> None:
    folder = tmp_path / "shards"
    shards = split_index(index.folder, 3, folder)
    parts = [ShardSearcher(shards, number) for number in range(3)]

    def scatter(method: str, asked: Mapping[int, tuple], seconds: float) -> dict[int, object]:
        heard = method in answering and not (method == "rank" and calls.count("rank") > 0)
        calls.append(method)
        return {n: getattr(parts[n], method)(*a) for n, a in asked.items()} if heard else {}

    query = collection.root / collection.queries[0].name
    plain = Searcher(index, SearchOptions(rerank=0)).search(query, 5)
    for answering in ({"rank"}, {"rank", "verify"}):
        for expand in (0, 30):
            calls: list[str] = []
            searcher = Searcher(shards, SearchOptions(expand=expand), ShardBackend(scatter))
            hits, missing = find(searcher, query, 5)
            # Without expansion, nothing more has to be asked.
            silent = ["shard-0", "shard-1", "shard-2"] if expand or len(answering) == 1 else []
            assert len(hits) == 5 and missing == silent
            if answering == {"rank"}:
                assert [hit.name for hit in hits] == [hit.name for hit in plain]


def test_few_hits_of_many_confirmed(index: Index, collection: Collection, tmp_path: Path) -> None:
    split_index(index.folder, 2, tmp_path / "shards")
    options = SearchOptions(expand=0, min_inliers=1)
    searcher = scattered(tmp_path / "shards", options)
    for query in collection.queries:
        path = collection.root / query.name
        expected = [comparable(hit) for hit in Searcher(index, options).search(path, 1)]
        assert [comparable(hit) for hit in searcher.search(path, 1)] == expected


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_any_shards_answer_as_one(data: st.DataObject) -> None:
    """Random postings in random shards: equal scores, ties by name, whatever is asked."""
    words, count = 8, data.draw(st.integers(1, 5))
    names = data.draw(st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, unique=True))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    with TemporaryDirectory() as place:
        folder = Path(place) / "one"
        with IndexWriter.create(folder, words, 64, "f" * 64, asdict(FeatureOptions())) as writer:
            writer.vocabulary_folder.mkdir()
            for name in names:
                features, own = drawn(rng, words, int(rng.integers(1, 6)))
                writer.add(ImageRow(f"{name}.jpg", "/x/", features=len(features)), features, own)
            writer.commit()
        one, shards = Index.open(folder), split_index(folder, count, Path(place) / "shards")
        features, own = drawn(rng, words, 6)
        query = WordQuery(features.keypoints, own, Box(0, 0, 100, 100))
        for scoring in ("hamming", "tfidf", "asmk"):
            options = SearchOptions(scoring=scoring, min_inliers=1, expand=3)
            whole = LocalBackend().ask(one, query, options)
            parts = scattered(shards.folder, options).backend.ask(shards, query, options)
            ranking, other = whole.rank(None), parts.rank(None)
            same = [one.names[i] for i in ranking.images]
            assert [shards.names[i] for i in other.images] == same
            assert other.scores.tolist() == ranking.scores.tolist()
            verified, found = whole.verify(ranking.images), parts.verify(other.images)
            assert [(one.names[v.image], v.evidence) for v in verified] == [
                (shards.names[v.image], v.evidence) for v in found
            ]
            if verified:
                after = whole.rank_expanded(verified[:3], 4, False)
                expanded = parts.rank_expanded(found[:3], 4, False)
                assert expanded.scores.tolist() == after.scores.tolist()
                assert [shards.names[i] for i in expanded.images] == [
                    one.names[i] for i in after.images
                ]


def drawn(rng: np.random.Generator, words: int, count: int) -> tuple[Features, Words]:
    keypoints = rng.uniform(1, 100, (count, 4)).astype(np.float32)
    features = Features(keypoints, np.empty((count, 128), np.uint8), 100, 100)
    ids = rng.integers(0, words, (count, 1)).astype(np.int32)
    signatures = rng.integers(0, 4, (count, 1, 1)).astype(np.uint64)
    return features, Words(ids, signatures, features.angles)
