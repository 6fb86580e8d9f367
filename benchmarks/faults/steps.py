"""Part 6: commands that are killed at every one of their file operations."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import current_process
from pathlib import Path
from typing import Any

from bovw.compute.isolation import Failure, run_isolated
from bovw.errors import BovwError
from bovw.index import Index, is_index
from bovw.index.integrity import find_leftovers, find_problems
from bovw.vocab import Vocabulary
from faults.bench import SMALL, Bench
from faults.commands import bovw, in_process
from faults.counts import Counts

# What Python tells of before it does it. SQLite's own files are written in between.
EVENTS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "shutil.copyfile"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
ONE = ("--jobs", 1)
State = tuple[Any, ...]


@dataclass(frozen=True)
class Step:
    """A command to kill at one file operation.

    before  makes what the command finds, in a folder that has copies of all there is
    command  its arguments; paths are relative to the folder, but for photographs
    """

    name: str
    before: Callable[[Path], None]
    command: tuple[object, ...]
    number: int = 0


def nothing(here: Path) -> None:
    """Leave everything as it is."""


def spoil(pattern: str, here: Path) -> None:
    path = sorted(here.glob(pattern))[0]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def leave(here: Path) -> None:
    (here / "index" / "segments" / "99").mkdir()
    (here / "index" / "segments" / "99" / "gaps.npy").write_bytes(b"half")


def steps(names: list[str], photos: Path) -> list[Step]:
    new = ("index", photos, "--index", "made", "--vocab", "vocab", "--batch", 4, *SMALL, *ONE)
    index, shards = ("--index", "index"), ("--index", "shards")
    repair = ("check", "--repair")
    return [
        Step("index, new", nothing, new),
        Step("index, update", nothing, ("index", photos, *index, *ONE, "--exclude", "old")),
        Step("add", nothing, ("add", "new/0.jpg", "new/1.jpg", *index, *ONE)),
        Step("remove", nothing, ("remove", *names[:3], *index)),
        Step("remove, shards", nothing, ("remove", *names[:5], *shards)),
        Step("merge", nothing, ("merge", *index)),
        Step("merge, shards", nothing, ("merge", *shards)),
        Step("import", nothing, ("import", "archive.bovw", "--index", "made")),
        Step("export", nothing, ("export", "archive.bovw", *index)),
        Step("shard", nothing, ("shard", "index", "made", "--into", 3)),
        Step("calibrate", nothing, ("calibrate", "index", "--sample", 3, *ONE)),
        Step("link --keep", nothing, ("link", *index, "--keep", 100, *ONE)),
        Step("link --keep, shards", nothing, ("link", *shards, "--keep", 100, *ONE)),
        Step("repair, whole", leave, (*repair, *index)),
        Step("repair, cells", partial(spoil, "index/vocab*/cells.npz"), (*repair, *index)),
        Step("repair, segment", partial(spoil, "index/segments/*/gaps.npy"), (*repair, *index)),
        Step("repair, names", partial(spoil, "index/names/*/text.npy"), (*repair, *index)),
        Step("repair, shards", partial(spoil, "shards/names/*/text.npy"), (*repair, *shards)),
        Step("build-vocab", nothing,
             ("build-vocab", photos, "--out", "vocab", "--words", 32, *SMALL, *ONE)),
    ]  # fmt: skip


def try_steps(bench: Bench, most: int) -> Counts:
    """Kill commands at each of their file operations, at most so many times in all."""
    base = made(bench)
    names = [row.name for row in Index.open(base / "index").images()]
    known = steps(names, base / "photos")
    ends: dict[Step, tuple[int, State]] = {}
    for step, end in zip(known, run_isolated(partial(whole, base), known, 2, 300.0), strict=True):
        assert not isinstance(end, Failure), f"{step.name}: {end}"
        ends[step] = end
    share = most // len(known)
    work = [
        (Step(step.name, step.before, step.command, number), ends[step][1])
        for step in known
        for number in chosen(ends[step][0], share)
    ]
    counts: Counts = {"kills": len(work)}
    notes: list[str] = []
    by_step = {step.name: {"operations": ends[step][0], "kills": 0} for step in known}
    wrong = dict.fromkeys(("lost", "half_done", "refused_reruns", "left_over"), 0)
    for (step, _), faults in zip(
        work, run_isolated(partial(attempt, base), work, 2, 300.0), strict=True
    ):
        by_step[step.name]["kills"] += 1
        for fault, said in [("lost", faults.reason)] if isinstance(faults, Failure) else faults:
            wrong[fault] += 1
            notes.append(f"{fault}: {step.name}, operation {step.number}: {said}")
    return counts | wrong | {"commands": by_step, "notes": notes}


def chosen(operations: int, share: int) -> list[int]:
    """Return all operations, or as many of them, evenly."""
    if operations <= share:
        return list(range(operations))
    return sorted({round(i * (operations - 1) / (share - 1)) for i in range(share)})


def made(bench: Bench) -> Path:
    """Make all that the commands find: photographs, an index, shards, an archive, a vocabulary."""
    base = bench.folder("steps") / "base"
    shas = sorted(bench.photos)[:12]
    for number, sha in enumerate(shas):
        folder = "new" if number < 2 else "photos/old" if number < 5 else "photos/kept"
        bench.copy(sha, base / folder / f"{number}.jpg")
    shutil.copytree(bench.vocab, base / "vocab")
    make = ("index", base / "photos", "--index", base / "index", "--vocab", base / "vocab")
    bovw(*make, "--batch", 4, *SMALL).check_returncode()
    bovw("link", "--index", base / "index").check_returncode()
    bovw("shard", base / "index", base / "shards", "--into", 3).check_returncode()
    bovw("export", base / "archive.bovw", "--index", base / "index").check_returncode()
    return base


def prepared(base: Path, step: Step) -> Path:
    # The commands start processes, which Python denies to a daemon.
    current_process().daemon = False
    here = base.with_name(f"worker-{os.getpid()}")
    shutil.rmtree(here, ignore_errors=True)
    shutil.copytree(base, here)
    step.before(here)
    return here


def whole(base: Path, step: Step) -> tuple[int, State]:
    """Run a command to its end; return how many file operations it makes, and what it leaves."""
    here = prepared(base, step)
    kept = here / "operations"
    child(here, step.command, -1, kept)
    return int(kept.read_text()), state(here)


def attempt(base: Path, given: tuple[Step, State]) -> list[tuple[str, str]]:
    """Kill a command at one operation; say what is wrong after that, and after another run."""
    step, end = given
    here = prepared(base, step)
    before = state(here)
    child(here, step.command, step.number, here / "operations")
    faults = problems(here, before, end, step)
    with Inside(here):
        code, said = in_process(*step.command)
    # What is done already, a command may refuse to do again.
    if code != 0 and not (code in (1, 2) and state(here) == end):
        faults.append(("refused_reruns", said.strip()[-300:]))
    elif state(here) != end:
        faults.append(("half_done", f"after the rerun: {state(here)} is not {end}"))
    faults += [("left_over", str(path)) for path in left(here)]
    return faults


def problems(here: Path, before: State, end: State, step: Step) -> list[tuple[str, str]]:
    """Compare what a killed command left with what there was, and with what there should be."""
    now = state(here)
    faults = []
    for was, got, will in zip(before, now, end, strict=True):
        if got in (was, will):
            continue
        between = step.name.startswith("index") and isinstance(got, tuple)
        # An update commits batches: each image is as before, or as in the end.
        if not between or not set(got[0]) <= {*(was[0] if was else ()), *(will[0] if will else ())}:
            faults.append(("lost" if isinstance(got, str) else "half_done", f"{got}"))
    return faults


def state(here: Path) -> State:
    """Return what each thing holds: the index, the shards, the one made, and the vocabulary."""
    found: list[Any] = []
    for place in ("index", "shards", "made"):
        if not is_index(here / place):
            found.append(None)
            continue
        try:
            index = Index.open(here / place)
            rows = tuple((row.name, row.features) for row in index.images())
            damaged = bool(find_problems(here / place))
            found.append((rows, index.graph is not None, damaged))
        except BovwError as error:
            found.append(f"{place}: {error}")
    for place in ("vocab", "index/vocabulary"):
        try:
            folder = (
                here / place if place == "vocab" else Index.open(here / "index").vocabulary_folder
            )
            found.append((Vocabulary.load(folder).fingerprint,))
        except BovwError as error:
            found.append(f"{place}: {error}")
    return tuple(found)


def left(here: Path) -> list[Path]:
    """Return what should have been removed."""
    found = [path for path in here.iterdir() if path.name.startswith(".")]
    for place in ("index", "shards", "made"):
        if is_index(here / place):
            found += find_leftovers(here / place)
            found += list((here / place).rglob("*.staged.*"))
    return found


class Inside:
    """Works in a folder for a while."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.before = folder, Path.cwd()

    def __enter__(self) -> None:
        os.chdir(self.folder)

    def __exit__(self, *given: object) -> None:
        os.chdir(self.before)


def child(here: Path, command: tuple[object, ...], number: int, kept: Path) -> None:
    """Run a command in a copy of this process, and kill it at one operation; -1 for none."""
    process = os.fork()
    if process == 0:
        os.chdir(here)
        count_operations(here, number, kept)
        in_process(*command)
        os._exit(0)
    started = time.time()
    while os.waitpid(process, os.WNOHANG) == (0, 0):
        if time.time() - started > 120:
            os.kill(process, signal.SIGKILL)
        time.sleep(0.01)


def count_operations(here: Path, number: int, kept: Path) -> None:
    """Count this process's file operations in a folder, and kill it at one of them."""
    counted = [0]

    def hear(event: str, given: tuple[Any, ...]) -> None:
        if event == "open":
            relevant = bool(int(given[2] or 0) & WRITING) and given[0] != str(kept)
        else:
            relevant = event in EVENTS
        if not relevant:
            return
        path = Path(os.fsdecode(given[0])) if isinstance(given[0], str | bytes) else here
        if not (here / path).is_relative_to(here) or path == kept:
            return
        if counted[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        counted[0] += 1
        if number < 0:
            handle = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.write(handle, str(counted[0]).encode())
            os.close(handle)

    sys.addaudithook(hear)
