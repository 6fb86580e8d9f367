"""Files that a user asks for by name, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from bovw.errors import BovwError, UsageError


def check_output(path: Path, *suffixes: str) -> None:
    """Refuse a file that could not be written in the end, before the work is done.

    Raises UsageError where its suffix is none of these, which keeps a photograph that is given by
    mistake from being overwritten; BovwError where it is a folder or lies in none.
    """
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{path} is not called {' or '.join(suffixes)}: give such a name")
    if path.is_dir():
        raise BovwError(f"{path} is a folder: give the name of a file in it")
    if not path.parent.is_dir():
        raise BovwError(f"{path} cannot be written: there is no folder {path.parent}, make it")


def write_output(path: Path, content: bytes) -> None:
    """Write a file aside and rename it; raises BovwError where the disk fails."""
    aside = path.with_name(f".bovw-{os.getpid()}.part")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    except OSError as error:
        raise BovwError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        aside.unlink(missing_ok=True)
