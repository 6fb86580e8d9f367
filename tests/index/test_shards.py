"""Shards give the answers of the one index that they are parts of."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bovw.cli import cli
from bovw.demo.scenes import Collection
from bovw.errors import BovwError, FormatError
from bovw.images.find import find_images
from bovw.index import Index, IndexWriter
from bovw.index.editing import edit_index
from bovw.index.integrity import find_problems
from bovw.index.joined import join_shards
from bovw.index.manifest import MANIFEST, parts_of, read_manifest, shard_of
from bovw.index.resharding import split_index
from bovw.ingest.build import build_index
from bovw.ingest.repair import repair_index
from bovw.ingest.run import Recipe, Run
from bovw.options import FeatureOptions
from bovw.search import Searcher
from tests.index.answering import WAYS, Answer, OfOne, answers


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3, 7])
def test_answers_are_those_of_the_one_index(
    index: Index, collection: Collection, tmp_path: Path, of_one: OfOne, count: int
) -> None:
    sharded = split_index(index.folder, count, tmp_path / "shards")
    assert len(parts_of(tmp_path / "shards")) == count
    assert (len(sharded), sharded.features) == (len(index), index.features)
    assert [row.name for row in sharded.images()] == [row.name for row in index.images()]
    for options in WAYS:
        assert answers(sharded, collection, options) == of_one(options)
    assert sharded.damaged_files() == []
    # And split again.
    again = split_index(tmp_path / "shards", 3, tmp_path / "again")
    assert answers(again, collection, WAYS[0]) == of_one(WAYS[0])


@pytest.mark.slow
def test_the_graph_goes_along(
    linked: Path, index: Index, collection: Collection, tmp_path: Path, of_one: OfOne
) -> None:
    sharded = split_index(linked, 3, tmp_path / "shards")
    assert sharded.graph is not None
    expected = answers(Index.open(linked), collection, WAYS[0])
    assert answers(sharded, collection, WAYS[0]) == expected
    assert of_one(WAYS[0]) != expected
    # It stays while images have the numbers that it is made of.
    with edit_index(sharded.folder) as writers:
        number = shard_of(index.names[0], len(writers))
        row = writers[number].rows[index.names[0]]
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


@pytest.mark.slow
def test_shards_are_built_and_brought_up_to_date(
    index: Index,
    collection: Collection,
    feature_options: FeatureOptions,
    tmp_path: Path,
    of_one: OfOne,
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
    assert found == [replace_path(a) for a in of_one(WAYS[0])]
    fewer = build_index(files[2:], folder, run=Run(jobs=1))
    assert len(fewer) == len(files) - 2
    with pytest.raises(FormatError, match="has 4 shards and not 5"):
        build_index(files, folder, Recipe(shards=5), Run(jobs=1))


def replace_path(answer: Answer) -> tuple[object, ...]:
    return answer[:2] + answer[3:]


@pytest.mark.slow
def test_a_shard_that_changed_alone_is_counted_anew(
    index: Index, collection: Collection, tmp_path: Path, of_one: OfOne
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
    assert answers(before, collection, WAYS[0]) == of_one(WAYS[0])


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
    assert "is a copy of another shard" in refused()
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_every_command_takes_shards(index: Index, collection: Collection, tmp_path: Path) -> None:
    shards, other = tmp_path / "shards", tmp_path / "other"
    query = collection.root / collection.queries[0].name

    def run(*arguments: object) -> str:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    # Shards are calibrated as the one index is, which the first update would do.
    one = shutil.copytree(index.folder, tmp_path / "one")
    run("calibrate", one, "--jobs", 1)
    run("shard", one, shards, "--into", 3)
    of_one = run("query", query, "--index", one, "--format", "json")
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
