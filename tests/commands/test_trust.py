"""How sure an answer is: what `bovw query` says of it, `bovw calibrate` and `bovw explain`."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from bovw.demo.scenes import Collection
from bovw.index import Index
from tests.commands.running import FEW, ONE_JOB, failure, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that shows nothing of the index."""
    path = tmp_path_factory.mktemp("other") / "other.png"
    noise = np.random.default_rng(5).integers(0, 256, (60, 80), np.uint8)
    cv2.imwrite(str(path), cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC))
    return path


# Queries


def test_a_table_says_what_is_found(built: Path, image: Path) -> None:
    head, titles, *rows, last = run("query", image, "--index", built).stdout.splitlines()
    assert head == str(image)
    assert titles.split() == ["rank", "match", "probability", "false", "alarms", "inliers", "name"]
    words = [row.split()[1] for row in rows]
    assert words[:2] == ["sure", "sure"]
    assert set(words) <= {"sure", "likely", "look", "-"}
    assert words == sorted(words, key=["sure", "likely", "look", "-"].index)
    found = sum(word in ("sure", "likely") for word in words)
    assert last == f"found: {found} images"
    one = run("query", image, "--index", built, "--topk", 1).stdout
    assert one.splitlines()[-1] == "found: 1 image"


def test_a_table_says_that_nothing_is_found(built: Path, other: Path) -> None:
    *_, last = run("query", other, "--index", built).stdout.splitlines()
    assert last.startswith("not found: nothing here agrees with it")
    without = run("query", other, "--index", built, "--no-rerank").stdout.splitlines()
    assert without[-1] == "not found: nothing here agrees with it"


def test_the_exit_code_tells_whether_anything_is_found(
    built: Path, image: Path, other: Path
) -> None:
    asked = ("--index", built, "--exit-code", "--format", "paths")
    assert run("query", image, *asked).stdout
    # A table or a list of paths is printed all the same, and no error.
    assert code_of("query", other, *asked) == (4, 8)
    assert code_of("query", other, image, *asked) == (0, 16)
    assert code_of("query", other, *asked, "--verified") == (4, 0)
    assert code_of("query", other, "--index", built, "--format", "paths") == (0, 8)


def code_of(*arguments: object) -> tuple[int, int]:
    """Return the exit code and the number of lines of a command that says nothing of an error."""
    from click.testing import CliRunner

    from bovw.cli import cli

    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert "Error" not in result.output
    return result.exit_code, len(result.stdout.splitlines())


@pytest.mark.parametrize("rate", ["0", "2", "-1", "many", "nan"])
def test_a_rate_that_is_none_is_wrong_usage(rate: str, built: Path, image: Path) -> None:
    message = failure("query", image, "--index", built, "--max-false-alarms", rate, code=2)
    assert "--max-false-alarms" in message


def test_only_confirmed_hits(built: Path, image: Path, other: Path) -> None:
    asked = ("--index", built, "--format", "json", "--verified")
    (answer,) = json.loads(run("query", image, *asked).stdout)
    assert len(answer["hits"]) >= 2 and all(hit["confirmed"] for hit in answer["hits"])
    assert json.loads(run("query", other, *asked).stdout)[0]["hits"] == []


def test_more_false_alarms_confirm_more(built: Path, image: Path) -> None:
    counts = []
    for rate in (1e-300, 1e-6, 0.01, 1):
        asked = ("--index", built, "--format", "json", "--max-false-alarms", rate)
        hits = json.loads(run("query", image, *asked).stdout)[0]["hits"]
        for hit in hits:
            alarms = hit["false_alarms"]
            assert hit["confirmed"] == (alarms is not None and alarms <= rate)
        counts.append(sum(hit["confirmed"] for hit in hits))
    assert counts == sorted(counts) and counts[0] == 0 and counts[2] >= 2


def test_json_and_csv_say_how_sure_it_is(built: Path, image: Path) -> None:
    asked = ("query", image, "--index", built, "--format")
    hits = json.loads(run(*asked, "json").stdout)[0]["hits"]
    rows = list(csv.DictReader(io.StringIO(run(*asked, "csv").stdout)))
    assert len(hits) == len(rows) == 8
    for hit, row in zip(hits, rows, strict=True):
        assert float(row["probability"]) == hit["probability"]
        assert row["confirmed"] == str(int(hit["confirmed"]))
        assert row["false_alarms"] == ("" if hit["false_alarms"] is None else row["false_alarms"])
        assert 0 <= hit["probability"] <= 1
        assert (hit["false_alarms"] is None) == (hit["transform"] is None)
    assert hits[0]["probability"] > 0.99 and hits[0]["false_alarms"] < 1e-6


def test_a_query_with_few_features_is_answered(built: Path, tmp_path: Path) -> None:
    pixels = np.full((120, 120), 128, np.uint8)
    for x, y in ((30, 30), (80, 40), (50, 90)):
        cv2.circle(pixels, (x, y), 6, 255, -1)
    cv2.imwrite(str(tmp_path / "dots.png"), cv2.GaussianBlur(pixels, (0, 0), 2))
    hits = json.loads(
        run("query", tmp_path / "dots.png", "--index", built, "--format", "json").stdout
    )[0]["hits"]
    assert len(hits) == 8 and not any(hit["confirmed"] for hit in hits)
    run("explain", tmp_path / "dots.png", hits[0]["name"], "--index", built)


# Calibration


def test_an_index_is_calibrated_when_asked(copied: Path) -> None:
    said = run("calibrate", copied, "--sample", 5, *ONE_JOB).stderr
    assert said.startswith("calibrated with ") and "mirrored images: chance gives" in said
    decoys = Index.open(copied).decoys
    assert decoys is not None and decoys.asked <= 5 and decoys.images == 8
    assert run("calibrate", copied, "--sample", 5, "-q", *ONE_JOB).output == ""
    content = json.loads(run("info", copied, "--format", "json").stdout)["calibrated"]
    assert (content["decoys"], content["images"]) == (decoys.asked, 8)
    assert f"{content['factor']:.2f} of the usual, by {decoys.asked} decoys" in (
        run("info", copied).stdout
    )
    assert "is whole" in run("check", "--index", copied).stderr
    failure("calibrate", copied, "--sample", 0, code=2)


def test_what_is_gone_is_told(copied: Path, small: Collection, tmp_path: Path) -> None:
    photos = Path(shutil.copytree(small.database, tmp_path / "photos"))
    index = tmp_path / "index"
    run("index", photos, "--index", index, "--vocab", next(copied.glob("vocabulary-*")), *FEW)
    (photos / "scene_00" / "view_0.jpg").unlink()
    result = run("calibrate", index, *ONE_JOB, code=3)
    assert "skipped scene_00/view_0.jpg: " in result.stderr


def test_no_index_is_told(tmp_path: Path) -> None:
    assert "there is no index" in failure("calibrate", tmp_path / "nothing")


def test_a_new_index_is_calibrated_and_again_at_twice_its_size(
    small: Collection, vocab: Path, tmp_path: Path
) -> None:
    photos, index = tmp_path / "photos", tmp_path / "index"
    photos.mkdir()
    pictures = sorted(small.database.rglob("*.jpg"))
    said = []
    for count in (2, 3, 3, 4, 7):
        for number, picture in enumerate(pictures[:count]):
            shutil.copy2(picture, photos / f"{number}.jpg")
        new = () if index.exists() else ("--vocab", vocab, *FEW)
        result = run("index", photos, "--index", index, *ONE_JOB, *new)
        decoys = Index.open(index).decoys
        assert decoys is not None
        said.append(("calibrated with" in result.stderr, decoys.images))
    assert said == [(True, 2), (False, 2), (False, 2), (True, 4), (False, 4)]


def test_info_tells_that_an_index_was_never_calibrated(index_folder: Path) -> None:
    assert json.loads(run("info", index_folder, "--format", "json").stdout)["calibrated"] is None
    assert "never measured: see `bovw calibrate`" in run("info", index_folder).stdout


# Explanations


def test_a_match_is_explained(built: Path, image: Path, tmp_path: Path) -> None:
    name, out = "scene_01/view_0.jpg", tmp_path / "why.png"
    asked = ("explain", image, name, "--index", built)
    first, *rows = run(*asked, "--out", out).stdout.splitlines()
    assert first.startswith(f"{image} and {name}: a match: ")
    assert len(rows) == 9 and all(row.startswith("  ") for row in rows)
    assert out.read_bytes().startswith(b"\x89PNG\r\n") and cv2.imread(str(out)) is not None
    content = json.loads(run(*asked, "--format", "json").stdout)
    hits = json.loads(run("query", image, "--index", built, "--format", "json").stdout)[0]["hits"]
    (hit,) = (hit for hit in hits if hit["name"] == name)
    # It takes the decision that a query takes.
    for key in ("probability", "false_alarms", "confirmed", "transform"):
        assert content[key] == hit[key]
    assert content["evidence"]["inliers"] == hit["inliers"] == len(content["points"])
    assert content["needed"] <= content["evidence"]["effective"]


def test_no_match_is_explained(built: Path, other: Path, tmp_path: Path) -> None:
    for row in run("list", "--index", built).stdout.splitlines():
        asked = ("explain", other, row, "--index", built)
        first = run(*asked, "--out", tmp_path / "none.png").stdout.splitlines()[0]
        assert first.startswith(f"{other} and {row}: no match: ")
        content = json.loads(run(*asked, "--format", "json").stdout)
        assert not content["confirmed"] and content["probability"] < 0.9
        assert content["reason"] in first
    assert (tmp_path / "none.png").is_file()


@pytest.mark.parametrize("rerank", [0, 1])
def test_an_image_that_is_not_verified_is_explained(rerank: int, built: Path, image: Path) -> None:
    asked = ("query", image, "--index", built, "--format", "json", "--rerank", rerank)
    names = [hit["name"] for hit in json.loads(run(*asked).stdout)[0]["hits"]]
    for name in ("scene_01/view_0.jpg", names[-1]):
        content = json.loads(
            run("explain", image, name, "--index", built, "--rerank", rerank, "--format", "json")
            .stdout
        )  # fmt: skip
        assert content["verified"] == rerank
        if content["rank"] > rerank:
            assert not content["confirmed"]
            assert content["reason"].startswith(("not looked at: ", "no match: "))


def test_an_unknown_name_is_one_line(built: Path, image: Path) -> None:
    message = failure("explain", image, "nothing.jpg", "--index", built)
    assert message == f"{built} has no nothing.jpg: see `bovw list`"


def test_a_picture_that_cannot_be_drawn_to_is_refused(built: Path, image: Path) -> None:
    asked = ("explain", image, "scene_01/view_0.jpg", "--index", built)
    assert "does not end in .png" in failure(*asked, "--out", image, code=2)
