"""Oxford5k, Paris6k and their revisited truths: what is judged how, from which files."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from bovw.errors import DatasetError
from bovw.evaluation.datasets import CORRUPT_PARIS, Dataset, Judgement, load
from bovw.records import Box
from tests.evaluation.drawing import OXFORD, draw, judged, write_text

# ---------------------------------------------------------------- Oxford5k and Paris6k


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
