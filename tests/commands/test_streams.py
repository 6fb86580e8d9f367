"""Streams that are closed, and locales that are not UTF-8."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bovw import __main__ as program

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a shell closes the streams")


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_failure(closed: str, built: Path, image: Path) -> None:
    command = f'"$0" -m bovw query "$1" --index "$2" --topk 1 {closed}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, image, built], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert (b"found: 1 image" in done.stdout) == (">&-" not in closed.replace("2>&-", ""))


def test_another_locale_runs_in_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    monkeypatch.setattr(os, "execv", lambda path, arguments: started.append((path, arguments)))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "bovw", "list"])
    monkeypatch.setenv("PYTHONUTF8", "")
    program._prepare()
    assert started == [(sys.executable, [sys.executable, "-m", "bovw", "list"])]
    assert os.environ["PYTHONUTF8"] == "1"
