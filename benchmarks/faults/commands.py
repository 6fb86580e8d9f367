"""Commands of bovw, each run in a process of its own or in this one."""

from __future__ import annotations

import subprocess
import sys

from click.testing import CliRunner

from bovw.cli import cli

BOVW = [sys.executable, "-m", "bovw"]
# Seconds that a command may take; it is ended then, and counted as hanging.
PATIENCE = 180.0


def bovw(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; raises TimeoutExpired where that does not come."""
    command = [*BOVW, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, errors="surrogateescape"
    )


def in_process(*arguments: object) -> tuple[int, str]:
    """Run a command in this process: its exit code, and what it printed."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def disorderly(output: str) -> bool:
    """Tell whether a command has shown an error that it does not know."""
    return "Traceback" in output or "unexpected " in output
