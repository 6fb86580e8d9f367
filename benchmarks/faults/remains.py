"""Finds what a killed command leaves behind: images, files and processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from bovw.index import Index
from bovw.index.catalog import FILE, read_meta
from bovw.index.lock import LOCK_FILE
from faults.attempts import Attempt
from faults.bench import Rows


def lost(attempt: Attempt, now: Rows) -> Iterator[str]:
    """Yield the missing images that a command should have kept at all times."""
    contents, wanted = set(now.values()), set(attempt.after.values())
    for name, sha in attempt.before.items():
        if name in attempt.after:
            if now.get(name) not in (sha, attempt.after[name]):
                yield name
        elif sha in wanted and sha not in contents:
            yield f"{name}, which has moved"


def leftovers(index: Path) -> list[Path]:
    """Return files and folders, in or beside an index, that do not belong to it."""
    meta = read_meta(index)
    if not meta:
        return []
    live = {FILE, LOCK_FILE, "segments", "statistics", "names", "graph", str(meta["vocabulary"])}
    found = [path for path in index.iterdir() if path.name not in live]
    found += index.parent.glob(f".{index.name}.*")
    opened = Index.open(index)
    folders = {Path(name).parent.as_posix() for name in opened.files()}
    parts = (path for kind in ("segments", "statistics", "names", "graph")
             for path in (index / kind).glob("*"))  # fmt: skip
    return found + [path for path in parts if f"{path.parent.name}/{path.name}" not in folders]


def processes_of(session: int) -> list[int]:
    """Return the live processes of a session."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, own = status.read_text().rpartition(")")[2].split()[:4]
            if int(own) == session and state != "Z":
                found.append(int(status.parent.name))
    return found
