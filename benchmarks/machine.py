"""Describes the machine that a result was measured on, and writes `benchmarks/results`."""

from __future__ import annotations

import json
import platform
import re
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from bovw import __version__
from bovw.compute.threads import available_jobs

HERE = Path(__file__).resolve().parent


def machine() -> dict[str, Any]:
    """Return the processor, the system, and the versions of all packages that affect times."""
    needed = [
        requirement for requirement in metadata.requires("bovw") or () if ";" not in requirement
    ]
    packages = sorted(re.split(r"[^\w.-]", requirement)[0] for requirement in needed)
    return {
        "processor": _processor(),
        "cores": available_jobs(),
        "system": platform.system() + " " + platform.release(),
        "python": platform.python_version(),
        "packages": {package: metadata.version(package) for package in packages},
        "bovw": __version__,
        "commit": _commit(),
    }


def write_result(name: str, content: dict[str, Any]) -> Path:
    """Write `results/NAME.json`: the running command line, the machine, and `content`."""
    path = HERE / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    # The result can have another name than the script (--name).
    script = Path(sys.argv[0]).name
    command = typed(["python", f"benchmarks/{script}", *sys.argv[1:]])
    result = {"command": command, "machine": machine(), **content}
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return path


def typed(words: list[str]) -> str:
    """Return a command line; absolute paths, meaningless elsewhere, are cut to their names."""
    return shlex.join(Path(word).name if Path(word).is_absolute() else word for word in words)


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    text = information.read_text(encoding="utf-8") if information.is_file() else ""
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return model[1] if model else platform.processor() or platform.machine()


def _commit() -> str:
    """Return the commit, with a "+" if the package has uncommitted changes."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    return commit + ("+" if commit and _git("status", "--porcelain", "--", "bovw") else "")


def _git(*words: str) -> str:
    """Return what git prints; an empty string without git or outside a repository."""
    try:
        done = subprocess.run(
            ["git", *words], cwd=HERE.parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
