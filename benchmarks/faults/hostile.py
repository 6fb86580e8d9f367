"""Part 5: what an index that somebody made to do harm can do."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import time
from collections import Counter
from functools import cache, partial
from multiprocessing import current_process
from pathlib import Path
from typing import NamedTuple

from bovw.compute.isolation import Failure, run_isolated
from faults.bench import Bench
from faults.commands import bovw, disorderly, in_process
from faults.counts import Counts
from faults.damage import damaged_collection
from faults.variants import VARIANTS

# Seconds of processor time that a command may take, and bytes of memory.
SECONDS, BYTES = 10.0, 1_000_000_000
# Seconds that all commands on one variant may take together.
LIMIT = 60.0
_OPENED: list[str] = []


class Variant(NamedTuple):
    """One way to change an index, and its seed."""

    kind: str
    seed: int


class Outcome(NamedTuple):
    """What commands did with a variant: a line for each thing that must not happen, by kind."""

    refused: int
    answered: int
    faults: list[tuple[str, str]]


def try_hostile(bench: Bench, count: int) -> Counts:
    """Make indexes that do not mean well, and use them in all ways."""
    folder = bench.folder("hostile")
    photos, index = folder / "photos", folder / "index"
    damaged_collection(bench, photos, index)
    bovw("calibrate", index, "--sample", 10).check_returncode()
    bovw("shard", index, folder / "shards", "--into", 2).check_returncode()
    bovw("export", folder / "archive.bovw", "--index", index).check_returncode()
    kinds = list(VARIANTS)
    work = [Variant(kinds[number % len(kinds)], number) for number in range(count)]
    counts: Counts = {"variants": len(work)}
    counts["bounds checked"] = bool(os.environ.get("NUMBA_BOUNDSCHECK"))
    found, notes = Counter[str](), []
    by_kind = {kind: Counter[str]() for kind in kinds}
    answers = run_isolated(partial(attempt, folder), work, 2, LIMIT)
    for variant, answer in zip(work, answers, strict=True):
        if isinstance(answer, Failure):
            fault = "hangs" if "took" in answer.reason else "aborts"
            answer = Outcome(0, 0, [(fault, answer.reason)])
        by_kind[variant.kind] += Counter(refused=answer.refused, answered=answer.answered)
        for fault, said in answer.faults:
            found[fault] += 1
            notes.append(f"{fault}: {variant}: {said}")
    for fault in FAULTS:
        counts[fault] = found[fault]
    counts["commands"] = {kind: dict(numbers) for kind, numbers in by_kind.items()}
    counts["notes"] = notes
    return counts


FAULTS = (
    "outside_read", "outside_changed", "strangers_lost", "aborts", "hangs", "over_1_gb",
    "unexpected", "no_json",
)  # fmt: skip


def attempt(folder: Path, variant: Variant) -> Outcome:
    """Make a variant, and run commands on it."""
    # The commands start processes, which Python denies to a daemon.
    current_process().daemon = False
    rng = random.Random(f"{variant.kind} {variant.seed}")
    here = folder / f"worker-{os.getpid()}"
    shutil.rmtree(here, ignore_errors=True)
    index, victims = here / "index", make_victims(here)
    listen(victims)
    if variant.kind == "archive":
        index.mkdir()
        shutil.copy(folder / "archive.bovw", index)
    else:
        sharded = variant.kind == "manifest" or rng.random() < 0.1
        shutil.copytree(folder / ("shards" if sharded else "index"), index)
    part = index / "shard-0" if variant.kind != "manifest" and sharded_at(index) else index
    VARIANTS[variant.kind](part, victims, rng)
    strangers = sorted(index.rglob("keep-me.txt"))
    before = state(victims)
    _OPENED.clear()
    faults: list[tuple[str, str]] = []
    codes = [run(command, faults) for command in chosen(variant, here, folder / "photos", rng)]
    faults += [("outside_read", path) for path in _OPENED]
    after = state(victims)
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            same = (before.get(path) or [0])[:-1] == (after.get(path) or [0])[:-1]
            faults.append(("outside_read" if same else "outside_changed", path))
    faults += [("strangers_lost", str(path)) for path in strangers if not path.exists()]
    return Outcome(sum(code != 0 for code in codes), sum(code == 0 for code in codes), faults)


def sharded_at(index: Path) -> bool:
    return (index / "shard-0").is_dir()


def chosen(
    variant: Variant, here: Path, photos: Path, rng: random.Random
) -> list[tuple[object, ...]]:
    """Choose the commands to run on a variant: always a query and a check, and two others."""
    index = here / "index"
    picture = sorted(photos.iterdir())[rng.randrange(20)]
    query = ("query", picture, "--index", index, "--topk", 5, "--format", "jsonl")
    if variant.kind == "archive":
        target = here / "imported"
        taken = ("import", index / "archive.bovw", "--index", target)
        return [taken, ("check", "--index", target), (*query[:3], target, *query[4:])]
    others: list[tuple[object, ...]] = [
        ("list", "--index", index),
        ("info", "--index", index),
        ("export", here / "out.bovw", "--index", index),
        ("remove", picture.name, "--index", index),
        ("merge", "--index", index),
        ("check", "--repair", "--index", index),
        ("check", "--repair", "--index", index),
        ("index", photos, "--index", index, "--jobs", 1),
        ("shard", index, here / "out", "--into", 2),
    ]
    # The commands that change it come last.
    return [query, ("check", "--index", index), *rng.sample(others, 2), query]


def run(command: tuple[object, ...], faults: list[tuple[str, str]]) -> int:
    """Run a command in this process; note what must not happen."""
    start = time.process_time()
    reset_peak()
    code, said = in_process(*command)
    name, short = str(command[0]), said.strip()[-300:]
    if time.process_time() - start > SECONDS:
        faults.append(("hangs", f"{name}: {short}"))
    if (used := peak()) > BYTES:
        faults.append(("over_1_gb", f"{name}: {used / 1e9:.1f} GB"))
    if disorderly(said) or code not in (0, 1, 2):
        faults.append(("unexpected", f"{name}: {code} {short}"))
    if name == "query" and code == 0:
        for line in said.splitlines():
            if line.startswith("{"):
                try:
                    json.loads(line, parse_constant=refuse)
                except ValueError:
                    faults.append(("no_json", line[:200]))
    return code


def refuse(name: str) -> None:
    """Refuse NaN and infinity, which are no JSON."""
    raise ValueError(name)


def make_victims(here: Path) -> Path:
    """Make files outside of the index, some named like an index's own."""
    victims = here / "victims"
    for place in ("1", "2", "7", "thesis"):
        (victims / place).mkdir(parents=True)
        for name in ("notes.txt", "weights.npy", "gaps.npy", "text.npy"):
            (victims / place / name).write_text("years of work")
    (victims / "notes.txt").write_text("years of work")
    for path in victims.rglob("*.*"):
        os.utime(path, (0, path.stat().st_mtime))
    return victims


def state(victims: Path) -> dict[str, list[object]]:
    """Return the content, the time of change and that of the last reading of every file."""
    found = {}
    for path in victims.rglob("*"):
        status = path.lstat()
        content: object = None
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
            found[str(path)] = [content, status.st_mtime_ns, status.st_atime_ns]
    return found


@cache
def _listening() -> None:
    def hear(event: str, given: tuple[object, ...]) -> None:
        if event == "open" and "/victims/" in str(given[0]) and _WATCHED:
            _OPENED.append(str(given[0]))

    sys.addaudithook(hear)


_WATCHED: list[Path] = []


def listen(victims: Path) -> None:
    """Hear of every file of `victims` that Python opens from now on."""
    _WATCHED[:] = [victims]
    _listening()


def reset_peak() -> None:
    """Forget this process's largest size, on Linux."""
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """Return this process's largest size since then, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return 1024 * int(line.split()[1])
    return 0
