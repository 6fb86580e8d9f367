"""`bovw serve` as a user starts and ends it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("fastapi", reason="bovw[web] is not installed")


def start(*arguments: object, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Start the command line in another process, without settings of whoever runs the tests."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("BOVW_")}
    line = [sys.executable, "-m", "bovw", "serve", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(line, stdout=pipe, stderr=pipe, text=True, env=own | (env or {}))


def refused(*arguments: object, code: int = 1, env: dict[str, str] | None = None) -> str:
    """Return the one line that a server says which does not start."""
    out, err = start(*arguments, env=env).communicate(timeout=60)
    assert out == "" and "Traceback" not in err and "unexpected" not in err
    line = err.splitlines()[-1]
    assert line.startswith("Error: ")
    return line


@pytest.mark.parametrize(
    ("how", "times"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 1)]
)
def test_it_answers_until_it_is_told_to_end(
    index_folder: Path, tmp_path: Path, how: signal.Signals, times: int
) -> None:
    server = start("--index", index_folder, "--port", 0, "--cache", tmp_path / "cache")
    assert server.stderr
    said = server.stderr.readline()
    (address,) = re.findall(r"http://127\.0\.0\.1:\d+/", said)
    with urlopen(f"{address}api/v1/health", timeout=60) as answer:
        assert json.load(answer)["status"] == "ok"
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    for _ in range(times):
        server.send_signal(how)
        time.sleep(0.02)
    out, err = server.communicate(timeout=60)
    assert (out, err) == ("", "")
    assert server.returncode == (0 if how == signal.SIGINT else 128 + how)
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, "a process was left behind"
        time.sleep(0.05)


def test_what_is_wrong_is_told_in_one_line(index_folder: Path, tmp_path: Path) -> None:
    given = ["--index", index_folder, "--port", 0, "--cache", tmp_path / "cache"]
    assert "index" in refused("--index", tmp_path / "nothing", "--cache", tmp_path / "cache")
    assert "need each other" in refused(*given, "--token", "x")
    assert "need each other" in refused(*given, "--allow-write", tmp_path)
    assert "--images" in refused(*given, "--eval", "oxford5k")
    assert "no data set" in refused(*given, "--eval", "oxford6k", "--images", tmp_path)
    (tmp_path / "file").touch()
    assert "--cache" in refused(*given[:-1], tmp_path / "file" / "cache")
    assert "--host" in refused(*given, "--host", "203.0.113.1")


def test_a_package_that_is_missing_is_named(index_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError(name='uvicorn')")
    line = refused("--index", index_folder, env={"PYTHONPATH": str(tmp_path)})
    assert "uvicorn is not installed" in line and "pip install 'bovw[web]'" in line
