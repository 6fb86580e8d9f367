"""Callbacks of a long run: its progress, and the images it skips."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol


class Progress(Protocol):
    """Wraps the results of a long stage to show its progress."""

    def __call__(
        self, results: Iterable[Any], length: int, label: str
    ) -> AbstractContextManager[Iterable[Any]]:
        """Return a context that yields the same `length` results."""


class OnSkip(Protocol):
    """Called for each image that cannot be used."""

    def __call__(self, name: str, reason: str, /) -> object:
        """Take the image's name and the reason."""


def no_progress(
    results: Iterable[Any], length: int, label: str
) -> AbstractContextManager[Iterable[Any]]:
    """Show nothing: the default Progress."""
    return nullcontext(results)


def ignore_skip(name: str, reason: str) -> None:
    """Do nothing: the default OnSkip."""
