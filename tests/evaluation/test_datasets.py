"""The data sets: tiny truths of every protocol, written here, and what is refused."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bovw.errors import BovwError, DatasetError
from bovw.evaluation.datasets import CORRUPT_PARIS, Dataset, Judgement, load
from bovw.records import Box


def draw(root: Path, *names: str) -> Path:
    """Put an empty file where each image would be: loading a data set opens none."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def write_text(folder: Path, query: str, good: str, ok: str, junk: str, topic: str) -> None:
    folder.mkdir(exist_ok=True)
    texts = {"query": query, "good": good, "ok": ok, "junk": junk}
    for label, text in texts.items():
        (folder / f"{topic}_{label}.txt").write_text(text.replace(" ", "\n") + "\n")
    (folder / f"{topic}_query.txt").write_text(query + "\n")


def judged(dataset: Dataset, setting: str = "all", query: int = 0) -> Judgement:
    return dataset.queries[query].judgements[setting]


# ---------------------------------------------------------------- Oxford5k and Paris6k

OXFORD = ("keble_000001", "keble_000002", "keble_000003", "oxford_000004", "oxford_000005")


@pytest.fixture
def oxford(tmp_path: Path) -> Path:
    return draw(tmp_path / "images", *(f"{name}.jpg" for name in OXFORD))


def oxford_text(folder: Path) -> Path:
    query = "oxc1_keble_000001 136.5 34.1 648.5 955.7"
    good, ok = "keble_000001 oxford_000004", "keble_000002"
    write_text(folder, query, good, ok, "keble_000003", "keble_1")
    return folder


def oxford_pickle(path: Path) -> Path:
    judged = {"bbx": [136.5, 34.1, 648.5, 955.7], "ok": [0, 1, 3], "junk": [2]}
    content = {"imlist": list(OXFORD), "qimlist": ["keble_000001"], "qidx": [0], "gnd": [judged]}
    path.write_bytes(pickle.dumps(content, protocol=3))
    return path


def test_oxford_from_its_text_files(oxford: Path, tmp_path: Path) -> None:
    dataset = load("oxford5k", oxford, oxford_text(tmp_path / "text"))
    assert dataset.database == tuple(f"{name}.jpg" for name in OXFORD)
    assert (dataset.folder, dataset.settings, dataset.query_mode, dataset.score) == (
        "",
        ("all",),
        "keypoints",
        "map",
    )
    (query,) = dataset.queries
    assert (query.id, query.image, query.group) == ("keble_000001", "keble_000001.jpg", "keble")
    assert query.region == Box(136.5, 34.1, 648.5, 955.7)
    positives = {"keble_000001.jpg", "keble_000002.jpg", "oxford_000004.jpg"}
    assert judged(dataset) == Judgement(frozenset(positives), frozenset({"keble_000003.jpg"}))
    assert query.labels == {
        "keble_000001.jpg": "good",
        "oxford_000004.jpg": "good",
        "keble_000002.jpg": "ok",
        "keble_000003.jpg": "junk",
    }


def test_oxford_from_its_pickle_is_the_same_but_for_what_is_good(
    oxford: Path, tmp_path: Path
) -> None:
    from_text = load("oxford5k", oxford, oxford_text(tmp_path / "text"))
    pickled = load("oxford5k", oxford, oxford_pickle(tmp_path / "any_name.pkl"))
    ok = {name: label.replace("good", "ok") for name, label in from_text.queries[0].labels.items()}
    assert pickled == replace(from_text, queries=(replace(from_text.queries[0], labels=ok),))


@pytest.mark.parametrize("place", ["images", "images/gt", ".", "gt_files_170407", "truth"])
@pytest.mark.parametrize("form", ["text", "pickle"])
def test_the_truth_is_looked_for_beside_the_images(
    oxford: Path, tmp_path: Path, place: str, form: str
) -> None:
    folder = tmp_path / place
    folder.mkdir(exist_ok=True)
    if form == "text":
        oxford_text(folder)
    else:
        oxford_pickle(folder / "gnd_oxford5k.pkl")
    assert len(load("oxford5k", oxford).queries) == 1
    assert load("oxford5k", oxford, folder) == load("oxford5k", oxford)


def test_no_truth_says_where_it_was_looked_for(oxford: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"gnd_oxford5k\.pkl or \*_query\.txt in .*images"):
        load("oxford5k", oxford)
    with pytest.raises(DatasetError, match="nowhere: give the file"):
        load("oxford5k", oxford, tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"looked for gnd_roxford5k\.pkl in"):
        load("roxford5k", oxford)


def test_paris_finds_images_in_folders_and_leaves_out_the_corrupt(tmp_path: Path) -> None:
    corrupt = min(CORRUPT_PARIS)
    names = ("defense/paris_defense_000001.jpg", "general/paris_general_000002.jpg")
    images = draw(tmp_path / "paris", *names, f"louvre/{corrupt}.jpg")
    query = "paris_defense_000001 130.000000 17.000000 843.000000 732.000000"
    write_text(tmp_path / "gt", query, "", "paris_general_000002", "", "defense_1")
    dataset = load("paris6k", images)
    assert len(CORRUPT_PARIS) == 20
    assert dataset.database == names
    assert dataset.queries[0].image == names[0]
    # All positives have general names: no landmark can be told from them.
    assert dataset.queries[0].group == "paris_defense_000001"
    assert judged(dataset) == Judgement(frozenset({names[1]}), frozenset())


def test_an_image_that_is_there_twice_is_refused_where_it_is_judged(
    oxford: Path, tmp_path: Path
) -> None:
    truth = oxford_text(tmp_path / "gt")
    draw(oxford, "more/oxford_000005.png")
    assert len(load("oxford5k", oxford, truth).database) == 6
    draw(oxford, "more/keble_000002.png")
    with pytest.raises(DatasetError, match=r"keble_000002\.jpg and more/keble_000002\.png"):
        load("oxford5k", oxford, truth)


def test_missing_images_are_counted_and_the_first_named(oxford: Path, tmp_path: Path) -> None:
    truth = oxford_text(tmp_path / "gt")
    (oxford / "keble_000003.jpg").unlink()
    with pytest.raises(DatasetError, match=r"^1 of .*\(keble_000003\)"):
        load("oxford5k", oxford, truth)
    for name in OXFORD[:4]:
        (oxford / f"{name}.jpg").unlink(missing_ok=True)
    with pytest.raises(DatasetError, match=r"^4 .*\(keble_000001, .*, keble_000003, \.\.\.\)"):
        load("oxford5k", oxford, truth)


@pytest.mark.parametrize(
    "line",
    ["", "keble_000001", "keble_000001 1 2 3", "keble_000001 1 2 3 x", "keble_000001 9 2 3 4"],
)
def test_malformed_query_text(oxford: Path, tmp_path: Path, line: str) -> None:
    oxford_text(tmp_path / "gt")
    (tmp_path / "gt" / "keble_1_query.txt").write_text(line)
    with pytest.raises(DatasetError, match=r"keble_1_query\.txt should hold .* x1 y1 x2 y2"):
        load("oxford5k", oxford)


def test_missing_text_file_and_text_that_is_no_text(oxford: Path, tmp_path: Path) -> None:
    file = oxford_text(tmp_path / "gt") / "keble_1_ok.txt"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match=r"keble_1_ok\.txt cannot be read"):
        load("oxford5k", oxford)
    file.unlink()
    with pytest.raises(DatasetError, match=r"keble_1_ok\.txt cannot be read"):
        load("oxford5k", oxford)


# ---------------------------------------------------------------- pickles


class Malicious:
    """Makes a folder when it is unpickled without care."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_malicious_pickle_is_refused_and_not_run(
    oxford: Path, tmp_path: Path, protocol: int
) -> None:
    made, file = tmp_path / "made", tmp_path / "gnd_oxford5k.pkl"
    content = {"imlist": [], "qimlist": [], "gnd": Malicious(made)}
    file.write_bytes(pickle.dumps(content, protocol=protocol))
    with pytest.raises(DatasetError, match=r"asks for \w+\.mkdir, which was not run") as caught:
        load("oxford5k", oxford)
    assert "\n" not in str(caught.value)
    assert not made.exists()
    pickle.loads(file.read_bytes())
    assert made.exists(), "the file of this test is not malicious, so that it proves nothing"


RECORD = {"bbx": [1, 2, 3, 4], "ok": [0], "junk": []}
CONTENT: dict[str, Any] = {"imlist": ["keble_000001"], "qimlist": ["keble_000001"], "gnd": [RECORD]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        pickle.dumps(CONTENT)[:-5],
        pickle.dumps([1, 2, 3]),
        pickle.dumps({}),
        pickle.dumps(CONTENT | {"imlist": "keble_000001"}),
        pickle.dumps(CONTENT | {"qimlist": [1]}),
        pickle.dumps(CONTENT | {"gnd": []}),
        pickle.dumps(CONTENT | {"gnd": [7]}),
        pickle.dumps(CONTENT | {"gnd": [{"bbx": [1, 2, 3, 4], "easy": [0], "hard": []}]}),
        pickle.dumps(CONTENT | {"gnd": [RECORD | {"ok": [1]}]}),
        pickle.dumps(CONTENT | {"gnd": [RECORD | {"ok": [-1]}]}),
        pickle.dumps(CONTENT | {"gnd": [RECORD | {"ok": [[0]]}]}),
        pickle.dumps(CONTENT | {"gnd": [RECORD | {"bbx": [1, 2, 3]}]}),
        pickle.dumps(CONTENT | {"gnd": [RECORD | {"bbx": [1, 2, 3, "4"]}]}),
    ],
)
def test_pickles_that_are_no_truth(oxford: Path, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "gnd_oxford5k.pkl"
    file.write_bytes(content)
    with pytest.raises(DatasetError, match=r"gnd_oxford5k\.pkl is not .* give the official"):
        load("oxford5k", oxford)


# ---------------------------------------------------------------- ROxford5k and RParis6k


def revisited(tmp_path: Path) -> Dataset:
    names = [f"keble_{number:06}" for number in range(5)]
    images = draw(tmp_path / "jpg", *(f"{name}.jpg" for name in [*names, "keble_000100"]))
    draw(images, "oxford_000101.jpg", "oxford_not_listed.jpg")
    box = [1, 2, 30, 40.5]
    judged = [
        {"bbx": box, "easy": [0], "hard": [1, 2], "junk": [3]},
        {"bbx": box, "easy": [], "hard": [4], "junk": []},
    ]
    queries = ["keble_000100", "oxford_000101"]
    content = {"imlist": names, "qimlist": queries, "gnd": judged}
    (tmp_path / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(content))
    return load("roxford5k", images)


def test_revisited_queries_are_not_in_the_database(tmp_path: Path) -> None:
    dataset = revisited(tmp_path)
    assert dataset.database == tuple(f"keble_{number:06}.jpg" for number in range(5))
    assert [query.image for query in dataset.queries] == ["keble_000100.jpg", "oxford_000101.jpg"]
    assert [query.group for query in dataset.queries] == ["keble", "keble"]
    assert (dataset.query_mode, dataset.queries[0].region) == ("crop", Box(1, 2, 30, 40.5))


@pytest.mark.parametrize(
    ("setting", "positives", "junk"),
    [("easy", [0], [1, 2, 3]), ("medium", [0, 1, 2], [3]), ("hard", [1, 2], [0, 3])],
)
def test_revisited_settings(
    tmp_path: Path, setting: str, positives: list[int], junk: list[int]
) -> None:
    dataset = revisited(tmp_path)
    assert dataset.settings == ("easy", "medium", "hard")
    expected = [frozenset(f"keble_{i:06}.jpg" for i in side) for side in (positives, junk)]
    assert judged(dataset, setting) == Judgement(*expected)


def test_a_revisited_query_without_positives_stays(tmp_path: Path) -> None:
    dataset = revisited(tmp_path)
    assert judged(dataset, "easy", 1).positives == frozenset()
    assert judged(dataset, "hard", 1).positives == {"keble_000004.jpg"}


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
