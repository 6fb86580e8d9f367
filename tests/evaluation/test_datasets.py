"""Data sets by their names or with a truth of one's own, and those that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bovw.errors import BovwError, DatasetError
from bovw.evaluation.datasets import Judgement, load
from bovw.records import Box
from tests.evaluation.drawing import draw, judged

# ---------------------------------------------------------------- Holidays and UKBench


def test_holidays(tmp_path: Path) -> None:
    names = ["jpg1/100000.jpg", "jpg1/100001.jpg", "jpg2/100100.jpg", "jpg2/100101.jpg"]
    dataset = load("holidays", draw(tmp_path, *names, "readme.jpg"))
    assert dataset.database == tuple(names)
    assert [query.image for query in dataset.queries] == [names[0], names[2]]
    assert [query.group for query in dataset.queries] == ["100000", "100100"]
    assert judged(dataset) == Judgement(frozenset({names[1]}), frozenset({names[0]}))


def test_holidays_without_a_query_image(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"1 of .*\(100100\)"):
        load("holidays", draw(tmp_path, "100000.jpg", "100001.jpg", "100101.jpg"))


def test_ukbench(tmp_path: Path) -> None:
    names = [f"full/ukbench{number:05}.jpg" for number in range(8)]
    dataset = load("ukbench", draw(tmp_path, *names))
    assert dataset.score == "ukbench"
    assert [query.image for query in dataset.queries] == names == list(dataset.database)
    assert [query.id for query in dataset.queries][:2] == ["ukbench00000", "ukbench00001"]
    assert len({query.group for query in dataset.queries}) == 2
    assert judged(dataset, query=5) == Judgement(frozenset(names[4:]), frozenset())


def test_ukbench_with_a_group_of_three(tmp_path: Path) -> None:
    names = [f"ukbench{number:05}.jpg" for number in range(7)]
    with pytest.raises(DatasetError, match=r"1 of .*\(ukbench00007\)"):
        load("ukbench", draw(tmp_path, *names))


# ---------------------------------------------------------------- one's own collection

OWN: dict[str, Any] = {
    "name": "mine",
    "note": "two of a kind",
    "db_root": "db",
    "db": ["a.jpg", "sub/b.jpg", "c.jpg"],
    "queries": [
        {
            "id": "first",
            "image": "asked/q.jpg",
            "bbox": [1, 2, 30, 40],
            "positives": ["a.jpg"],
            "junk": ["sub/b.jpg"],
        },
        {"id": "second", "image": "db/c.jpg", "bbox": None, "positives": ["c.jpg"], "junk": []},
    ],
}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return draw(tmp_path / "root", "db/a.jpg", "db/sub/b.jpg", "db/c.jpg", "asked/q.jpg")


def write_json(tmp_path: Path, content: Any) -> str:
    path = tmp_path / "own.json"
    path.write_text(json.dumps(content))
    return str(path)


def with_query(**changes: Any) -> dict[str, Any]:
    first, second = OWN["queries"]
    return OWN | {"queries": [first | changes, second]}


def test_json(own: Path, tmp_path: Path) -> None:
    dataset = load(write_json(tmp_path, OWN | {"licence": "none"}), own)
    assert (dataset.name, dataset.note, dataset.folder) == ("mine", "two of a kind", "db")
    assert dataset.database == ("a.jpg", "sub/b.jpg", "c.jpg")
    first, second = dataset.queries
    assert (first.id, first.image, first.group) == ("first", "asked/q.jpg", "first")
    assert (first.region, second.region) == (Box(1, 2, 30, 40), None)
    assert judged(dataset) == Judgement(frozenset({"a.jpg"}), frozenset({"sub/b.jpg"}))


def test_json_with_a_group_and_without_what_may_be_left_out(own: Path, tmp_path: Path) -> None:
    query = {"id": "q", "image": "asked/q.jpg", "positives": ["db/a.jpg"], "group": "church"}
    dataset = load(write_json(tmp_path, {"db": ["db/a.jpg"], "queries": [query]}), own)
    assert (dataset.name, dataset.folder, dataset.note) == ("own", "", "")
    assert dataset.queries[0].group == "church"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([], "'db' is missing"),
        (OWN | {"db": "a.jpg"}, "'db' is missing or is not a list"),
        (OWN | {"db": ["a.jpg", 3]}, "'db' has a name that is not a string"),
        (OWN | {"db": [*OWN["db"], "a.jpg"]}, "'db' has 'a.jpg' twice"),
        (OWN | {"queries": [3]}, "'id' is missing"),
        (OWN | {"name": 3}, "'name' is missing or is not a str"),
        (with_query(id="second"), "two queries have the id 'second'"),
        (with_query(image=None), "query 'first': 'image' is missing"),
        (with_query(positives=["d.jpg"]), "query 'first': 'd.jpg' is not in 'db'"),
        (with_query(junk=["d.jpg"]), "query 'first': 'd.jpg' is not in 'db'"),
        (with_query(junk=["a.jpg"]), "query 'first': 'a.jpg' is positive and junk"),
        (with_query(bbox=[1, 2, 3]), "query 'first': the region"),
        (with_query(bbox=[1, 2, 3, "4"]), "query 'first': the region"),
        (with_query(bbox=[1, 2, 1, 4]), "query 'first': the region"),
        (with_query(bbox=[1, 2, 3, 10**400]), "own.json is not a usable"),
        (with_query(bbox=[1, 2, 3, float("nan")]), "query 'first': the region"),
        (with_query(bbox="all"), "query 'first': 'bbox' is"),
    ],
)
def test_malformed_json(own: Path, tmp_path: Path, content: Any, reason: str) -> None:
    with pytest.raises(DatasetError) as caught:
        load(write_json(tmp_path, content), own)
    message = str(caught.value)
    assert reason in message
    assert "own.json" in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"db": [', "\x00"])
def test_text_that_is_not_json(own: Path, tmp_path: Path, text: str) -> None:
    path = tmp_path / "own.json"
    path.write_text(text)
    with pytest.raises(DatasetError, match=r"own\.json is not a usable truth file"):
        load(str(path), own)
    path.unlink()
    with pytest.raises(DatasetError, match=r"own\.json is not a usable truth file"):
        load(str(path), own)


def test_json_with_images_that_are_not_there(own: Path, tmp_path: Path) -> None:
    truth = write_json(tmp_path, OWN)
    (own / "asked/q.jpg").unlink()
    (own / "db/a.jpg").unlink()
    with pytest.raises(DatasetError, match=r"^2 of .*\(asked/q\.jpg, db/a\.jpg\)"):
        load(truth, own)


# ---------------------------------------------------------------- any of them


def test_unknown_names_and_folders(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"called oxford6k: give oxford5k, .* or a \.json"):
        load("oxford6k", tmp_path)
    with pytest.raises(DatasetError, match="nowhere is not a folder"):
        load("oxford5k", tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["holidays", "ukbench"])
def test_folders_without_the_images(tmp_path: Path, name: str) -> None:
    with pytest.raises(BovwError, match="no image in"):
        load(name, tmp_path)
    with pytest.raises(DatasetError, match="has no queries"):
        load(name, draw(tmp_path, "holiday.jpg"))


def test_a_json_without_queries(own: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="has no queries"):
        load(write_json(tmp_path, OWN | {"queries": []}), own)
