"""Every error that bovw raises on purpose, as one tree.

BovwError                    exit code 1
├── ImageError               one image cannot be used: it is named and skipped
├── FormatError              a vocabulary or an index on disk is damaged, newer, or does not fit
│   └── NewerFormatError     it was written by a later version of bovw
├── DatasetError             ground truth that cannot be read, or that does not match the images
├── QueryError               a query that cannot be answered: no features, region outside the image
├── UnansweredError          the machines that hold an index do not answer
└── UsageError               arguments that contradict each other (exit code 2)

Messages are single sentences for people: what happened, to which file, and what to do.
"""

from __future__ import annotations

from pathlib import Path


class BovwError(Exception):
    """The base of the tree; `exit_code` is the exit code of the command line."""

    exit_code = 1


class ImageError(BovwError):
    """One image cannot be used; the message is the reason without the image's name."""


class FormatError(BovwError):
    """A vocabulary or index on disk is missing, damaged, of a newer format, or does not fit."""


class NewerFormatError(FormatError):
    """A later version of bovw wrote it and can still read it. Nothing here may replace it."""


class DatasetError(BovwError):
    """Ground truth cannot be read, or names images that do not exist."""


class QueryError(BovwError):
    """A query cannot be answered."""


class UnansweredError(BovwError):
    """Machines that hold parts of an index have not answered in time."""


class UsageError(BovwError):
    """Arguments contradict each other."""

    exit_code = 2


def check_not_newer(folder: Path, what: str, version: int, most: int) -> None:
    """Raise NewerFormatError if `version`, of something in `folder`, is above `most`."""
    if version > most:
        raise NewerFormatError(
            f"{folder} has {what} {version}, this bovw reads up to {most}: "
            "upgrade with `pip install -U bovw`"
        )


def damaged_postings() -> FormatError:
    """Return the error for postings that name images that do not exist."""
    return FormatError("the index's postings are damaged: `bovw check --repair` removes them")


def damaged_file(path: Path, reason: str) -> FormatError:
    """Return the error for an index file that is missing or damaged."""
    reason = " ".join(reason.split())
    return FormatError(f"{path} is damaged ({reason}): `bovw check --repair` removes it")
