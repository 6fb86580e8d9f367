"""Reports the images and files that a run leaves out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from bovw.compute.text import one_line, printable

SKIPPED = 3


class Skips:
    """Prints each image that cannot be used as it comes up, and counts them."""

    def __init__(self) -> None:
        self.count = 0
        self._suffixes: Counter[str] = Counter()

    def __call__(self, name: str, reason: str) -> None:
        """Report one image."""
        self.count += 1
        click.echo(f"skipped {printable(name)}: {one_line(reason)}", err=True)

    def remark(self, name: str, remark: str) -> None:
        """Print what there is to say of an image that can be used."""
        click.echo(f"{printable(name)}: {one_line(remark)}", err=True)

    def folder(self, error: OSError) -> None:
        """Report a folder that cannot be read."""
        self(str(error.filename), f"cannot be read: {error.strerror}")

    def other(self, name: str) -> None:
        """Count a file of another kind, by its suffix."""
        self._suffixes[Path(name).suffix.lower() or "without a suffix"] += 1

    def others(self) -> str:
        """Return a line that counts the ignored files by kind; empty if there are none."""
        kinds = ", ".join(f"{n} {printable(kind)}" for kind, n in self._suffixes.most_common(5))
        more = ", ..." if len(self._suffixes) > 5 else ""
        return f"ignored files of other types: {kinds}{more}" if kinds else ""

    def leave(self) -> None:
        """Exit with the code SKIPPED if some images were skipped."""
        if self.count:
            click.echo(f"{self.count} skipped, the rest is done", err=True)
            click.get_current_context().exit(SKIPPED)
