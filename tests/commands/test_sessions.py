"""The command line, as a user types it: what it prints where, and what it exits with."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import pytest

import bovw.demo.scenes
from bovw.demo.scenes import Collection, write_collection
from tests.commands.running import FEW, ONE_JOB, failure, run

pytestmark = pytest.mark.slow


@pytest.mark.slow
def test_short_forms_make_a_session(
    small: Collection, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("build-vocab", small.database, "--words", 100, *FEW)
    assert result.stdout == "" and "100 words written to bovw-vocab" in result.stderr
    result = run("index", small.database, *FEW)
    assert result.stdout == "" and "using the 100 words of bovw-vocab" in result.stderr
    result = run("query", image, "--topk", 3)
    assert result.stderr == ""
    assert (
        result.stdout.splitlines()[2].endswith("  scene_01/view_0.jpg")
        or "view_1" in (result.stdout.splitlines()[2])
    )
    result = run("eval", small.truth, "--images", small.root)
    assert "using the index in bovw-index" in result.stderr
    assert "mAP  " in result.stdout and not result.stdout.endswith("\n\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bovw-index", "bovw-vocab"]


@pytest.mark.slow
def test_without_a_vocabulary_one_is_trained_and_kept_in_the_index(
    small: Collection, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("index", small.database, *FEW)
    assert result.stdout == "" and "training one on these images" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bovw-index"]
    assert "scene_01" in run("query", image, "--format", "paths", "--topk", 1).stdout


@pytest.mark.slow
def test_environment_names_the_folders(small: Collection, image: Path, tmp_path: Path) -> None:
    env = {"BOVW_VOCAB": str(tmp_path / "v"), "BOVW_INDEX": str(tmp_path / "i")}
    run("build-vocab", small.database, "--words", 50, *FEW, env=env)
    result = run("index", small.database, *FEW, env=env)
    assert "using the 50 words" in result.stderr
    lines = run("query", image, "--format", "paths", env={**env, "BOVW_QUERY_TOPK": "3"}).stdout
    assert len(lines.splitlines()) == 3
    result = run("eval", small.truth, "--images", small.root, env=env)
    assert f"using the index in {tmp_path / 'i'}" in result.stderr


def test_environment_gives_options(built: Path, image: Path) -> None:
    env = {
        "BOVW_INDEX": str(built),
        "BOVW_QUERY_TOPK": "2",
        "BOVW_QUERY_FORMAT": "json",
        "BOVW_QUERY_NO_RERANK": "1",
        "BOVW_QUERY_REGION": "50,50,250,200",
    }
    (answer,) = json.loads(run("query", image, env=env).stdout)
    assert [hit["inliers"] for hit in answer["hits"]] == [0, 0]
    answer_for_one = run("query", image, "--topk", 1, env=env).stdout
    assert len(json.loads(answer_for_one)[0]["hits"]) == 1, "what is typed comes first"


def test_environment_is_checked_as_what_is_typed(built: Path, image: Path) -> None:
    env = {"BOVW_QUERY_TOPK": "many"}
    assert "'many'" in failure("query", image, "--index", built, code=2, env=env)


def test_excluded_images_are_left_out(small: Collection, vocab: Path, tmp_path: Path) -> None:
    options = ("--index", tmp_path / "i", "--vocab", vocab, "--exclude", "distractors", *FEW)
    run("index", small.database, *options, "--exclude", "*_1.jpg")
    assert json.loads(run("info", tmp_path / "i", "--format", "json").stdout)["images"] == 3


def test_two_folders_make_one_index(small: Collection, vocab: Path, tmp_path: Path) -> None:
    folders = (small.database / "scene_00", small.database / "distractors")
    run("index", *folders, "--index", tmp_path / "i", "--vocab", vocab, *FEW)
    image = small.root / small.queries[0].name
    lines = run("query", image, "--index", tmp_path / "i", "--format", "paths").stdout.splitlines()
    expected = {folders[0] / "view_0.jpg", folders[0] / "view_1.jpg"}
    expected |= {folders[1] / "00.jpg", folders[1] / "01.jpg"}
    assert {Path(line) for line in lines} == expected


def test_two_folders_with_one_name_are_told_apart(small: Collection, tmp_path: Path) -> None:
    folders = (small.database / "scene_00", small.database / "scene_01")
    message = failure("index", *folders, "--index", tmp_path / "i", code=2)
    assert "view_0.jpg" in message and str(small.database) in message


@pytest.mark.slow
def test_jobs_do_not_change_an_index(small: Collection, built: Path, tmp_path: Path) -> None:
    vocabulary = next(built.glob("vocabulary-*"))
    options = ("--vocab", vocabulary, *FEW[:-1], 2)
    run("index", small.database, "--index", tmp_path / "i", *options)
    contents = [
        json.loads(run("info", folder, "--format", "json").stdout)
        for folder in (built, tmp_path / "i")
    ]
    assert contents[0] == contents[1]
    for name in contents[0]["files"]:
        if name.endswith(".npy"):
            assert (built / name).read_bytes() == (tmp_path / "i" / name).read_bytes()


@pytest.mark.slow
def test_quiet_says_nothing(small: Collection, image: Path, tmp_path: Path) -> None:
    vocab, index = tmp_path / "v", tmp_path / "i"
    words = ("--words", 50)
    for arguments in (
        ("build-vocab", small.database, "--out", vocab, *words, *FEW),
        ("index", small.database, "--index", index, "--vocab", vocab, *FEW),
        ("query", image, "--index", index),
        ("eval", small.truth, "--images", small.root, "--index", index),
    ):
        assert run(*arguments, "--quiet").stderr == ""


@pytest.mark.slow
def test_demo_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = partial(write_collection, scenes=4, views=1, distractors=1)
    monkeypatch.setattr(bovw.demo.scenes, "write_collection", fewer)
    monkeypatch.chdir(tmp_path)
    env = {f"BOVW_{command}_JOBS": "1" for command in ("BUILD_VOCAB", "INDEX", "EVAL")}
    # What somebody uses otherwise does not disturb it.
    env |= {"BOVW_VOCAB": str(tmp_path / "v"), "BOVW_INDEX": str(tmp_path / "i")}
    result = run("demo", env=env)
    shown = [line.split()[2] for line in result.stdout.splitlines() if line.startswith("$ bovw")]
    assert shown == ["build-vocab", "index", "query", "eval"]
    assert "scene_03/view_" in result.stdout and "mAP  1.0000" in result.stdout
    assert "bovw index YOUR_PHOTOS" in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["bovw-demo"]


@pytest.mark.slow
def test_files_of_other_kinds_are_counted(small: Collection, vocab: Path, tmp_path: Path) -> None:
    shutil.copytree(small.database, tmp_path / "db")
    for name in ("a.heic", "B.HEIC", "notes.txt", "no suffix"):
        (tmp_path / "db" / name).write_bytes(b"?")
    arguments = ("index", tmp_path / "db", "--vocab", vocab, "--index", tmp_path / "index")
    said = run(*arguments).stderr
    assert (
        "ignored files of other types: 2 .heic, " in said
        and "1 .txt" in said
        and "1 without a suffix" in said
    )
    assert "ignored files" not in run(*arguments, "--quiet").stderr


def test_one_image_in_the_collection_is_found(small: Collection, tmp_path: Path) -> None:
    db = small.database / "scene_00"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        run("index", db, "--exclude", "view_1.jpg", *FEW)
        image = small.root / small.queries[0].name
        (hit,) = json.loads(run("query", image, "--format", "json").stdout)[0]["hits"]
        (plain,) = json.loads(run("query", image, "--no-rerank", "--format", "json").stdout)[0][
            "hits"
        ]
    assert hit["inliers"] > 10
    assert plain["score"] > 0


@pytest.mark.slow
def test_linking_says_how_many_have_neighbours(
    small: Collection, built: Path, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    shutil.copytree(built, index)
    result = run("link", "--index", index, *ONE_JOB)
    assert result.stdout == "" and " images have neighbours" in result.stderr
    arguments = ("eval", small.truth, "--images", small.root, "--index", index)
    assert "+ neighbours (bovw link)" in run(*arguments, "--ablation").stdout
    failure("link", "--index", tmp_path / "none")
