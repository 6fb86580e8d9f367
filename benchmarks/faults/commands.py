"""Runs commands of bovw, in a new process or in this one."""

from __future__ import annotations

import subprocess
import sys

from click.testing import CliRunner

from bovw.cli import cli

BOVW = [sys.executable, "-m", "bovw"]
# Seconds that a command may take; then it is killed, and counts as hung.
PATIENCE = 180.0


def bovw(*arguments: object, patience: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; raises TimeoutExpired if it takes too long."""
    command = [*BOVW, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=patience, errors="surrogateescape"
    )


def in_process(*arguments: object) -> tuple[int, str]:
    """Run a command in this process; return its exit code and output."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def disorderly(output: str) -> bool:
    """Tell whether a command failed with an unexpected error."""
    return "Traceback" in output or "unexpected " in output
