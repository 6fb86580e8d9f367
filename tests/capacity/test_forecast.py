"""What a collection takes: planted costs, laws that hold for any, the probe and the command."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bovw.capacity import forecast, probe
from bovw.capacity.forecast import (
    Costs,
    answers_well,
    disk,
    enough_nodes,
    hours,
    needs,
    query,
    straggler,
)
from bovw.cli import cli
from bovw.demo.scenes import Collection
from bovw.errors import BovwError
from bovw.images.find import find_images
from bovw.index import Index
from bovw.search.question import MOST_POSTINGS
from bovw.search.searcher import Searcher

COSTS = Costs()
# Where nothing but features has bytes.
BARE = Costs(features=1000, feature_bytes=20, image_bytes=0, word_bytes=0, vocabulary_bytes=0)
# Where nothing but a query's postings takes time, a microsecond each, and lists are even.
SLOW = Costs(
    features=1000, asked=100, words=10_000, skew=1, describe=0, lookup=0, posting=1e-6,
    match=0, candidate=0, image=0, segment=0, expanding=0,
)  # fmt: skip
MANY = st.integers(1, 10**10)
SOME = st.integers(1, 5000)


def test_disk_is_features_times_bytes() -> None:
    assert disk(BARE, 1_000_000) == 1_000_000 * 1000 * 20


@given(MANY)
def test_twice_the_images_take_twice_the_disk(images: int) -> None:
    assert disk(BARE, 2 * images) == 2 * disk(BARE, images)
    assert disk(COSTS, images) < disk(COSTS, 2 * images) <= 2 * disk(COSTS, images)


def test_a_query_looks_at_its_words_mean_lists() -> None:
    # 10 words of 100 features each have lists of 1,000 x 1,000 / 10,000 = 100 postings.
    found = query(SLOW, 1000)
    assert found.words == 5 and found.expanded
    assert found.seconds == pytest.approx(5 * 100 * 100 * 1e-6)
    assert query(replace(SLOW, skew=3), 1000).seconds == pytest.approx(3 * found.seconds)


def test_a_query_keeps_to_the_postings_that_search_allows() -> None:
    postings_a_word = 100 * 1000 / 10_000  # for an image
    most = int(MOST_POSTINGS / postings_a_word)
    assert [query(SLOW, most // words).words for words in (5, 4, 3, 2, 1)] == [5, 4, 3, 2, 1]
    assert query(SLOW, 100 * most).words == 1
    assert query(SLOW, MOST_POSTINGS // 1000).expanded
    assert not query(SLOW, MOST_POSTINGS // 1000 + 1).expanded


@given(MANY, MANY, SOME)
def test_more_images_never_answer_sooner(one: int, other: int, nodes: int) -> None:
    few, many = sorted((one, other))
    assert (
        query(COSTS, few, nodes, bounded=False).seconds
        <= query(COSTS, many, nodes, bounded=False).seconds
    )


@given(MANY, SOME, SOME)
def test_more_nodes_never_have_more_to_do(images: int, one: int, other: int) -> None:
    def work(nodes: int) -> float:
        found = query(COSTS, images, nodes, bounded=False)
        return found.seconds - found.parts["network"]

    few, many = sorted((one, other))
    assert work(many) <= work(few) * (1 + 1e-9)


@given(MANY, SOME)
def test_bounded_work_is_never_more(images: int, nodes: int) -> None:
    bounded, full = query(COSTS, images, nodes), query(COSTS, images, nodes, bounded=False)
    assert bounded.seconds <= full.seconds


@pytest.mark.slow
@given(st.integers(1, 10**8), st.sampled_from([4e9, 16e9, 64e9]))
def test_auto_is_the_fewest_nodes(images: int, memory: float) -> None:
    nodes = enough_nodes(COSTS, images, memory)
    assert answers_well(COSTS, images, nodes, memory)
    assert nodes == 1 or not answers_well(COSTS, images, nodes - 1, memory)


@pytest.mark.slow
def test_no_number_of_nodes_helps_a_slow_sift() -> None:
    with pytest.raises(BovwError, match=r"not even .* nodes of 16 GB"):
        enough_nodes(replace(COSTS, describe=1.0), 10, 16e9)


def test_hours_are_shared_but_for_commits() -> None:
    costs = Costs(features=0, describe=3600, commit=0)
    assert hours(costs, 100, jobs=1) == pytest.approx(100)
    assert hours(costs, 100, jobs=4) == pytest.approx(25)
    # Two commits, of 500 images on average: the second one writes the first one's names, too.
    costs = Costs(features=0, describe=0, commit=3600)
    assert hours(costs, 1000, jobs=4) == hours(costs, 1000, jobs=1) == pytest.approx(2 * 500)


def test_the_slowest_of_many_is_as_drawn() -> None:
    rng = np.random.default_rng(0)
    for nodes in (1, 4, 100):
        drawn = np.exp(0.3 * rng.standard_normal((20_000, nodes))).max(axis=1)
        assert straggler(nodes, 0.3) == pytest.approx(float(np.median(drawn)), rel=0.02)


def test_a_tree_reaches_all_nodes() -> None:
    assert [forecast.levels(n) for n in (1, 2, 16, 17, 256, 257)] == [0, 1, 1, 2, 2, 3]


def test_needs_of_a_node_are_those_of_its_share() -> None:
    alone, one_of_ten = needs(COSTS, 100_000, 1, 4), needs(COSTS, 1_000_000, 10, 4)
    assert alone.disk == one_of_ten.disk and alone.hours == one_of_ten.hours
    assert alone.fits(alone.disk + alone.asking) and not alone.fits(alone.disk)


def test_skew_is_that_of_the_shares() -> None:
    assert probe.skew(np.full(100, 1e6)) == pytest.approx(1, abs=1e-4)
    half = np.r_[np.full(50, 2e6), np.zeros(50)]
    assert probe.skew(half) == pytest.approx(2, abs=1e-4)
    # Chance alone does not count as skew, however short the lists are.
    drawn = np.bincount(np.random.default_rng(0).integers(1000, size=5000), minlength=1000)
    assert probe.skew(drawn.astype(np.float64)) == pytest.approx(1, abs=0.05)


def test_an_index_tells_its_own_bytes(index: Index) -> None:
    costs = probe.of_index(index)
    assert costs.features == index.features / len(index)
    assert costs.words == index.meta["words"] and costs.skew > 1
    files = sum(index.bytes().values())
    assert disk(costs, len(index)) - costs.vocabulary_bytes == pytest.approx(files)


def test_skew_says_how_long_the_lists_are_that_queries_look_at(searcher: Searcher) -> None:
    index = searcher.index
    lengths = np.diff(index.segments[0].offsets)
    words = np.repeat(np.arange(len(lengths)), lengths)
    other_postings = lengths[words] - 1
    seen = other_postings.mean() / (lengths.sum() - 1) * len(lengths)
    assert probe.of_index(index).skew == pytest.approx(seen)


def test_pictures_are_measured(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PICTURES", 2)
    costs = probe.measure(find_images([collection.database]))
    assert {"describe", "features"} <= set(costs.yours)
    assert 0 < costs.describe < 5 and 0 < costs.features <= 4000


@pytest.mark.slow
def test_an_index_is_asked(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PICTURES", 2)
    monkeypatch.setattr(probe, "LONG", 0)
    costs = probe.measure([], index)
    asked = {"describe", "assign", "lookup", "posting", "match", "candidate", "expanding"}
    assert asked <= set(costs.yours)
    assert min(costs.assign, costs.lookup, costs.posting, costs.match, costs.candidate) >= 0
    assert costs.features == index.features / len(index)


def plan(*arguments: object, code: int = 0) -> str:
    """Run `bovw plan`; return its answer, or the one line that says why there is none."""
    result = CliRunner().invoke(cli, ["plan", *map(str, arguments)])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output and "unexpected" not in result.output
    return result.stderr.splitlines()[-1].removeprefix("Error: ") if code else result.stdout


def as_json(*arguments: object) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(plan(*arguments, "--format", "json"))
    return content


def test_the_table_has_a_column_for_each_kind() -> None:
    table = plan("--images", 1_000_000, "--nodes", 20, "--memory", 16, "--jobs", 2)
    assert "this machine" in table and "each of 20 nodes" in table
    assert "1,000,000 images of 2,510 features" in table and "yours: nothing" in table
    assert "assumed:" in table
    assert "each of" not in plan("--images", 1000, "--memory", 16)


def test_json_says_what_the_library_says() -> None:
    content = as_json("--images", 10_000_000, "--features", 800, "--memory", 16, "--jobs", 3)
    costs = replace(COSTS, features=800)
    nodes = enough_nodes(costs, 10_000_000, 16e9)
    assert content["spread"]["nodes"] == nodes > 1
    assert content["here"]["disk"] == disk(costs, 10_000_000)
    assert content["spread"]["hours"] == hours(costs, 10_000_000 / nodes, 3)
    assert content["spread"]["fits"] and not content["here"]["fits"]
    assert content["yours"] == ["features"]


def test_a_folder_is_probed(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PICTURES", 1)
    content = as_json("--images", 1000, collection.database)
    assert "describe" in content["yours"]


@pytest.mark.slow
def test_what_cannot_be_planned_says_why(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "empty").mkdir()
    enough = ("--images", 10)
    assert "Missing option '--images'" in plan(code=2)
    assert "0 is not in the range x>=1" in plan("--images", 0, code=2)
    assert "'many' is not a valid integer" in plan("--images", "many", code=2)
    for nonsense in ("0", "-1", "few", "1.5"):
        assert "neither auto nor a number" in plan(*enough, "--nodes", nonsense, code=2)
    assert "is not in the range" in plan(*enough, "--memory", 0, code=2)
    assert "none of the pictures" in plan(*enough, tmp_path, code=1)
    assert "no image in" in plan(*enough, tmp_path / "empty", code=1)
    assert "cannot be read" in plan(*enough, tmp_path / "nowhere", code=2)
    assert "there is no index in" in plan(*enough, "--index", tmp_path, code=1)
    assert "not even 100,000 nodes" in plan("--images", 10**15, code=1)


def test_the_example_of_its_help_runs(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "PICTURES", 1)
    shown = CliRunner().invoke(cli, ["plan", "--help"]).output
    words = shlex.split(shown.partition("Example: bovw plan")[2].splitlines()[0])
    assert plan(*(str(collection.database) if word == "PHOTOS" else word for word in words))
