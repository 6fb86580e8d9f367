"""What the command line says of itself, and of wrong usage."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import cv2
import pytest
from click.testing import CliRunner

from bovw import __version__
from bovw.cli import cli
from bovw.demo.scenes import Collection
from tests.commands.running import failure, run, typed

OPTIONS = [
    pytest.param(option, id=f"{name} {option.opts[0]}")
    for name, command in cli.commands.items()
    for option in command.params
    if isinstance(option, click.Option)
]


def test_the_commands_are_those_promised() -> None:
    assert set(cli.commands) == {
        "build-vocab", "index", "add", "remove", "list", "check", "merge", "export", "import",
        "link", "query", "eval", "info", "matches", "serve", "demo", "plan", "shard", "calibrate",
        "explain",
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_module_and_script_are_the_same(image: Path, tmp_path: Path) -> None:
    done = typed("query", str(image), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, b"")
    expected = b"Error: there is no index in bovw-index: make one with `bovw index DIR --index "
    assert done.stderr.startswith(expected)
    assert len(done.stderr.splitlines()) == 1
    assert cv2.imread(str(image)) is not None
