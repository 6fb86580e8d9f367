"""Writes the files that a user names, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from bovw.compute.files import replace_file
from bovw.errors import BovwError, UsageError


def check_output(path: Path, *suffixes: str) -> None:
    """Refuse an output file that cannot be written, before the work is done.

    Raises UsageError for any other suffix, so that no photograph is overwritten by mistake, and
    BovwError if `path` is a folder or its folder does not exist.
    """
    if path.suffix.lower() not in suffixes:
        told = " or ".join(suffix for suffix in suffixes if suffix)
        raise UsageError(f"{path} does not end in {told}: give such a name")
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UsageError(f"{path} is not a regular file: give another name")
    if path.is_dir():
        raise BovwError(f"{path} is a folder: give the name of a file in it")
    if not path.parent.is_dir():
        raise BovwError(f"{path} cannot be written: there is no folder {path.parent}, make it")


def write_output(path: Path, content: bytes) -> None:
    """Write a temporary file and rename it; raises BovwError if the disk fails."""
    try:
        replace_file(path, content)
    except OSError as error:
        raise BovwError(f"{path} cannot be written: {error.strerror or error}") from error
