"""Part 2: indexes bad files twice; each must be listed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

from bovw.compute.text import printable
from bovw.images.find import find_images
from bovw.index import Index
from bovw.ingest.changes import find_changes
from faults.bench import SMALL, Bench, Rows
from faults.commands import bovw, disorderly
from faults.counts import Counts
from faults.oddities import SUFFIXES, bad_files


def try_bad_files(bench: Bench, wanted: int) -> Counts:
    """Index bad files among good ones, twice, and check that none is missing."""
    folder, index = bench.folder("bad"), bench.scratch / "bad-index"
    shutil.rmtree(index, ignore_errors=True)
    bad_files(bench, folder, wanted)
    good = {f"good/{n:02}.jpg": sha for n, sha in enumerate(sorted(bench.photos)[3:15])}
    for name, sha in good.items():
        bench.copy(sha, folder / name)
    command = ["index", folder, "--index", index, "--vocab", bench.vocab, "--time-limit", 20]
    counts: Counts = {"crashes": 0, "hung": 0}
    runs = []
    for _ in range(2):
        started = time.perf_counter()
        try:
            done = bovw(*command, *SMALL)
        except subprocess.TimeoutExpired:
            return counts | {"hung": 1}
        runs.append((done, round(time.perf_counter() - started, 1)))
        if done.returncode not in (0, 3) or disorderly(done.stderr):
            print(done.returncode, done.stderr[-2000:], file=sys.stderr)
            counts["crashes"] += 1
    return counts | listed(bench, folder, index, good, runs)


def listed(bench: Bench, folder: Path, index: Path, good: Rows, runs: list[Any]) -> Counts:
    """Compare the files of a folder with the output of `bovw list` and of the two runs."""
    (first, slow), (second, fast) = runs
    every = set(names_below(folder))
    pictures = {name for name in every if name.lower().endswith(SUFFIXES) and not hidden(name)}
    lines = bovw("list", "--index", index).stdout.splitlines()
    reasons = dict(line.partition("\t")[::2] for line in lines)
    absent = [name for name in pictures if printable(name) not in reasons]
    said = re.search(r"ignored files of other types: (.+)", first.stderr)
    aloud = sum(int(n) for n in re.findall(r"(\d+) [.w]", said[1])) if said else 0
    others = [name for name in every - pictures if not hidden(name)]
    kinds = Counter(kind_of(reason) for reason in reasons.values() if reason)
    unnamed = [n for n, r in reasons.items() if r and f"skipped {n}: {r}" not in first.stderr]
    as_before = re.search(r"([\d,]+) (?:as before|unchanged)", second.stderr)
    for name in absent:
        print(f"absent: {name!r}", file=sys.stderr)
    return {
        "files": len(every),
        "pictures by name": len(pictures),
        "ok": sum(not reason for reason in reasons.values()),
        "skipped": sum(bool(reason) for reason in reasons.values()),
        "skipped, by reason": dict(kinds.most_common()),
        "absent": len(absent) + len(unnamed) + len(bench.not_found(index, good)),
        "others, counted aloud": aloud,
        "others": len(others),
        "hidden, not looked at": sum(map(hidden, every)),
        "seconds": slow,
        "seconds, the second time": fast,
        "as before, the second time": int(as_before[1].replace(",", "")) if as_before else 0,
        "read_again": len(files_read_again(folder, index)),
        "tried again, because they could not be read": len(unreadable(index)),
        "largest process in megabytes": getrusage(RUSAGE_CHILDREN).ru_maxrss // 1024,
        **ask_bad_ones(folder, index, [name for name, reason in reasons.items() if reason]),
    }


def names_below(folder: Path) -> Iterator[str]:
    """Yield the names of all files below a folder, without following links to folders."""
    for at, _, files in os.walk(folder):
        yield from ((Path(at) / name).relative_to(folder).as_posix() for name in files)


def hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def kind_of(reason: str) -> str:
    """Return a reason without the details of a single file."""
    reason = re.sub(r": \d.*", "", reason)
    return re.sub(r"\d+", "N", reason)[:60]


_watched: list[str] = []
_opened: list[str] = []


def _note_opening(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched and event == "open" and isinstance(arguments[0], (str, bytes)):
        path = os.fsdecode(arguments[0])
        if path.startswith(_watched[0]) and arguments[1] is not None:
            _opened.append(path)


def files_read_again(folder: Path, index: Path) -> set[str]:
    """Plan another update of a folder; return the files that it opens or would read again.

    Unreadable files do not count: every update tries them again.
    """
    sys.addaudithook(_note_opening)
    rows = {row.name: row for row in Index.open(index).images()}
    _opened.clear()
    _watched[:] = [f"{folder}{os.sep}"]
    plan = find_changes(rows, find_images([folder]))
    _watched.clear()
    names = {image.name for image in plan.to_read} - unreadable(index)
    return names | set(_opened)


def unreadable(index: Path) -> set[str]:
    """Return the names of files that could not even be opened."""
    return {row.name for row in Index.open(index).images() if row.sha256 is None}


def ask_bad_ones(folder: Path, index: Path, skipped: list[str]) -> Counts:
    """Search for every skipped file whose listed name is a real name, a hundred at once."""
    names = [name for name in skipped if (folder / name).is_file()]
    errors = 0
    for start in range(0, len(names), 100):
        paths = [folder / name for name in names[start : start + 100]]
        done = bovw("query", *paths, "--index", index, "--topk", 1)
        wrong = done.returncode not in (1, 3) or disorderly(done.stderr)
        errors += wrong or not all(f"skipped {path}: " in done.stderr for path in paths)
    return {"queries of skipped files": len(names), "errors": errors}
