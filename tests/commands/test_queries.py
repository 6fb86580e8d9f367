"""`bovw query`: how much is answered, how it is ranked, and which part of a picture asks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bovw.demo.scenes import Collection
from tests.commands.running import failure, run

pytestmark = pytest.mark.slow


def test_several_queries_are_answered_in_order(built: Path, small: Collection) -> None:
    images = [small.root / query.name for query in small.queries]
    options = ("--index", built, "--topk", 1)
    answers = json.loads(run("query", *images, *options, "--format", "json").stdout)
    assert [answer["query"] for answer in answers] == [str(path) for path in images]
    assert [answer["hits"][0]["name"].split("/")[0] for answer in answers] == [
        "scene_00", "scene_01", "scene_02",
    ]  # fmt: skip
    blocks = run("query", *images, *options).stdout.split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == [str(path) for path in images]


def test_topk_beyond_the_collection_gives_all(built: Path, image: Path) -> None:
    lines = run("query", image, "--index", built, "--topk", 10**9, "--format", "paths").stdout
    assert len(lines.splitlines()) == 8


@pytest.mark.parametrize("options", [("--no-rerank",), ("--rerank", "0")])
def test_without_verification(options: tuple[str, ...], built: Path, image: Path) -> None:
    text = run("query", image, "--index", built, "--format", "jsonl", *options).stdout
    hits = [json.loads(line) for line in text.splitlines()]
    assert all((hit["inliers"], hit["transform"], hit["box"]) == (0, None, None) for hit in hits)
    scores = [hit["score"] for hit in hits]
    assert scores == sorted(scores, reverse=True) and scores[-1] >= 0 < scores[0]


@pytest.mark.parametrize("options", [(), ("--no-rerank",), ("--expand", "0"), ("--expand", "1")])
@pytest.mark.parametrize("scoring", ["tfidf", "hamming", "asmk"])
def test_every_scoring_finds(
    scoring: str, options: tuple[str, ...], built: Path, image: Path
) -> None:
    arguments = ("--index", built, "--format", "jsonl", "--scoring", scoring, *options)
    hits = [json.loads(line) for line in run("query", image, *arguments).stdout.splitlines()]
    assert len(hits) == 8
    found = {hit["name"] for hit in hits[:2]} & {"scene_01/view_0.jpg", "scene_01/view_1.jpg"}
    # Which of a hundred words there are says little of a query with more features than the index.
    assert len(found) >= (1 if scoring == "tfidf" and "--no-rerank" in options else 2)
    scores = [hit["score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert (hits[0]["inliers"] > 0) == ("--no-rerank" not in options)


def test_rerank_verifies_the_best_only(built: Path, image: Path) -> None:
    text = run("query", image, "--index", built, "--format", "jsonl", "--rerank", 1).stdout
    assert sum(json.loads(line)["inliers"] > 0 for line in text.splitlines()) == 1


def test_only_confirmed_hits_where_asked(built: Path, image: Path) -> None:
    arguments = ("query", image, "--index", built, "--format", "json", "--topk", 100)
    everything, confirmed = (
        json.loads(run(*arguments, *more).stdout)[0]["hits"] for more in ([], ["--verified"])
    )
    assert 0 < len(confirmed) < len(everything)
    assert confirmed == [hit for hit in everything if hit["confirmed"]]


def test_matches_that_are_left_out_are_told(built: Path, image: Path) -> None:
    arguments = ("query", image, "--index", built, "--format", "paths", "--verified")
    every = run(*arguments)
    count = len(every.stdout.splitlines())
    assert count > 1 and every.stderr == ""
    one = run(*arguments, "--topk", 1)
    assert one.stdout == every.stdout.splitlines(keepends=True)[0]
    assert one.stderr == f"{image}: 1 of {count} matches; --topk {count} gives all\n"
    assert run(*arguments, "--topk", 1, "--quiet").stderr == ""
    checked = run(*arguments, "--rerank", 1)
    told = f"{image}: all 1 images that were checked match; --rerank checks more\n"
    assert len(checked.stdout.splitlines()) == 1 and checked.stderr == told


def test_a_region_is_cut_to_the_image(built: Path, image: Path) -> None:
    whole = run("query", image, "--index", built, "--format", "json").stdout
    wide = ("--region", "-50,-1e3,2000,inf")
    assert run("query", image, "--index", built, "--format", "json", *wide).stdout == whole


@pytest.mark.parametrize("region", ["700,10,900,200", "30,30,10,10", "nan,0,10,10", "5,5,5,50"])
def test_a_region_outside_is_told(region: str, built: Path, image: Path) -> None:
    message = failure("query", image, "--index", built, "--region", region)
    assert "is empty or outside the image" in message and "320 x 240" in message


@pytest.mark.parametrize("region", ["1,2,3", "1,2,3,4,5", "a,b,c,d", "", "1 2 3 4"])
def test_a_malformed_region_is_wrong_usage(region: str, built: Path, image: Path) -> None:
    message = failure("query", image, "--index", built, "--region", region, code=2)
    assert "x1,y1,x2,y2" in message


def test_a_region_of_several_images_is_wrong_usage(built: Path, image: Path) -> None:
    region = ("--region", "0,0,9,9")
    assert "one" in failure("query", image, image, "--index", built, *region, code=2)


def test_a_region_without_features_is_told(built: Path, image: Path) -> None:
    message = failure("query", image, "--index", built, "--region", "0,0,2,2")
    assert "the region is too small: a side of 16 pixels is needed" in message
