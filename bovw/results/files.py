"""Writes the files that a user names, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from bovw.errors import BovwError, UsageError


def check_output(path: Path, *suffixes: str) -> None:
    """Refuse an output file that cannot be written, before the work is done.

    Raises UsageError for any other suffix, so that no photograph is overwritten by mistake, and
    BovwError if `path` is a folder or its folder does not exist.
    """
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{path} does not end in {' or '.join(suffixes)}: give such a name")
    if path.is_dir():
        raise BovwError(f"{path} is a folder: give the name of a file in it")
    if not path.parent.is_dir():
        raise BovwError(f"{path} cannot be written: there is no folder {path.parent}, make it")


def write_output(path: Path, content: bytes) -> None:
    """Write a temporary file and rename it; raises BovwError if the disk fails."""
    aside = path.with_name(f".bovw-{os.getpid()}.part")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    except OSError as error:
        raise BovwError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        aside.unlink(missing_ok=True)
