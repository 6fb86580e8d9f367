"""Evaluations on indexes that are made, kept and refused, and of vocabularies of either source."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import pytest

from bovw.demo.scenes import draw_scene
from bovw.errors import DatasetError
from bovw.evaluation.datasets import load
from bovw.evaluation.run import evaluate
from bovw.images.find import find_images
from bovw.ingest.build import build_index
from bovw.ingest.run import Recipe, Run
from bovw.ingest.training import build_vocabulary
from bovw.search.searcher import Searcher
from bovw.vocab import Vocabulary
from tests.evaluation.oracle import judged, rankings, slow_ap
from tests.evaluation.running import FEW, GREY, TINY, report, run

pytestmark = pytest.mark.slow

# The vocabulary's source


def test_a_vocabulary_of_the_same_images_is_own(mixed: Path, indexed: Path) -> None:
    settings = report(mixed, "--images", mixed.parent, "--index", indexed)["settings"]
    assert (settings["vocabulary"], settings["vocabulary_images_shared"]) == ("own", 8)


@pytest.mark.slow
def test_a_vocabulary_of_one_of_the_images_is_own(
    mixed: Path, tmp_path: Path, indexed: Path
) -> None:
    (tmp_path / "other names").mkdir()
    shutil.copy(mixed.parent / "db" / "scene_00" / "view_0.jpg", tmp_path / "other names" / "x.jpg")
    (tmp_path / "other names" / "y.jpg").write_bytes(
        cv2.imencode(".jpg", draw_scene(500))[1].tobytes()
    )
    vocabulary = build_vocabulary(
        find_images([tmp_path / "other names"]), FEW, TINY, run=Run(jobs=1)
    )
    images = find_images([mixed.parent / "db"])
    index = build_index(images, tmp_path / "index", Recipe(vocabulary, features=FEW), Run(jobs=1))
    evaluation = evaluate(load(str(mixed), mixed.parent), mixed.parent, Searcher(index))
    assert evaluation.vocabulary_source == ("own", 1)


@pytest.mark.slow
def test_a_vocabulary_of_other_images_is_independent(
    mixed: Path, independent: Vocabulary, tmp_path: Path
) -> None:
    independent.save(tmp_path / "vocab")
    options = ("--images", mixed.parent, "--vocab", tmp_path / "vocab", "--jobs", 1)
    content = report(mixed, *options, code=3)
    assert content["settings"]["vocabulary"] == "independent"
    assert content["settings"]["vocabulary_images_shared"] == 0
    text = run("eval", mixed, "--images", mixed.parent, "--vocab", tmp_path / "vocab", "-q").stdout
    assert "independent" in text


# Indexes that are made, kept, and refused


def catalogs(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("catalog.sqlite")}


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--index", "a/b/mine"]])
def test_an_index_is_made_once(
    options: list[str], mixed: Path, vocab: Path, tmp_path: Path
) -> None:
    arguments = ("eval", mixed, "--images", mixed.parent, "--vocab", vocab, *options, "--jobs", 1)
    first = run(*arguments, code=3)
    assert "indexing 10 images into" in first.stderr
    assert all(f"skipped {name}: no features" in first.stderr for name in GREY)
    made = catalogs(tmp_path)
    assert len(made) == 1
    second = run(*arguments)
    assert "using the index in" in second.stderr and "indexing" not in second.stderr
    assert catalogs(tmp_path) == made
    figures = [result.stdout.partition("time a query")[0] for result in (first, second)]
    assert figures[0] == figures[1]


@pytest.mark.slow
def test_without_any_vocabulary_one_is_trained(mixed: Path, tmp_path: Path) -> None:
    first = run("eval", mixed, "--images", mixed.parent, "--jobs", 1, code=3)
    assert "training one on these images" in first.stderr
    second = run("eval", mixed, "--images", mixed.parent, "--jobs", 1)
    assert "training" not in second.stderr, "nothing is trained where an index is found"
    assert "own" in second.stdout
    assert len(catalogs(tmp_path)) == 1


@pytest.mark.slow
def test_vocabularies_have_an_index_each(
    mixed: Path, vocab: Path, independent: Vocabulary, tmp_path: Path
) -> None:
    independent.save(tmp_path / "vocab")
    for folder in (vocab, tmp_path / "vocab"):
        options = ("--vocab", folder, "--jobs", 1)
        run("eval", mixed, "--images", mixed.parent, *options, code=3)
    assert len(catalogs(tmp_path)) == 2


def test_the_usual_index_is_used_where_it_fits(mixed: Path, indexed: Path, tmp_path: Path) -> None:
    shutil.copytree(indexed, tmp_path / "bovw-index")
    result = run("eval", mixed, "--images", mixed.parent)
    assert "using the index in bovw-index" in result.stderr


@pytest.mark.slow
def test_the_usual_index_of_other_images_is_left_alone(
    mixed: Path, vocab: Path, index_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(index_folder, tmp_path / "bovw-index")
    before = catalogs(tmp_path)
    options = ("--vocab", vocab, "--jobs", 1)
    result = run("eval", mixed, "--images", mixed.parent, *options, code=3)
    assert "indexing 10 images into bovw-eval" in result.stderr
    assert before.items() < catalogs(tmp_path).items()


def test_an_index_of_other_images_is_refused(mixed: Path, index_folder: Path) -> None:
    result = run("eval", mixed, "--images", mixed.parent, "--index", index_folder, code=1)
    assert result.stdout == ""
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("Error: "))
    assert "is not an index of synthetic" in line and "give another --index" in line


def test_a_searcher_of_other_images_is_refused(mixed: Path, searcher: Searcher) -> None:
    with pytest.raises(DatasetError, match="is not an index of synthetic"):
        evaluate(load(str(mixed), mixed.parent), mixed.parent, searcher)


@pytest.mark.slow
def test_an_index_of_another_vocabulary_is_refused(
    mixed: Path, indexed: Path, vocab: Path, independent: Vocabulary, tmp_path: Path
) -> None:
    independent.save(tmp_path / "other")
    arguments = ("eval", mixed, "--images", mixed.parent, "--index", indexed)
    result = run(*arguments, "--vocab", tmp_path / "other", code=1)
    assert "vocabulary" in result.stderr and "--vocab" in result.stderr
    run(*arguments, "--vocab", vocab)


# Queries that cannot be asked


def test_a_query_without_features_finds_nothing(mixed: Path, indexed: Path, tmp_path: Path) -> None:
    content = json.loads(mixed.read_text(encoding="utf-8"))
    content["queries"][1] |= {"image": f"db/{GREY[0]}", "bbox": None}
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps(content), encoding="utf-8")
    options = ("--images", mixed.parent, "--index", indexed)
    result = run("eval", truth, *options, "--format", "json", "--run", "rankings.run", code=3)
    found = json.loads(result.stdout)["queries"][1]
    assert "no features" in found["failure"]
    assert f"skipped {found['id']}: " in result.stderr
    ranked = sorted(content["db"])
    assert found["ap"] == pytest.approx(slow_ap(ranked, *judged(truth)[found["id"]]))
    assert rankings(tmp_path / "rankings.run")[found["id"]] == ranked


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"queries": []}, "no queries"),
        ({"db": []}, "not in 'db'"),
        ({"db": ["missing.jpg"], "queries": []}, "missing.jpg"),
        ({"queries": "none"}, "'queries'"),
    ],
)
def test_a_truth_that_does_not_fit_is_one_line(
    change: dict[str, Any], said: str, mixed: Path, tmp_path: Path
) -> None:
    content = {**json.loads(mixed.read_text(encoding="utf-8")), **change}
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps(content), encoding="utf-8")
    result = run("eval", truth, "--images", mixed.parent, code=1)
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ") and said in line


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        ("missing.json", "missing.json"),
        ("oxford5k", "no ground truth found"),
        ("roxford5k", "gnd_roxford5k.pkl"),
        ("oxford", "oxford5k, paris6k"),
    ],
)
def test_no_truth_is_one_line(dataset: str, said: str, mixed: Path) -> None:
    result = run("eval", dataset, "--images", mixed.parent / "db", code=1)
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ") and said in line


def test_no_images_is_one_line(mixed: Path, tmp_path: Path) -> None:
    result = run("eval", mixed, "--images", tmp_path / "missing", code=1)
    assert "is not a folder" in result.stderr
    result = run("eval", mixed, "--images", tmp_path, code=1)
    assert "cannot be found in" in result.stderr and "give the folder" in result.stderr
