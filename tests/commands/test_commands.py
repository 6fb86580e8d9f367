"""The command line, as a user types it: what it prints where, and what it exits with."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path

import click
import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

import bovw.demo.scenes
from bovw import __version__
from bovw.cli import cli
from bovw.demo.scenes import Collection, write_collection
from bovw.index import Index, IndexWriter
from bovw.index.catalog import FORMAT

ONE_JOB = ("--jobs", "1")
# Small pictures and few of their features keep the tests quick.
FEW = ("--max-features", "400", *ONE_JOB)
ODD_NAMES = (
    b"plain.jpg",
    b"with space/two  spaces.jpg",
    b"quo'te\".jpg",
    b"comma,semi;colon.jpg",
    b"new\nline.jpg",
    b"carriage\rreturn.jpg",
    "ünï/日本.jpg".encode(),
    b"not utf-8 \xff\xfe.jpg",
)
BROKEN = b'broken\n"\xff.jpg'


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in list(os.environ):
        if name.startswith(("BOVW_", "_BOVW_")):
            monkeypatch.delenv(name)


def run(*arguments: object, code: int = 0, env: dict[str, str] | None = None) -> Result:
    """Run the command line in this process; it must exit with `code` and without a traceback."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], env=env)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output and "unexpected" not in result.output
    if code in (0, 3):
        assert "Error" not in result.stderr
    else:
        assert result.stderr.splitlines()[-1].startswith("Error: ")
    return result


def failure(*arguments: object, code: int = 1, env: dict[str, str] | None = None) -> str:
    """Return the message of a command that fails: one line, the only output for exit code 1."""
    result = run(*arguments, code=code, env=env)
    assert result.stdout == ""
    return result.stderr.splitlines()[-1].removeprefix("Error: ")


def typed(
    *arguments: str | bytes, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run `bovw` as a process of its own."""
    command = [sys.executable, "-m", "bovw", *arguments]
    full = {**os.environ, **(env or {})}
    return subprocess.run(command, capture_output=True, env=full, cwd=cwd, timeout=120, check=False)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Write a collection whose pictures are reduced to 320 by 240 pixels."""
    made = write_collection(tmp_path_factory.mktemp("small"), scenes=3, views=2, distractors=2)
    for path in made.root.rglob("*.jpg"):
        pixels = cv2.resize(cv2.imread(str(path)), (320, 240), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(path), pixels)
    content = json.loads(made.truth.read_text(encoding="utf-8"))
    for query in content["queries"]:
        query["bbox"] = query["bbox"] and [corner / 2 for corner in query["bbox"]]
    made.truth.write_text(json.dumps(content), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def vocab(small: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "vocab"
    run("build-vocab", small.database, "--out", folder, "--words", 100, *FEW)
    return folder


@pytest.fixture(scope="module")
def built(small: Collection, vocab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "index"
    run("index", small.database, "--index", folder, "--vocab", vocab, *FEW)
    return folder


@pytest.fixture(scope="module")
def odd(small: Collection, vocab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index images with odd names, one of them unusable; the index lies beside the images."""
    folder = tmp_path_factory.mktemp("odd")
    photos = sorted(small.database.rglob("*.jpg"))
    for raw, photo in zip(ODD_NAMES, photos, strict=True):
        path = folder / "db" / os.fsdecode(raw)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copy(photo, path)
        except OSError:
            pytest.skip("this file system takes no such names")
    (folder / "db" / os.fsdecode(BROKEN)).touch()
    run("index", folder / "db", "--index", folder / "index", "--vocab", vocab, *FEW, code=3)
    return folder


@pytest.fixture
def image(small: Collection) -> Path:
    return small.root / small.queries[1].name


# Help


OPTIONS = [
    pytest.param(option, id=f"{name} {option.opts[0]}")
    for name, command in cli.commands.items()
    for option in command.params
    if isinstance(option, click.Option)
]


def test_the_commands_are_those_promised() -> None:
    assert set(cli.commands) == {
        "build-vocab", "index", "add", "remove", "list", "check", "merge", "export", "import",
        "link", "query", "eval", "info", "matches", "serve", "demo", "plan", "shard",
    }  # fmt: skip


@pytest.mark.parametrize("name", cli.commands)
def test_help_has_an_example_that_parses(name: str) -> None:
    text = run(name, "--help").stdout
    (example,) = (line for line in text.splitlines() if line.strip().startswith("Example:"))
    program, called, *arguments = shlex.split(example.split(":", 1)[1])
    assert (program, called) == ("bovw", name)
    cli.commands[name].make_context(name, arguments)


@pytest.mark.parametrize("option", OPTIONS)
def test_option_has_help(option: click.Option) -> None:
    assert option.help


@pytest.mark.parametrize("option", OPTIONS)
def test_option_can_be_given_by_environment(option: click.Option) -> None:
    """BOVW_COMMAND_OPTION is made of the option as it is typed."""
    (flag,) = (opt for opt in option.opts if opt.startswith("--"))
    assert option.name == flag.removeprefix("--").replace("-", "_")


def test_help_of_the_group_keeps_its_lines() -> None:
    for arguments in (["--help"], ["-h"]):
        text = run(*arguments).stdout
        assert "\\b" not in text
        assert "  bovw index PHOTOS " in text
        for name in cli.commands:
            assert f"  {name} " in text


def test_version() -> None:
    result = CliRunner().invoke(cli, "--version", prog_name="bovw")
    assert (result.exit_code, result.stdout) == (0, f"bovw {__version__}\n")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from bovw.cli import cli\n"
        "cli(['--help'], prog_name='bovw', standalone_mode=False)\n"
        "heavy = {'cv2', 'scipy', 'sklearn', 'numba', 'numpy', 'PIL', 'joblib'}\n"
        "print('imported:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: bovw")
    assert done.stdout.endswith("imported: []\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion_is_printed(shell: str) -> None:
    env = {"_BOVW_COMPLETE": f"{shell}_source"}
    result = CliRunner().invoke(cli, prog_name="bovw", env=env)
    assert "_BOVW_COMPLETE" in result.stdout and "bovw" in result.stdout


# Sessions


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


def test_without_a_vocabulary_one_is_trained_and_kept_in_the_index(
    small: Collection, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("index", small.database, *FEW)
    assert result.stdout == "" and "training one on these images" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bovw-index"]
    assert "scene_01" in run("query", image, "--format", "paths", "--topk", 1).stdout


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


# Formats


def names_of(odd: Path) -> set[str]:
    return {os.fsdecode(raw) for raw in ODD_NAMES}


def query_odd(odd: Path, image: Path, form: str, *more: object) -> bytes:
    result = run("query", image, "--index", odd / "index", "--format", form, *more)
    assert result.stderr == ""
    return result.stdout_bytes


def test_json_names(odd: Path, image: Path) -> None:
    (answer,) = json.loads(query_odd(odd, image, "json"))
    assert answer["query"] == str(image)
    assert {hit["name"] for hit in answer["hits"]} == names_of(odd)
    assert all(Path(hit["path"]).is_file() for hit in answer["hits"])
    first = answer["hits"][0]
    assert np.shape(first["transform"]) == (3, 3) and np.shape(first["box"]) == (4, 2)
    assert [hit["rank"] for hit in answer["hits"]] == list(range(1, len(ODD_NAMES) + 1))


def test_jsonl_names(odd: Path, image: Path) -> None:
    records = [json.loads(line) for line in query_odd(odd, image, "jsonl").splitlines()]
    assert {record["name"] for record in records} == names_of(odd)
    assert all(Path(record["path"]).is_file() for record in records)


def test_csv_names(odd: Path, image: Path) -> None:
    text = os.fsdecode(query_odd(odd, image, "csv"))
    records = list(csv.DictReader(io.StringIO(text, newline="")))
    assert {record["name"] for record in records} == names_of(odd)
    assert all(Path(record["path"]).is_file() for record in records)


def test_paths_names(odd: Path, image: Path) -> None:
    lines = os.fsdecode(query_odd(odd, image, "paths")).split("\n")
    assert lines.pop() == ""
    paths = [Path(json.loads(line) if line.startswith('"') else line) for line in lines]
    assert {path.relative_to(odd / "db").as_posix() for path in paths} == names_of(odd)
    assert all(path.is_absolute() and path.is_file() for path in paths)


def test_table_names(odd: Path, image: Path) -> None:
    head, columns, *rows = os.fsdecode(query_odd(odd, image, "table")).split("\n")
    assert (head, columns.split()) == (str(image), ["rank", "score", "inliers", "name"])
    assert rows.pop() == ""
    shown = {row[26:] for row in rows}
    shown = {json.loads(name) if name.startswith('"') else name for name in shown}
    assert shown == names_of(odd)


def test_skipped_odd_name_is_in_one_line(odd: Path) -> None:
    content = json.loads(run("info", odd / "index", "--format", "json").stdout)
    assert content["skipped"] == {os.fsdecode(BROKEN): "empty file"}
    lines = run("info", odd / "index").stdout.splitlines()
    assert 'skipped "broken\\n\\"\\udcff.jpg": empty file' in lines


def test_eval_takes_odd_names_and_its_run_has_six_columns(odd: Path, image: Path) -> None:
    names = sorted(names_of(odd) | {os.fsdecode(BROKEN)})
    query = {"id": "a query", "image": "with space/two  spaces.jpg", "positives": [names[0]]}
    truth = odd / "truth with a space.json"
    content = {"db": names, "db_root": "", "queries": [query]}
    truth.write_text(json.dumps(content), encoding="utf-8")
    arguments = ("--images", odd / "db", "--index", odd / "index", "--run", odd / "run")
    run("eval", truth, *arguments)
    lines = (odd / "run").read_text(encoding="ascii").splitlines()
    assert all(len(line.split()) == 6 for line in lines)
    assert {line.split()[0] for line in lines} == {"a%20query"}


def test_bytes_of_a_process_are_the_names(odd: Path, image: Path) -> None:
    """A stream of the operating system, unlike a tester's, may not take every character."""
    arguments = ("query", str(image), "--index", str(odd / "index"), "--format", "paths")
    done = typed(*arguments, env={"PYTHONIOENCODING": "latin-1"})
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.splitlines()
    assert os.fsencode(odd / "db") + "/ünï/日本.jpg".encode() in lines
    assert os.fsencode(odd / "db") + b"/not utf-8 \xff\xfe.jpg" in lines


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


# Queries


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
    assert confirmed == [hit for hit in everything if hit["inliers"]]


def test_files_of_other_kinds_are_counted(small: Collection, vocab: Path, tmp_path: Path) -> None:
    shutil.copytree(small.database, tmp_path / "db")
    for name in ("a.heic", "B.HEIC", "notes.txt", "no suffix"):
        (tmp_path / "db" / name).write_bytes(b"?")
    arguments = ("index", tmp_path / "db", "--vocab", vocab, "--index", tmp_path / "index")
    said = run(*arguments).stderr
    assert "left out: 2 .heic, " in said and "1 .txt" in said and "1 without a suffix" in said
    assert "left out" not in run(*arguments, "--quiet").stderr


def test_a_region_is_cut_to_the_image(built: Path, image: Path) -> None:
    whole = run("query", image, "--index", built, "--format", "json").stdout
    wide = ("--region", "-50,-1e3,2000,inf")
    assert run("query", image, "--index", built, "--format", "json", *wide).stdout == whole


@pytest.mark.parametrize("region", ["700,10,900,200", "30,30,10,10", "nan,0,10,10", "5,5,5,50"])
def test_a_region_outside_is_told(region: str, built: Path, image: Path) -> None:
    message = failure("query", image, "--index", built, "--region", region)
    assert "holds nothing of the image" in message and "320 x 240" in message


@pytest.mark.parametrize("region", ["1,2,3", "1,2,3,4,5", "a,b,c,d", "", "1 2 3 4"])
def test_a_malformed_region_is_wrong_usage(region: str, built: Path, image: Path) -> None:
    message = failure("query", image, "--index", built, "--region", region, code=2)
    assert "x1,y1,x2,y2" in message


def test_a_region_of_several_images_is_wrong_usage(built: Path, image: Path) -> None:
    region = ("--region", "0,0,9,9")
    assert "one" in failure("query", image, image, "--index", built, *region, code=2)


def test_a_region_without_features_is_told(built: Path, image: Path) -> None:
    message = failure("query", image, "--index", built, "--region", "0,0,2,2")
    assert "no features" in message and "larger" in message


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


@pytest.mark.parametrize(
    "arguments",
    [
        ["query", "x.jpg", "--topk", "0"],
        ["query", "x.jpg", "--rerank", "-1"],
        ["query", "x.jpg", "--format", "xml"],
        ["query"],
        ["index"],
        ["index", "d", "--jobs", "0"],
        ["index", "d", "--max-size", "1"],
        ["index", "d", "--max-features", "99999999999"],
        ["build-vocab", "d", "--words", "0"],
        ["build-vocab", "d", "--seed", "-1"],
        ["build-vocab", "d", "--seed", "4294967296"],
        ["eval", "oxford5k"],
        ["eval", "oxford5k", "--images", ".", "--ap", "mine"],
        ["info"],
        ["nonsense"],
        ["--nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_usage(arguments: list[str], tmp_path: Path, small: Collection) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        shutil.copytree(small.database, "d")
        failure(*arguments, code=2)


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


# Vocabularies


def test_shorter_signatures_and_upright_features(small: Collection, tmp_path: Path) -> None:
    vocab, index = tmp_path / "vocab", tmp_path / "index"
    image = small.database / "scene_01" / "view_0.jpg"
    run("build-vocab", small.database, "--out", vocab, "--words", 100, "--bits", 64, *FEW)
    assert json.loads(run("info", vocab, "--format", "json").stdout)["bits"] == 64
    run("index", small.database, "--index", index, "--vocab", vocab, "--upright", *FEW)
    assert Index.open(index).meta["options"]["upright"]
    (answer,) = json.loads(run("query", image, "--index", index, "--format", "json").stdout)
    assert answer["hits"][0]["name"] == "scene_01/view_0.jpg"
    assert answer["hits"][0]["inliers"] > 20
    failure("build-vocab", small.database, "--bits", 32, code=2)


def test_fewer_words_than_asked_are_said(small: Collection, tmp_path: Path) -> None:
    options = ("--words", 100_000, "--max-features", 50, *ONE_JOB)
    result = run("build-vocab", small.database, "--out", tmp_path / "v", *options)
    made = json.loads(run("info", tmp_path / "v", "--format", "json").stdout)["words"]
    assert made == 400 // 8
    assert f"100,000 words asked, {made} made" in result.stderr
    assert "400 descriptors" in result.stderr


def test_too_few_descriptors_by_the_limit_are_said_so(small: Collection, tmp_path: Path) -> None:
    options = ("--words", 100, "--max-descriptors", 80, *FEW)
    result = run("build-vocab", small.database, "--out", tmp_path / "v", *options)
    assert "--max-descriptors" in result.stderr
    assert "give more images" not in result.stderr, "more images would not help"


def test_memory_is_said_before(small: Collection, tmp_path: Path) -> None:
    options = ("--words", 20, "--max-descriptors", 500, *FEW)
    result = run("build-vocab", small.database, "--out", tmp_path / "v", *options)
    assert "8 images" in result.stderr and "500 descriptors" in result.stderr
    assert "memory" in result.stderr.splitlines()[0]


def test_one_word_is_enough_for_an_answer(small: Collection, image: Path, tmp_path: Path) -> None:
    run("build-vocab", small.database, "--out", tmp_path / "v", "--words", 1, *FEW)
    run("index", small.database, "--index", tmp_path / "i", "--vocab", tmp_path / "v", *FEW)
    lines = run("query", image, "--index", tmp_path / "i", "--format", "paths").stdout.splitlines()
    assert len(lines) == 8


# Folders that are missing, empty, or something else


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make sure that what is refused is refused before the images are read."""
    import bovw.ingest.build
    import bovw.ingest.training

    def read(*_: object) -> None:
        raise AssertionError("images were read first")

    monkeypatch.setattr(bovw.ingest.build, "guarded", read)
    monkeypatch.setattr(bovw.ingest.training, "guarded", read)


@pytest.mark.parametrize("command", ["build-vocab", "index"])
def test_no_folder_of_images(command: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.jpg").touch()
    assert "No such file" in failure(command, tmp_path / "missing", code=2)
    assert "give its folder" in failure(command, tmp_path / "file.jpg", code=2)
    assert "no image in" in failure(command, tmp_path / "empty")


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("given", [True, False], ids=["vocabulary given", "vocabulary trained"])
def test_an_index_does_not_replace_something_else(
    given: bool, small: Collection, vocab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("--vocab", vocab) if given else ()
    (tmp_path / "file").write_text("mine")
    for folder in (small.database, tmp_path, vocab):
        result = run("index", small.database, "--index", folder, *options, *FEW, code=1)
        assert "is not an index: give another folder" in result.stderr
    run("index", small.database, "--index", tmp_path / "file", *options, *FEW, code=1)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.usefixtures("cheap")
def test_a_vocabulary_does_not_replace_something_else(
    small: Collection, built: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (small.database, tmp_path, built, tmp_path / "file"):
        result = run("build-vocab", small.database, "--out", folder, *FEW, code=1)
        assert "is not a vocabulary: give another folder" in result.stderr


def test_no_index(image: Path, tmp_path: Path, small: Collection, vocab: Path) -> None:
    for folder in (tmp_path / "missing", small.database, vocab):
        message = failure("query", image, "--index", folder)
        assert f"there is no index in {folder}: make one with `bovw index" in message


def test_no_vocabulary(small: Collection, tmp_path: Path) -> None:
    options = ("--index", tmp_path / "i", "--vocab", tmp_path / "missing")
    message = failure("index", small.database, *options)
    assert "no vocabulary in" in message and "bovw build-vocab" in message


def test_info_of_nothing(tmp_path: Path, image: Path) -> None:
    for folder in (tmp_path / "missing", tmp_path, image):
        assert "neither an index nor a vocabulary" in failure("info", folder)


def test_no_such_query(built: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "missing.jpg", tmp_path):
        assert failure("query", path, "--index", built).startswith(f"{path}: ")


def test_a_full_disk_is_one_line(
    small: Collection, vocab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "i"))

    monkeypatch.setattr(np, "save", full)
    options = ("--index", tmp_path / "i", "--vocab", vocab, *FEW)
    result = run("index", small.database, *options, code=1)
    assert f"Error: {tmp_path / 'i'}: No space left on device" in result.stderr


def test_a_bug_is_one_line_unless_asked_for_more(
    built: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr("bovw.search.searcher.Searcher.search_features", broken)
    arguments = ["query", str(image), "--index", str(built)]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "ZeroDivisionError: two" in line and "BOVW_DEBUG=1" in line
    result = CliRunner().invoke(cli, arguments, env={"BOVW_DEBUG": "1"})
    assert isinstance(result.exception, ZeroDivisionError)


# Damage


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "copied"))


def in_catalog(index: Path, statement: str) -> None:
    connection = sqlite3.connect(index / "catalog.sqlite")
    with connection:
        connection.execute(statement)
    connection.close()


def says_what_to_do(message: str) -> bool:
    advice = ("bovw check", "bovw index", "bovw build-vocab", "index the images again", "upgrade")
    return any(one in message for one in advice)


def vocabulary_of(index: Path) -> Path:
    (folder,) = index.glob("vocabulary-*")
    return folder


def test_a_newer_index_is_refused_by_name(copied: Path, image: Path, small: Collection) -> None:
    in_catalog(copied, f"UPDATE meta SET value = '{FORMAT + 1}' WHERE key = 'format'")
    before = (copied / "catalog.sqlite").read_bytes()
    for arguments in (
        ("query", image, "--index", copied),
        ("info", copied),
        ("eval", small.truth, "--images", small.root, "--index", copied),
        ("index", small.database, "--index", copied, "--vocab", vocabulary_of(copied), "-q", *FEW),
    ):
        message = failure(*arguments)
        assert f"index format {FORMAT + 1}" in message and "pip install -U bovw" in message
    assert (copied / "catalog.sqlite").read_bytes() == before


def test_a_newer_vocabulary_is_refused_by_name(
    copied: Path, image: Path, small: Collection, tmp_path: Path
) -> None:
    manifest = vocabulary_of(copied) / "manifest.json"
    content = {**json.loads(manifest.read_text()), "format": 3}
    manifest.write_text(json.dumps(content))
    options = ("--index", tmp_path / "i", "--vocab", manifest.parent)
    for arguments in (
        ("query", image, "--index", copied),
        ("info", manifest.parent),
        ("index", small.database, *options),
        ("eval", small.truth, "--images", small.root, *options),
    ):
        message = failure(*arguments)
        assert "vocabulary format 3" in message and "pip install -U bovw" in message


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE meta SET value = '\"two\"' WHERE key = 'format'",
        "DELETE FROM meta WHERE key = 'format'",
        "DELETE FROM meta WHERE key = 'options'",
        "DELETE FROM meta WHERE key = 'statistics'",
        "DELETE FROM meta WHERE key = 'statistics_files'",
        "DELETE FROM meta WHERE key = 'names'",
        "DELETE FROM meta",
        "UPDATE segments SET files = 'nothing'",
        "DELETE FROM segments",
        "DELETE FROM images",
        "DROP TABLE images",
    ],
)
def test_a_damaged_catalog_is_one_line(statement: str, copied: Path, image: Path) -> None:
    in_catalog(copied, statement)
    assert says_what_to_do(failure("info", copied))
    # A query reads neither the checksums nor the list of images.
    if "statistics_files" not in statement and "images" not in statement:
        failure("query", image, "--index", copied)


@pytest.mark.parametrize("change", ["missing", "empty", "truncated", "noise"])
@pytest.mark.parametrize(
    "name",
    [
        "segments/1/gaps.npy",
        "segments/1/offsets.npy",
        "statistics/2/features.npy",
        "names/2/ends.npy",
        "names/2/text.npy",
        "vocabulary/words.npy",
        "vocabulary/projection.npy",
        "vocabulary/manifest.json",
    ],
)
def test_a_damaged_file_is_one_line(name: str, change: str, copied: Path, image: Path) -> None:
    path = copied / name
    if name.startswith("vocabulary"):
        path = vocabulary_of(copied) / path.name
    content = path.read_bytes()
    changes = {
        "missing": None,
        "empty": b"",
        "truncated": content[: len(content) // 2],
        "noise": np.random.default_rng(0).bytes(len(content)),
    }
    path.unlink()
    if changes[change] is not None:
        path.write_bytes(changes[change])
    assert says_what_to_do(failure("query", image, "--index", copied))
    result = run("info", copied, code=1)
    assert path.name in result.output or str(path.parent) in result.output


@pytest.mark.parametrize("change", ["missing", "empty", "truncated", "noise"])
def test_a_damaged_file_of_cells_is_made_again(change: str, copied: Path, image: Path) -> None:
    arguments = ("query", image, "--index", copied, "--format", "json")
    before = run(*arguments).stdout
    path = vocabulary_of(copied) / "cells.npz"
    content = path.read_bytes()
    path.unlink()
    if change != "missing":
        path.write_bytes({"empty": b"", "truncated": content[:-9], "noise": content[::-1]}[change])
    assert run(*arguments).stdout == before
    assert "cells.npz" in run("info", copied, code=1).stdout


@pytest.mark.parametrize("name", ["gaps", "offsets", "places"])
def test_flipped_bytes_do_not_lead_astray(name: str, copied: Path, image: Path) -> None:
    """In a process of its own: postings that point outside would end it."""
    path = copied / "segments" / "1" / f"{name}.npy"
    content = bytearray(path.read_bytes())
    content[136:2000:8] = b"\x7f" * len(content[136:2000:8])
    content[139:2000:8] = b"\x7f" * len(content[139:2000:8])
    path.write_bytes(content)
    done = typed("query", str(image), "--index", str(copied))
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: ") and b"bovw check --repair" in done.stderr
    assert "bovw check --repair" in run("info", copied, code=1).stderr


@pytest.mark.parametrize("name", ["words.npy", "manifest.json"])
def test_a_damaged_vocabulary_is_restored(
    name: str, copied: Path, built: Path, image: Path, small: Collection
) -> None:
    """It is what the message says to do."""
    (vocabulary_of(copied) / name).write_bytes(b"damaged, in more than a line\n" * 100)
    assert "`bovw index` restores it" in failure("query", image, "--index", copied)
    assert name in run("check", "--index", copied, code=1).stdout
    run("index", small.database, "--vocab", vocabulary_of(built), "--index", copied, *ONE_JOB)
    first = run("query", image, "--index", built, "--format", "csv").stdout
    assert run("query", image, "--index", copied, "--format", "csv").stdout == first
    run("check", "--index", copied)


def test_a_damaged_segment_is_read_again(
    copied: Path, built: Path, image: Path, small: Collection
) -> None:
    """It is what the message says to do."""
    path = copied / "segments" / "1" / "positions.npy"
    path.write_bytes(path.read_bytes()[:-2])
    assert "bovw check --repair" in failure("query", image, "--index", copied)
    result = run("check", "--index", copied, code=1)
    assert f"{path} is missing or damaged" in result.stdout
    result = run("check", "--repair", "--index", copied)
    assert "8 images lost: `bovw index` on their folder reads them again" in result.stderr
    run("index", small.database, "--index", copied, *ONE_JOB)
    first = run("query", image, "--index", built, "--format", "csv").stdout
    assert run("query", image, "--index", copied, "--format", "csv").stdout == first
    assert "is whole" in run("check", "--index", copied).stderr


# An index that lives


def test_an_index_is_brought_up_to_date(small: Collection, vocab: Path, tmp_path: Path) -> None:
    photos = Path(shutil.copytree(small.database, tmp_path / "photos"))
    copied = tmp_path / "index"
    run("index", photos, "--index", copied, "--vocab", vocab, *FEW)
    to_date = ("index", photos, "--index", copied, *ONE_JOB)
    assert run(*to_date).stderr.startswith("8 as before\n")
    (photos / "scene_01" / "view_0.jpg").rename(photos / "moved.jpg")
    (photos / "scene_01" / "view_1.jpg").unlink()
    (photos / "bad.jpg").write_bytes(b"no photograph")
    shutil.copy(small.root / small.queries[0].name, photos / "new.jpg")
    before = run("list", "--index", copied).stdout
    planned = run(*to_date, "--dry-run")
    assert planned.stdout.splitlines() == [
        "new bad.jpg",
        "new new.jpg",
        "moved scene_01/view_0.jpg to moved.jpg",
        "removed scene_01/view_1.jpg",
    ]
    assert run("list", "--index", copied).stdout == before
    done = run(*to_date, code=3).stderr.splitlines()
    assert done[0] == "2 new, 1 moved, 1 removed, 6 as before"
    assert done[1].startswith("skipped bad.jpg: ")
    listed = run("list", "--index", copied).stdout.splitlines()
    assert "moved.jpg" in listed and "scene_01/view_1.jpg" not in listed and len(listed) == 9
    assert run("list", "--index", copied, "--status", "skipped").stdout.startswith("bad.jpg\tnot ")
    assert run(*to_date).stderr.startswith("9 as before\n")
    assert "skipped bad.jpg" in run(*to_date, "--retry", code=3).stderr
    assert "is whole" in run("check", "--index", copied).stderr


def test_images_are_added_and_removed(copied: Path, small: Collection, tmp_path: Path) -> None:
    picture = tmp_path / "new.jpg"
    shutil.copy(small.root / small.queries[0].name, picture)
    assert run("add", picture, "--index", copied, *ONE_JOB).stderr.startswith("1 new\n")
    hit = run("query", picture, "--index", copied, "--format", "paths").stdout.splitlines()[0]
    assert hit == str(picture)
    assert "8 images" in run("remove", "new.jpg", "--index", copied).stderr
    assert "has no new.jpg: see `bovw list`" in failure("remove", "new.jpg", "--index", copied)
    run("remove", "distractors/00.jpg", "--index", copied)
    merged = run("merge", "--index", copied).stderr
    assert "1 segments to 1, 400 features of removed images dropped" in merged
    content = json.loads(run("info", copied, "--format", "json").stdout)
    assert (content["segments"], content["removed"], content["images"]) == (1, 0, 7)


def test_an_index_goes_through_a_file(built: Path, image: Path, tmp_path: Path) -> None:
    file = tmp_path / "kept.bovw"
    assert f"written to {file}" in run("export", file, "--index", built).stderr
    assert "8 images" in run("import", file, "--index", tmp_path / "again").stderr
    first = run("query", image, "--index", built, "--format", "csv").stdout
    assert run("query", image, "--index", tmp_path / "again", "--format", "csv").stdout == first
    assert "is there already" in failure("import", file, "--index", tmp_path / "again", code=2)
    assert "there is no archive" in failure("import", image.parent, "--index", tmp_path / "x")


def test_only_one_writes(copied: Path, small: Collection) -> None:
    with IndexWriter.open(copied):
        message = failure("index", small.database, "--index", copied, *ONE_JOB)
        assert "is being written by process" in message and "wait until it is done" in message
    run("index", small.database, "--index", copied, *ONE_JOB)


def test_options_are_those_of_the_index(copied: Path, small: Collection, vocab: Path) -> None:
    to_date = ("index", small.database, "--index", copied, *ONE_JOB)
    assert "max_features 400 and not 300" in failure(*to_date, "--max-features", 300)
    run(*to_date, "--max-features", 400)
    run(*to_date, "--vocab", vocab)


def test_a_damaged_vocabulary_is_not_indexed_with(
    small: Collection, vocab: Path, tmp_path: Path
) -> None:
    damaged = Path(shutil.copytree(vocab, tmp_path / "v"))
    content = bytearray((damaged / "words.npy").read_bytes())
    content[1000] ^= 0xFF
    (damaged / "words.npy").write_bytes(content)
    options = ("--index", tmp_path / "i", "--vocab", damaged)
    message = failure("index", small.database, *options)
    assert "bovw build-vocab" in message
    assert "words.npy" in run("info", damaged, code=1).stdout


def test_a_vocabulary_of_another_index_is_refused(
    copied: Path, image: Path, small: Collection, tmp_path: Path
) -> None:
    run("build-vocab", small.database, "--out", tmp_path / "other", "--words", 100, *FEW,
        "--seed", 1)  # fmt: skip
    folder = vocabulary_of(copied)
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "other", folder)
    assert "not the vocabulary the index was made with" in failure(
        "query", image, "--index", copied
    )


# info


def test_info_of_an_index(built: Path) -> None:
    content = json.loads(run("info", built, "--format", "json").stdout)
    assert (content["images"], content["words"], content["damaged"]) == (8, 100, [])
    assert content["features"] == 8 * 400
    files = {p for p in built.rglob("*") if p.is_file() and "vocabulary-" not in str(p)}
    assert content["bytes"] == sum(path.stat().st_size for path in files)
    assert content["bytes_per_image"] == content["bytes"] / 8
    assert content["bytes_per_feature"] == content["bytes"] / content["features"]
    assert content["options"]["max_features"] == 400
    text = run("info", built).stdout
    assert "3,200" in text and "checksums hold" in text and "max features" in text


def test_info_of_a_vocabulary(vocab: Path, built: Path) -> None:
    content = json.loads(run("info", vocab, "--format", "json").stdout)
    assert (content["kind"], content["words"], content["damaged"]) == ("vocabulary", 100, [])
    assert content["settings"]["seed"] == 0
    assert content["bytes"] == sum(path.stat().st_size for path in vocab.iterdir())
    index = json.loads(run("info", built, "--format", "json").stdout)
    assert index["vocabulary"] == content["vocabulary"]
    assert "checksums hold" in run("info", vocab).stdout


@pytest.mark.parametrize("form", ["table", "json"])
def test_info_tells_a_wrong_checksum(form: str, copied: Path) -> None:
    path = copied / "segments" / "1" / "signatures.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    result = run("info", copied, "--format", form, code=1)
    assert "segments/1/signatures.npy" in result.stdout
    if form == "json":
        assert json.loads(result.stdout)["damaged"] == ["segments/1/signatures.npy"]
    assert "damaged" in result.stderr


# Processes


def test_a_reader_that_stops_early_is_no_error(odd: Path, image: Path) -> None:
    command = [sys.executable, "-m", "bovw", "query", str(image), "--index", str(odd / "index")]
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write) as nobody_reads:
        done = subprocess.run(
            command, stdout=nobody_reads, stderr=subprocess.PIPE, timeout=120, check=False
        )
    assert done.stderr == b""
    assert done.returncode in (0, 1)


def test_module_and_script_are_the_same(image: Path, tmp_path: Path) -> None:
    done = typed("query", str(image), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, b"")
    expected = b"Error: there is no index in bovw-index: make one with `bovw index DIR --index "
    assert done.stderr.startswith(expected)
    assert len(done.stderr.splitlines()) == 1
    assert cv2.imread(str(image)) is not None
