"""The command line run as a user runs it, and what every run of it has to keep to."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from bovw.cli import cli

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
