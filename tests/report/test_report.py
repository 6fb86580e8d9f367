"""The HTML files: whole, safe to open, and true to what was found."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from bovw.cli import cli
from bovw.demo.scenes import Collection, scene_box
from bovw.evaluation.datasets import REVISITED, Dataset, Judgement, Query
from bovw.evaluation.results import Evaluation
from bovw.evaluation.run import evaluate
from bovw.index import Index
from bovw.records import Box, Hit
from bovw.report import Asked, answer_page, evaluation_page, with_points
from bovw.report.album import Album
from bovw.report.evaluation import HITS
from bovw.report.figure import LINES, pair_figure
from bovw.report.text import probability_shown
from bovw.search.query import describe_query
from bovw.search.searcher import Searcher

VOID = {"meta", "br", "img", "link", "wbr"}
NASTY = "<script>alert('x')</script>\n\"quoted\" & <b>\udcff\u202e.jpg"


class Page(HTMLParser):
    """A page that was read: every tag must be closed in its place."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.tags: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.text: list[str] = []
        self.source = content.decode("utf-8")
        self.feed(self.source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.tags.append((tag, dict(attrs), tuple(name for name, _ in self.open)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str, name: str | None = None) -> list[dict[str, str | None]]:
        """Return the attributes of all tags of a kind, or of those of a class."""
        return [
            attributes
            for kind, attributes, _ in self.tags
            if kind == tag and (name is None or name in (attributes.get("class") or "").split())
        ]

    def boxes(self) -> int:
        """Return how many boxes are drawn on hits, outside of what is folded away in them."""
        return sum(
            kind == "polygon" and attributes.get("class") == "box" and path[-2:] == ("li", "svg")
            for kind, attributes, path in self.tags
        )


def check(content: bytes) -> Page:
    """Read a page, which must be whole and must neither run nor fetch anything."""
    page = Page(content)
    tags = {tag for tag, _, _ in page.tags}
    assert tags.isdisjoint({"script", "link", "iframe", "object", "embed", "form", "base", "img"})
    assert not re.search(r"https?://|javascript:|@import|url\(", page.source)
    for _, attributes, _ in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:image/jpeg;base64,"))
    policy = page.all("meta")[1]
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert (policy["content"] or "").startswith("default-src 'none'; img-src data:;")
    symbols = [symbol["id"] for symbol in page.all("symbol")]
    used = {(use["href"] or "")[1:] for use in page.all("use")}
    assert len(set(symbols)) == len(symbols)
    assert used == set(symbols)
    pictures = [image["href"] for image in page.all("image")]
    assert len(set(pictures)) == len(pictures) <= len(symbols)
    shown = [attributes for attributes in page.all("svg") if attributes.get("role") == "img"]
    assert len(shown) == len(page.all("svg")) - 1 == len(page.all("title")) - 1
    return page


def asked(searcher: Searcher, path: Path, region: Box | None = None, topk: int = 8) -> Asked:
    features, part = describe_query(path, region, options=searcher.feature_options)
    return with_points(
        searcher, path, features, part, searcher.search_features(features, part, topk)
    )


# Answers


@pytest.mark.slow
def test_every_hit_is_shown_and_boxed_where_confirmed(
    searcher: Searcher, collection: Collection
) -> None:
    paths = [collection.root / query.name for query in collection.queries[:3]]
    answers = [asked(searcher, path, topk=len(searcher.index)) for path in paths]
    page = check(answer_page(answers))
    hits = [hit for answer in answers for hit in answer.hits]
    agreeing = [hit for hit in hits if hit.transform is not None]
    assert 3 <= len(agreeing) < len(hits)
    assert len(page.all("li", "hit")) == len(hits)
    assert page.boxes() == len(page.all("svg", "pair")) == len(agreeing)
    files = {hit.path for hit in hits} | {str(answer.path) for answer in answers}
    assert len(page.all("image")) == len(files)
    text = "".join(page.text)
    words = {"sure": "sure match: ", "likely": "likely match: ", "look": "look: "}
    for hit in agreeing:
        shown = probability_shown(hit.probability)
        assert f"{words[hit.certainty]}{shown}, {hit.inliers} matching point" in text
    assert text.count("looks similar, no match") == len(hits) - len(agreeing)
    for answer in answers:
        matches = sum(hit.confirmed for hit in answer.hits)
        assert matches >= 3 and f"{matches} matches" in text


def test_points_are_the_inliers_of_the_hits(searcher: Searcher, collection: Collection) -> None:
    answer = asked(searcher, collection.root / collection.queries[0].name)
    assert set(answer.points) == {hit.name for hit in answer.hits if hit.transform is not None}
    for hit in answer.hits:
        if hit.transform is not None:
            points = answer.points[hit.name]
            assert len(points) == hit.inliers
            carried = cv2.perspectiveTransform(points[None, :, :2], hit.transform)[0]
            assert np.linalg.norm(carried - points[:, 2:], axis=1).max() < 0.02 * 640


def test_the_region_is_drawn(searcher: Searcher, collection: Collection) -> None:
    query = collection.queries[0]
    path, region = collection.root / query.name, scene_box(query.homography)
    whole, part = (answer_page([asked(searcher, path, box, 1)]) for box in (None, region))
    assert "the whole image" in whole.decode() and "the part in the box" in part.decode()
    drawn = len(Page(part).all("polygon", "box")) - len(Page(whole).all("polygon", "box"))
    assert drawn == 2, "on the query, and again beside the hit"


def test_names_are_escaped_and_what_is_gone_has_a_placeholder(tmp_path: Path) -> None:
    picture = tmp_path / os.fsdecode(b"<b>\xff.png")
    cv2.imwrite(str(tmp_path / "x.png"), np.zeros((40, 60, 3), np.uint8))
    (tmp_path / "x.png").rename(picture)
    corners = np.array([[1.0, 1], [30, 1], [30, 30], [1, 30]])
    hits = [
        Hit(1, NASTY, "/nowhere/" + NASTY, 3.0, 1.0, 1e-9, True, 12, np.eye(3), corners),
        Hit(2, NASTY + "2", str(picture), 2.0, 0.87, 0.005, True, 6, np.eye(3), corners),
        Hit(3, NASTY + "3", str(picture), 1.0, 0.12, 0.2, False, 5, np.eye(3), corners),
    ]
    points = {hit.name: np.ones((hit.inliers, 4)) for hit in hits}
    page = check(answer_page([Asked(picture, Box(0, 0, 60, 40), hits, points)]))
    text = "".join(page.text)
    assert "alert('x')" in text and "<b>?.png" in text
    assert len(page.all("rect", "blank")) == 1 and "cannot be shown" in text
    assert page.boxes() == len(page.all("svg", "pair")) == 2
    assert "2 matches" in text and "1 more worth a look" in text
    assert "sure match: over 99%, 12 matching points" in text
    assert "likely match: 87%, 6 matching points" in text
    assert "look: 12%, 5 matching points" in text


def test_an_answer_without_hits_says_so(collection: Collection) -> None:
    path = collection.root / collection.queries[0].name
    page = check(answer_page([Asked(path, Box(0, 0, 640, 480), [], {})]))
    assert "No match: the images below" in "".join(page.text)


@pytest.mark.parametrize(
    "probability, text",
    [(0.0, "under 1%"), (0.004, "under 1%"), (0.12, "12%"), (0.994, "99%"), (1.0, "over 99%")],
)
def test_nothing_is_certain(probability: float, text: str) -> None:
    assert probability_shown(probability) == text


def test_a_picture_is_kept_once_at_the_largest_size(collection: Collection) -> None:
    path, album = collection.root / collection.queries[0].name, Album()
    small = album.thumbnail(path, 100)
    large = album.thumbnail(str(path), 300)
    assert album.thumbnail(path, 200) is large
    assert small.id == large.id and small.frame == large.frame == Box(0, 0, 640, 480)
    assert album.symbols.count("<image") == 1
    assert large.image in album.symbols


@pytest.mark.parametrize("inliers", [0, 1, 99, 100, 431])
def test_all_inliers_have_dots_and_some_have_lines(collection: Collection, inliers: int) -> None:
    thumbnail = Album().thumbnail(collection.root / collection.queries[0].name, 100)
    points = np.random.default_rng(0).uniform(0, 480, (inliers, 4))
    drawn = pair_figure(thumbnail, thumbnail, "pair", points, (None, None))
    paths = re.findall(r'<path class="(line|dot)"[^>]* d="([^"]*)"', drawn)
    counts = Counter[str]()
    for kind, path in paths:
        counts[kind] += path.count("M")
    assert (counts["line"], counts["dot"]) == (min(inliers, LINES), 2 * inliers)


# Evaluations


def judged_queries(collection: Collection) -> tuple[Query, ...]:
    """Ask for scenes, of which the views are easy, hard and junk; one asks for a distractor."""
    queries = []
    for view in collection.queries:
        first, second, third = (found.name for found in collection.views_of(view.scene))
        labels = {first: "easy", second: "hard", third: "junk"}
        if not view.scene:
            labels = {"distractors/00.jpg": "hard"}
        named = {
            label: {n for n, own in labels.items() if own == label}
            for label in ("easy", "hard", "junk")
        }
        judgements = {
            setting: Judgement(
                frozenset().union(*(named[label] for label in positives)),
                frozenset().union(*(named[label] for label in ignored)),
            )
            for setting, (positives, ignored) in REVISITED.items()
        }
        region = scene_box(view.homography) if view.scene == 1 else None
        queries.append(Query(view.name, view.name, region, judgements, view.name, labels))
    return tuple(queries)


@pytest.fixture(scope="module")
def evaluation(collection: Collection, index: Index, searcher: Searcher) -> Evaluation:
    names = tuple(sorted(index.names))
    queries = judged_queries(collection)
    dataset = Dataset("<mine>", names, "db", queries, tuple(REVISITED), "keypoints", "map", "A & B")
    return evaluate(dataset, collection.root, searcher)


@pytest.mark.slow
def test_an_evaluation_is_shown_whole(evaluation: Evaluation, collection: Collection) -> None:
    page = check(evaluation_page(evaluation, collection.root))
    text = "".join(page.text)
    for setting in REVISITED:
        assert f"{evaluation.mean_ap(setting):.4f}mAP {setting}" in text
        assert f"{evaluation.recall_at_1(setting):.4f}R@1 {setting}" in text
    assert "<mine>" in text and "A & B" in text
    assert str(evaluation.searcher.index.folder) not in page.source
    assert len(page.all("details")) == len(evaluation.outcomes)
    assert len(page.all("svg", "curve")) == 1 + len(evaluation.outcomes)
    shown = [hit for outcome in evaluation.outcomes for hit in outcome.hits[:HITS]]
    assert len(page.all("li", "hit")) == len(shown)
    assert page.boxes() == sum(hit.transform is not None for hit in shown)


@pytest.mark.slow
def test_the_worst_query_comes_first(evaluation: Evaluation, collection: Collection) -> None:
    page = check(evaluation_page(evaluation, collection.root))
    ids = re.findall(r'<span class="id">([^<]*)</span>', page.source)
    assert ids[0] == collection.queries[0].name, "the one whose truth is a distractor"
    assert sorted(ids) == sorted(query.name for query in collection.queries)


def test_hits_have_the_words_of_the_truth(evaluation: Evaluation, collection: Collection) -> None:
    page = check(evaluation_page(evaluation, collection.root))
    given = Counter(
        outcome.query.labels.get(hit.name, "wrong")
        for outcome in evaluation.outcomes
        for hit in outcome.hits[:HITS]
    )
    drawn = re.findall(r'<p><span class="word \w+">(\w+)</span>', page.source)
    assert Counter(drawn) == given
    assert min(given[word] for word in ("easy", "hard", "junk", "wrong")) > 0


def test_a_query_that_failed_says_why(evaluation: Evaluation, collection: Collection) -> None:
    outcomes = list(evaluation.outcomes)
    outcomes[2] = replace(outcomes[2], failure="empty <file>")
    page = check(evaluation_page(replace(evaluation, outcomes=outcomes), collection.root))
    assert "failed: empty <file>" in "".join(page.text)


# The commands


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output and "unexpected" not in result.output
    return result


@pytest.mark.slow
def test_query_prints_what_it_prints_without(
    collection: Collection, index_folder: Path, tmp_path: Path
) -> None:
    images = [collection.root / query.name for query in collection.queries[:2]]
    out = tmp_path / "found.html"
    options = ("--index", index_folder, "--topk", 4, "--verified", "--quiet")
    plain = run("query", *images, *options).stdout
    assert run("query", *images, *options, "--html", out).stdout == plain
    page = check(out.read_bytes())
    assert len(page.all("li", "hit")) == page.boxes() == plain.count(".jpg") - 2
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.slow
def test_eval_writes_a_page(collection: Collection, index_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "measured.html"
    options = ("--images", collection.root, "--index", index_folder, "--quiet")
    text = run("eval", collection.truth, *options, "--html", out).stdout
    page = check(out.read_bytes())
    assert text.splitlines()[-9].split()[1] in "".join(page.text)
    assert len(page.all("details")) == len(collection.queries)


def test_a_page_that_cannot_be_is_refused_at_once(collection: Collection, tmp_path: Path) -> None:
    image = collection.root / collection.queries[0].name
    for command in (("query", image, "--index", "none"), ("eval", "x", "--images", tmp_path)):
        assert "does not end in .html" in run(*command, "--html", image, code=2).stderr
        nowhere = tmp_path / "none" / "x.html"
        assert "there is no folder" in run(*command, "--html", nowhere, code=1).stderr
    out = tmp_path / "x.html"
    both = run("eval", "x", "--images", tmp_path, "--html", out, "--ablation", code=2)
    assert "--ablation measures all" in both.stderr
