"""Whole evaluations: what is indexed, asked and reported, against a slow oracle of the measures."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections import defaultdict
from collections.abc import Collection as AnyCollection
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from bovw.cli import cli
from bovw.demo.scenes import Collection, draw_scene, scene_box, view_of, write_collection
from bovw.errors import DatasetError
from bovw.evaluation.datasets import Dataset, load
from bovw.evaluation.results import Evaluation, Outcome
from bovw.evaluation.run import evaluate
from bovw.images.find import find_images
from bovw.index import Index
from bovw.ingest.build import build_index
from bovw.ingest.run import Recipe, Run
from bovw.ingest.training import build_vocabulary
from bovw.options import FeatureOptions, SearchOptions, VocabularyOptions
from bovw.records import Box
from bovw.search.searcher import Searcher
from bovw.vocab import Vocabulary

AREA = cv2.INTER_AREA
FEW = FeatureOptions(max_features=400, max_size=400)
TINY = VocabularyOptions(words=200)
GREY = ("grey/first.png", "grey/last.png")
Rankings = dict[str, list[str]]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder and without the settings of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("BOVW_"):
            monkeypatch.delenv(name)


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output and "unexpected" not in result.output
    return result


def report(*arguments: object, code: int = 0) -> dict[str, Any]:
    result = run("eval", *arguments, "--format", "json", "--quiet", code=code)
    content: dict[str, Any] = json.loads(result.stdout)
    return content


# The measures once more, as slowly and plainly as they are defined.


def slow_ap(
    ranking: Sequence[str],
    positives: AnyCollection[str],
    junk: AnyCollection[str] = (),
    form: str = "official",
) -> float:
    """Return the AP of a ranking: the mean over the positives of the precision where each is.

    The official form takes the mean of the precisions just before and just after each.
    """
    kept = [name for name in ranking if name not in junk]
    total = 0.0
    for place, name in enumerate(kept):
        if name in positives:
            found = sum(other in positives for other in kept[:place])
            after = (found + 1) / (place + 1)
            before = found / place if place else 1.0
            total += (before + after) / 2 if form == "official" else after
    return total / len(positives)


def slow_precision(
    ranking: Sequence[str], positives: AnyCollection[str], junk: AnyCollection[str], k: int
) -> float:
    kept = [name for name in ranking if name not in junk]
    ranks = [rank for rank, name in enumerate(kept, 1) if name in positives]
    depth = min(max(ranks), k)
    return sum(rank <= depth for rank in ranks) / depth


def rankings(path: Path) -> Rankings:
    """Read a TREC run; ranks and scores must both be in its order."""
    found = defaultdict(list)
    scores = defaultdict(list)
    for line in path.read_text(encoding="ascii").splitlines():
        query, q0, name, rank, score, _ = line.split()
        found[unquote(query)].append(unquote(name))
        scores[query].append(float(score))
        assert (q0, int(rank)) == ("Q0", len(found[unquote(query)]))
    for values in scores.values():
        assert all(better >= worse for better, worse in pairwise(values))
    return dict(found)


# A collection of one's own


def halve(folder: Path) -> None:
    """Reduce all pictures to half of their size, which have a quarter of the features."""
    for path in folder.rglob("*.jpg"):
        small = cv2.resize(cv2.imread(str(path)), None, fx=0.5, fy=0.5, interpolation=AREA)
        cv2.imwrite(str(path), small)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a collection whose truth is not easy, and return the truth's path.

    One positive has no features, as has one image that is none; one is ignored and one is unlike
    its query, so that neither AP nor recall is perfect.
    """
    root = tmp_path_factory.mktemp("mixed")
    made = write_collection(root, scenes=3, views=2, distractors=2, seed=3)
    content = json.loads(made.truth.read_text(encoding="utf-8"))
    halve(root)
    for name in GREY:
        (root / "db" / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(root / "db" / name), np.full((100, 100), 99, np.uint8))
    content["db"] = [*GREY[::-1], *content["db"]]
    first, second, third = content["queries"]
    first["bbox"] = [corner / 2 for corner in first["bbox"]]
    first["positives"].append(GREY[0])
    second["junk"] = [second["positives"].pop(0)]
    second["positives"].append("distractors/01.jpg")
    third["positives"] = ["distractors/00.jpg", "scene_02/view_1.jpg"]
    truth = root / "mixed.json"
    truth.write_text(json.dumps(content), encoding="utf-8")
    return truth


@pytest.fixture(scope="module")
def vocab(mixed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocabulary trained on the collection itself."""
    folder = tmp_path_factory.mktemp("own") / "vocab"
    images = find_images([mixed.parent / "db"])
    build_vocabulary(images, FEW, TINY, run=Run(jobs=1)).save(folder)
    return folder


@pytest.fixture(scope="module")
def independent(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    """A vocabulary trained on other pictures than any collection here has."""
    made = write_collection(tmp_path_factory.mktemp("others"), 2, 1, 1, seed=77)
    return build_vocabulary(find_images([made.database]), FEW, TINY, run=Run(jobs=1))


@pytest.fixture(scope="module")
def indexed(mixed: Path, vocab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("indexed") / "index"
    build_index(
        find_images([mixed.parent / "db"]),
        folder,
        Recipe(Vocabulary.load(vocab), features=FEW),
        Run(jobs=1),
    )
    return folder


def judged(truth: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Return the positives and the junk of every query."""
    content = json.loads(truth.read_text(encoding="utf-8"))
    return {query["id"]: (query["positives"], query["junk"]) for query in content["queries"]}


@pytest.mark.parametrize("form", ["official", "rectangle"])
@pytest.mark.parametrize("rerank", [0, 100])
def test_report_agrees_with_the_oracle(
    form: str, rerank: int, mixed: Path, indexed: Path, tmp_path: Path
) -> None:
    options = ("--index", indexed, "--ap", form, "--rerank", rerank, "--run", "rankings.run")
    content = report(mixed, "--images", mixed.parent, *options)
    ranked, truth = rankings(tmp_path / "rankings.run"), judged(mixed)
    expected = {q: slow_ap(ranked[q], *truth[q], form) for q in truth}
    assert {query["id"]: query["ap"] for query in content["queries"]} == pytest.approx(expected)
    assert content["map"] == pytest.approx(sum(expected.values()) / len(expected))
    assert 0.3 < content["map"] < 0.99, "the collection should be neither too easy nor too hard"
    low, high = content["interval"]
    assert 0 <= low <= content["map"] <= high <= 1
    first = {q: next(n for n in ranked[q] if n not in truth[q][1]) for q in truth}
    hits = [first[q] in truth[q][0] for q in truth]
    assert content["recall_at_1"] == pytest.approx(sum(hits) / len(hits))
    halves = content["halves"]["map"], content["halves"]["recall_at_1"]
    for (larger, smaller), mean in zip(halves, (content["map"], sum(hits) / 3), strict=True):
        assert (2 * larger + smaller) / 3 == pytest.approx(mean)
    assert (content["settings"]["ap"], content["settings"]["rerank"]) == (form, rerank)
    assert content["settings"]["expand"] == (30 if rerank else 0)


def test_the_run_ranks_every_image_once(mixed: Path, indexed: Path, tmp_path: Path) -> None:
    run("eval", mixed, "--images", mixed.parent, "--index", indexed, "--run", "rankings.run")
    database = json.loads(mixed.read_text(encoding="utf-8"))["db"]
    for ranking in rankings(tmp_path / "rankings.run").values():
        assert sorted(ranking) == sorted(database)
        assert ranking[-2:] == sorted(GREY), "those without features are last, by name"


def test_json_has_what_is_promised(mixed: Path, indexed: Path) -> None:
    content = report(mixed, "--images", mixed.parent, "--index", indexed)
    assert content["dataset"] == "synthetic"
    assert isinstance(content["map"], float) and isinstance(content["recall_at_1"], float)
    assert [set(query) for query in content["queries"]] == [{"id", "ap"}] * 3
    settings = content["settings"]
    assert (settings["images"], settings["indexed"], settings["words"]) == (10, 8, 200)
    assert settings["features"]["max_features"] == 400
    assert (settings["scoring"], settings["query_mode"]) == ("hamming", "keypoints")
    held = json.loads(run("info", indexed, "--format", "json").stdout)
    assert settings["bytes_per_image"] == held["bytes_per_image"]
    assert content["milliseconds"]["describe"] > 0 and content["milliseconds"]["search"] > 0


def test_the_ladder_ends_at_the_default(mixed: Path, indexed: Path) -> None:
    arguments = ("eval", mixed, "--images", mixed.parent, "--index", indexed)
    content = report(mixed, "--images", mixed.parent, "--index", indexed)
    ladder = json.loads(run(*arguments, "--ablation", "--format", "json").stdout)
    assert ladder["dataset"] == "synthetic"
    last = ladder["rungs"][-1]
    assert (last["map"], last["recall_at_1"]) == (content["map"], content["recall_at_1"])
    alone = report(
        mixed, "--images", mixed.parent, "--index", indexed, "--scoring", "tfidf", "--rerank", 0
    )
    assert ladder["rungs"][0]["map"] == alone["map"]
    lines = run(*arguments, "--ablation").stdout.splitlines()
    assert len(lines) == len(ladder["rungs"]) + 2
    assert all(line.startswith("| ") and line.count("|") == 6 for line in lines[2:])
    assert f" {last['map']:.3f} " in lines[-1]


def test_table_says_how_the_figures_were_made(mixed: Path, indexed: Path) -> None:
    result = run("eval", mixed, "--images", mixed.parent, "--index", indexed, "-q")
    content = report(mixed, "--images", mixed.parent, "--index", indexed)
    lines = result.stdout.splitlines()
    for line, query in zip(lines[1:4], content["queries"], strict=True):
        assert line.split() == [f"{query['ap']:.4f}", query["id"]]
    text = result.stdout
    assert f"mAP  {content['map']:.4f}  (95 %: " in text
    assert f"R@1  {content['recall_at_1']:.4f}" in text
    for values in content["halves"].values():
        assert f"random halves: {values[0]:.4f} and {values[1]:.4f})" in text
    for said in ("official", "keypoints", "200 words", "own", "hamming", "verification of 100",
                 "expansion with 30", "10 images", "3 queries", "kB an image",
                 "ms to search"):  # fmt: skip
        assert said in text


@pytest.fixture(scope="module")
def drawn(searcher: Searcher, collection: Collection) -> Evaluation:
    return evaluate(load(str(collection.truth), collection.root), collection.root, searcher)


def with_more_positives(outcome: Outcome, names: Sequence[str]) -> Outcome:
    judged = outcome.query.judgements["all"]
    judged = replace(judged, positives=judged.positives | set(names))
    return replace(outcome, query=replace(outcome.query, judgements={"all": judged}))


def test_rectangle_is_never_smaller(drawn: Evaluation) -> None:
    # Two images more that have nothing to do with the query make it less easy.
    names = sorted(drawn.dataset.database)
    outcomes = [with_more_positives(o, names[i : i + 2]) for i, o in enumerate(drawn.outcomes)]
    official = replace(drawn, outcomes=outcomes)
    rectangle = replace(official, form="rectangle")
    for outcome, small, large in zip(
        outcomes, official.precisions("all"), rectangle.precisions("all"), strict=True
    ):
        assert small is not None and large is not None
        positives = outcome.query.judgements["all"].positives
        assert small == pytest.approx(slow_ap(outcome.ranking, positives))
        assert large == pytest.approx(slow_ap(outcome.ranking, positives, (), "rectangle"))
        assert large >= small
    assert rectangle.mean_ap("all") > official.mean_ap("all")


def test_verification_does_not_lower_map(
    drawn: Evaluation, index: Index, collection: Collection
) -> None:
    searcher = Searcher(index, SearchOptions(rerank=0))
    plain = evaluate(drawn.dataset, collection.root, searcher)
    assert drawn.mean_ap("all") >= plain.mean_ap("all")
    assert drawn.recall_at_1("all") == 1
    assert all(not hit.verified for outcome in plain.outcomes for hit in outcome.hits)


def test_a_ranking_has_every_name_once(drawn: Evaluation) -> None:
    for outcome in drawn.outcomes:
        assert sorted(outcome.ranking) == sorted(drawn.dataset.database)


def test_crop_and_keypoints_are_both_asked(searcher: Searcher, collection: Collection) -> None:
    truth = load(str(collection.truth), collection.root)
    regions = replace(truth, queries=tuple(q for q in truth.queries if q.region))
    assert regions.queries
    modes = {
        mode: evaluate(regions, collection.root, searcher, mode=mode)
        for mode in ("keypoints", "crop")
    }
    for mode, evaluation in modes.items():
        assert evaluation.report()["settings"]["query_mode"] == mode
        assert evaluation.recall_at_1("all") == 1
    scores = [[o.hits[0].score for o in evaluation.outcomes] for evaluation in modes.values()]
    assert scores[0] != scores[1]


# The vocabulary's source


def test_a_vocabulary_of_the_same_images_is_own(mixed: Path, indexed: Path) -> None:
    settings = report(mixed, "--images", mixed.parent, "--index", indexed)["settings"]
    assert (settings["vocabulary"], settings["vocabulary_images_shared"]) == ("own", 8)


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


def test_without_any_vocabulary_one_is_trained(mixed: Path, tmp_path: Path) -> None:
    first = run("eval", mixed, "--images", mixed.parent, "--jobs", 1, code=3)
    assert "training one on these images" in first.stderr
    second = run("eval", mixed, "--images", mixed.parent, "--jobs", 1)
    assert "training" not in second.stderr, "nothing is trained where an index is found"
    assert "own" in second.stdout
    assert len(catalogs(tmp_path)) == 1


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


# Data sets with rules of their own


def picture(scene: int, view: int) -> tuple[bytes, Box]:
    """Return a JPEG of 320 by 240 pixels, and where the scene is in it."""
    pixels, homography = view_of(draw_scene((50, scene)), (51, scene, view), 0.5)
    pixels = cv2.resize(pixels, (320, 240), interpolation=AREA)
    box = Box(*(corner / 2 for corner in scene_box(homography)))
    return cv2.imencode(".jpg", pixels)[1].tobytes(), box


def indexed_with(vocabulary: Vocabulary, dataset: Dataset, images: Path, folder: Path) -> Searcher:
    from bovw.evaluation.database import database_files

    files = database_files(dataset, images)
    return Searcher(build_index(files, folder, Recipe(vocabulary, features=FEW), Run(jobs=1)))


@pytest.fixture(scope="module")
def revisited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write pictures and a pickle as those of ROxford5k; the queries are not in the database.

    Of each of three scenes there is an easy view, a hard one and one that is junk; the last has no
    easy view. Two more images are not listed.
    """
    root = tmp_path_factory.mktemp("revisited")
    (root / "jpg" / "deep").mkdir(parents=True)
    names, queries, judgements = [], [], []
    for scene, landmark in enumerate(("all_souls", "bodleian", "ashmolean")):
        numbers = {}
        for view, label in enumerate(("easy", "hard", "junk")):
            numbers[label] = [len(names)]
            names.append(f"{landmark}_00000{view}")
            (root / "jpg" / "deep" / f"{names[-1]}.jpg").write_bytes(picture(scene, view)[0])
        if scene == 2:
            numbers = {"easy": [], "hard": numbers["hard"], "junk": numbers["junk"]}
        queries.append(f"{landmark}_000009")
        content, box = picture(scene, 9)
        (root / "jpg" / f"{queries[-1]}.jpg").write_bytes(content)
        judgements.append({"bbx": list(box), **numbers})
    for number in range(2):
        (root / "jpg" / f"radcliffe_{number}.jpg").write_bytes(picture(9, number)[0])
    truth = {"imlist": names, "qimlist": queries, "gnd": judgements}
    (root / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(truth))
    return root


def test_revisited_has_three_settings(
    revisited: Path, independent: Vocabulary, tmp_path: Path
) -> None:
    independent.save(tmp_path / "bovw-vocab")
    options = ("--images", revisited / "jpg", "--jobs", 1, "--run", "rankings.run")
    content = report("roxford5k", *options)
    assert list(content["map"]) == ["easy", "medium", "hard"]
    assert content["settings"]["query_mode"] == "crop"
    assert (content["settings"]["images"], len(content["queries"])) == (9, 3)
    ranked = rankings(tmp_path / "rankings.run")
    assert not any(query in ranking for query in ranked for ranking in ranked.values())

    truth = pickle.loads((revisited / "gnd_roxford5k.pkl").read_bytes())
    paths = [f"deep/{name}.jpg" for name in truth["imlist"]]
    rules = {
        "easy": (["easy"], ["junk", "hard"]),
        "medium": (["easy", "hard"], ["junk"]),
        "hard": (["hard"], ["junk", "easy"]),
    }
    for setting, (positive, ignored) in rules.items():
        expected, precisions = {}, {1: [], 5: [], 10: []}
        for query, gnd in zip(truth["qimlist"], truth["gnd"], strict=True):
            positives = [paths[i] for label in positive for i in gnd[label]]
            junk = [paths[i] for label in ignored for i in gnd[label]]
            expected[query] = slow_ap(ranked[query], positives, junk) if positives else None
            for k, values in precisions.items():
                values += [slow_precision(ranked[query], positives, junk, k)] if positives else []
        found = {query["id"]: query["ap"][setting] for query in content["queries"]}
        assert found == {q: ap if ap is None else pytest.approx(ap) for q, ap in expected.items()}
        known = [ap for ap in expected.values() if ap is not None]
        assert len(known) == (2 if setting == "easy" else 3)
        assert content["map"][setting] == pytest.approx(np.mean(known))
        for k, values in precisions.items():
            measured = content["mean_precision_at"][str(k)][setting]
            assert measured == pytest.approx(np.mean(values))
    assert content["map"]["medium"] > 0.5
    text = run("eval", "roxford5k", "--images", revisited / "jpg", "-q").stdout
    for setting in rules:
        assert f"mAP {setting}  {content['map'][setting]:.4f}" in text
        assert f"mP@1,5,10 {setting}  " in text


def test_ukbench_counts_the_group_among_four(independent: Vocabulary, tmp_path: Path) -> None:
    images = tmp_path / "full"
    images.mkdir()
    for scene in range(2):
        for view in range(4):
            (images / f"ukbench{4 * scene + view:05}.jpg").write_bytes(picture(scene, view)[0])
    dataset = load("ukbench", images)
    searcher = indexed_with(independent, dataset, images, tmp_path / "index")
    evaluation = evaluate(dataset, images, searcher)
    content = evaluation.report()
    counts = [
        sum(int(name[7:12]) // 4 == int(o.query.id[7:12]) // 4 for name in o.ranking[:4])
        for o in evaluation.outcomes
    ]
    assert len(counts) == 8
    assert content["ukbench"] == pytest.approx(np.mean(counts))
    assert 3 < content["ukbench"] <= 4
    assert content["recall_at_1"] == 1, "every image finds itself first"


def test_holidays_leaves_the_query_out(independent: Vocabulary, tmp_path: Path) -> None:
    images = tmp_path / "jpg"
    images.mkdir()
    for scene in range(3):
        for view in range(3):
            (images / f"{100_000 + 100 * scene + view}.jpg").write_bytes(picture(scene, view)[0])
    dataset = load("holidays", images)
    searcher = indexed_with(independent, dataset, images, tmp_path / "index")
    evaluation = evaluate(dataset, images, searcher)
    assert [o.query.id for o in evaluation.outcomes] == ["100000", "100100", "100200"]
    for outcome, ap in zip(evaluation.outcomes, evaluation.precisions("all"), strict=True):
        own = f"{outcome.query.id}.jpg"
        assert outcome.ranking[0] == own
        others = [f"{int(outcome.query.id) + view}.jpg" for view in (1, 2)]
        assert ap == pytest.approx(slow_ap(outcome.ranking, others, [own]))
    assert evaluation.mean_ap("all") > 0.9
