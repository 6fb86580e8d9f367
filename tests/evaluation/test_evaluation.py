"""Whole evaluations: what is indexed, asked and reported, against a slow oracle of the measures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bovw.demo.scenes import Collection
from bovw.evaluation.datasets import load
from bovw.evaluation.results import Evaluation, Outcome
from bovw.evaluation.run import evaluate
from bovw.index import Index
from bovw.options import SearchOptions
from bovw.search.searcher import Searcher
from tests.evaluation.oracle import judged, rankings, slow_ap
from tests.evaluation.running import GREY, report, run

pytestmark = pytest.mark.slow


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_verification_does_not_lower_map(
    drawn: Evaluation, index: Index, collection: Collection
) -> None:
    searcher = Searcher(index, SearchOptions(rerank=0))
    plain = evaluate(drawn.dataset, collection.root, searcher)
    assert drawn.mean_ap("all") >= plain.mean_ap("all")
    assert drawn.recall_at_1("all") == 1
    assert all(not hit.confirmed for outcome in plain.outcomes for hit in outcome.hits)


def test_a_ranking_has_every_name_once(drawn: Evaluation) -> None:
    for outcome in drawn.outcomes:
        assert sorted(outcome.ranking) == sorted(drawn.dataset.database)


@pytest.mark.slow
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
