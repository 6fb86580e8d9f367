"""Shows by counts that an index survives: kills, bad files, two at once, and damage.

    python benchmarks/faults.py DIR [--kills 200] [--seconds 60] [--scratch DIR] [--only PART...]

DIR has photographs, of which 64 are taken, reduced to 400 pixels; 1,024 words are trained on them
once. Everything random has a seed, but for the times at which processes are where they are.

kills       commands that write are killed with SIGKILL, their process group or the main process
            alone: at any time, once they write, or when a commit begins. After each, the index is
            checked and asked, and the same command is run to its end.
bad files   damaged and odd files are indexed twice. Each has to be listed, as ok or with a reason.
two at once readers open the index anew for every query while a writer commits; a second writer has
            to be told of the first, and to get in once that is killed.
damage      a byte of an index is flipped, or a file of it cut, emptied, removed or swapped: what
            `bovw check` finds, what a query does, and what `bovw check --repair` brings back.

A row for each part goes to the screen, with what has to be 0 marked, and all counts to
results/faults.json; the exit code is 1 where one is not 0.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import io
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any, NamedTuple

import cv2
import numpy as np
from click.testing import CliRunner
from machine import HERE, machine, write_result
from PIL import Image

from bovw.cli import cli
from bovw.errors import BovwError
from bovw.features import describe, describe_query
from bovw.guard import Casualty, guarded
from bovw.images import find_images, size_and_time
from bovw.index import Index, IndexWriter
from bovw.index.catalog import FILE, ImageRow, read_meta
from bovw.index.lock import LOCK_FILE, NOTE_FILE, WriterLock
from bovw.options import FeatureOptions, SearchOptions
from bovw.pictures import read_picture
from bovw.plan import plan_update
from bovw.records import Box, Features, Words
from bovw.results import printable
from bovw.search import Searcher
from bovw.vocab import Vocabulary

BOVW = [sys.executable, "-m", "bovw"]
SMALL = ["--max-size", "400", "--max-features", "300"]
OPTIONS = FeatureOptions(max_size=400, max_features=300)
POOL, WORDS = 64, 1024
# Seconds that a command may take; it is ended then, and counted as hanging.
PATIENCE = 180.0
# Seconds after which a worker of a killed process should have noticed.
LINGER = 15.0
# What must be 0, in any part.
NEVER = (
    "images_lost", "strangers", "half_done", "failed_runs", "failed_checks", "locks_left",
    "failed_next_runs", "leftovers", "workers_left", "hung",
    "absent", "crashes", "read_again", "wrong_answers", "errors",
    "states_never_committed", "not_told_to_wait", "not_let_in", "crashed", "missed_in_content",
    "sealed", "not_brought_back", "unguarded",
)  # fmt: skip

Rows = dict[str, str]
Counts = dict[str, Any]


# What all parts share: photographs, a vocabulary, and asking an index


@dataclass
class Bench:
    """Photographs by their SHA-256, a vocabulary trained on them, and a folder to work in."""

    photos: dict[str, Path]
    vocab: Path
    scratch: Path
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    described: dict[str, tuple[Features, Box]] = field(default_factory=dict)

    def folder(self, name: str) -> Path:
        """Make an empty folder."""
        path = self.scratch / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def copy(self, sha: str, path: Path) -> None:
        """Put a photograph at a path."""
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.photos[sha], path)

    def query(self, searcher: Searcher, sha: str) -> tuple[Features, Box]:
        """Describe a photograph as a query, once."""
        if sha not in self.described:
            options = searcher.feature_options
            self.described[sha] = describe_query(self.photos[sha], options=options)
        return self.described[sha]

    def not_found(self, index: Path, rows: Rows) -> list[str]:
        """Return the names that their own pictures do not find first and confirmed."""
        searcher = Searcher(Index.open(index))
        missing = []
        for name, sha in rows.items():
            hits = searcher.search_features(*self.query(searcher, sha), 1)
            if not hits or hits[0].name != name or not hits[0].verified:
                missing.append(name)
        return missing


def prepare(source: Path, scratch: Path) -> Bench:
    """Reduce photographs of a folder, and train a vocabulary on them."""
    pool = scratch / "pool"
    shutil.rmtree(pool, ignore_errors=True)
    pool.mkdir(parents=True)
    found = find_images([source])
    step = max(1, len(found) // POOL)
    photos: dict[str, Path] = {}
    for image in found[::step][:POOL]:
        pixels = read_picture(image.path, OPTIONS.max_size).pixels
        path = pool / f"{len(photos):03}.jpg"
        path.write_bytes(bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 92])[1]))
        photos.setdefault(sha_of(path), path)
    vocab = scratch / "vocab"
    if not vocab.is_dir():
        command = ["build-vocab", pool, "--out", vocab, "--words", WORDS, "--jobs", 2, "-q"]
        bovw(*command, *SMALL).check_returncode()
    return Bench(photos, vocab, scratch)


def bovw(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; raises TimeoutExpired where that does not come."""
    command = [*BOVW, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, errors="surrogateescape"
    )


def in_process(*arguments: object) -> tuple[int, str]:
    """Run a command in this process: its exit code, and what it printed."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def disorderly(output: str) -> bool:
    """Tell whether a command has shown an error that it does not know."""
    return "Traceback" in output or "unexpected " in output


def sha_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rows_of(index: Path) -> Rows:
    """Return what an index holds: the SHA-256 of every image by its name."""
    if not read_meta(index):
        return {}
    return {row.name: row.sha256 or "" for row in Index.open(index).images() if row.status == "ok"}


def show(part: str, counts: Counts) -> None:
    """Print counts, those of parts of a part below it; what should be 0 and is not is marked."""
    for name, value in counts.items():
        if isinstance(value, dict):
            show(f"  {name}", value)
        else:
            mark = "   <-- should be 0" if name in NEVER and value else ""
            text = len(value) if isinstance(value, list) else value
            print(f"{part:<24} {name.replace('_', ' '):<44} {text:>8}{mark}", flush=True)
        part = ""


# Part 1: kills


class Attempt(NamedTuple):
    """A command that writes to an index.

    before, after  what the index holds before the command, and after all of it
    atomic         whether it may leave nothing in between
    refusal        what it says, instead of doing anything, where all is done already
    """

    kind: str
    arguments: list[object]
    folder: Path
    before: Rows
    after: Rows
    atomic: bool = False
    refusal: str = ""


class Killer:
    """Runs commands and kills them, and looks at what they leave."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.rng = bench, bench.rng
        self.photos, self.index = bench.folder("photos"), bench.scratch / "index"
        shutil.rmtree(self.index, ignore_errors=True)
        self.archive = bench.scratch / "index.bovw"
        self.here: Rows = {}
        self.made = 0
        # Seconds that each command took when nobody killed it, and until it began to write.
        self.took: dict[str, float] = {}
        self.began: dict[str, float] = {}
        self.by_kind: dict[str, Counter[str]] = {}
        self.total: Counter[str] = Counter()
        self.notes: list[str] = []
        # Killed processes' sessions, and when they were killed.
        self.sessions: list[tuple[int, float]] = []

    def run(self, kills: int) -> Counts:
        """Do so many runs; each kind of command is run once to its end before, to be timed."""
        makers = {
            "index, first build": (self._build, 5),
            "index, update": (self._update, 6),
            "add": (self._add, 3),
            "remove": (self._remove, 2),
            "merge": (self._merge, 2),
            "import": (self._import, 2),
        }
        self._change(24, 0, 0, 0)
        self._measure(
            Attempt("index, update", self._indexing(self.index), self.index, {}, self.here)
        )
        in_process("export", self.archive, "--index", self.index)
        self.archived = dict(self.here)
        for make, _ in makers.values():
            self._measure(make())
        while self.total["killed"] < kills:
            names, shares = list(makers), [share for _, share in makers.values()]
            kind = self.rng.choices(names, shares)[0]
            attempt = makers[kind][0]()
            self._trial(attempt)
        while self.sessions:
            time.sleep(1)
            self._end_sessions(attempt)
        return self.counts()

    def counts(self) -> Counts:
        """Return all counts by name, those that should be 0 too."""
        zeros = NEVER[: NEVER.index("hung") + 1]
        kinds = {kind: dict(counted) for kind, counted in sorted(self.by_kind.items())}
        ordered = dict(sorted(self.total.items(), key=lambda item: item[0] in zeros))
        return {**ordered, **{z: self.total[z] for z in zeros}, "by_command": kinds,
                "notes": self.notes}  # fmt: skip

    # Commands

    def _indexing(self, index: Path) -> list[object]:
        common = ["--vocab", self.bench.vocab, *SMALL, "--batch", 4, "--jobs", 2]
        return ["index", self.photos, "--index", index, *common]

    def _build(self) -> Attempt:
        index = self._new_place()
        return Attempt("index, first build", self._indexing(index), index, {}, dict(self.here))

    def _update(self) -> Attempt:
        before = dict(self.here)
        extra = self.rng.randint(1, 4)
        gone = max(0, len(before) + extra - 26) + self.rng.randint(0, 2)
        self._change(extra, self.rng.randint(0, 3), self.rng.randint(0, 3), gone)
        command = ["index", self.photos, "--index", self.index, "--batch", 2, "--jobs", 2]
        return Attempt("index, update", command, self.index, before, dict(self.here))

    def _add(self) -> Attempt:
        before = dict(self.here)
        self._change(self.rng.randint(3, 6), 0, 0, 0)
        new = [self.photos / name for name in self.here if name not in before]
        command = ["add", *new, "--index", self.index, "--batch", 1, "--jobs", 2]
        return Attempt("add", command, self.index, before, dict(self.here))

    def _remove(self) -> Attempt:
        before = dict(self.here)
        self._change(0, 0, 0, 4)
        names = [name for name in before if name not in self.here]
        command = ["remove", *names, "--index", self.index]
        after = dict(self.here)
        return Attempt("remove", command, self.index, before, after, True, "has no ")

    def _merge(self) -> Attempt:
        before = dict(self.here)
        self._change(0, 0, 0, 3)
        with IndexWriter.open(self.index) as writer:
            for name in before.keys() - self.here.keys():
                writer.remove(name)
            writer.commit()
        now = dict(self.here)
        return Attempt("merge", ["merge", "--index", self.index], self.index, now, now, True)

    def _import(self) -> Attempt:
        index = self._new_place()
        command = ["import", self.archive, "--index", index]
        return Attempt("import", command, index, {}, self.archived, True, "is there already")

    def _new_place(self) -> Path:
        """Return a folder that is not there, in an empty folder of its own."""
        self.made += 1
        return self.bench.folder(f"new/{self.made}") / "index"

    def _change(self, added: int, changed: int, moved: int, removed: int) -> None:
        """Change photographs in their folder; nothing is there twice."""
        spare = sorted(self.bench.photos.keys() - set(self.here.values()))
        fresh = iter(self.rng.sample(spare, min(added + changed, len(spare))))
        touched = self.rng.sample(sorted(self.here), changed + moved + removed)
        for name in touched[:removed]:
            (self.photos / name).unlink()
            del self.here[name]
        for name in touched[removed : removed + moved]:
            other = self._new_name()
            (self.photos / other).parent.mkdir(exist_ok=True)
            (self.photos / name).rename(self.photos / other)
            self.here[other] = self.here.pop(name)
        names = touched[removed + moved :] + [self._new_name() for _ in range(added)]
        for name, sha in zip(names, fresh, strict=False):
            self.bench.copy(sha, self.photos / name)
            self.here[name] = sha

    def _new_name(self) -> str:
        self.made += 1
        return f"{self.rng.choice('abc')}/{self.made:05}.jpg"

    # Runs

    def _measure(self, attempt: Attempt) -> None:
        """Run a command to its end, and note how long it took."""
        started = time.perf_counter()
        process = self._start(attempt)
        self._wait_for(lambda: self._writes(attempt, process), process)
        self.began[attempt.kind] = time.perf_counter() - started
        process.wait(PATIENCE)
        self.took[attempt.kind] = time.perf_counter() - started
        assert process.returncode == 0, attempt
        self._look_after(attempt, complete=True)
        self._clear(attempt)

    def _trial(self, attempt: Attempt) -> None:
        """Kill a command, perhaps again and again, then let it end."""
        while True:
            ended = self._kill(attempt)
            now = self._look_after(attempt, complete=ended)
            # Where all is done, the same command is refused.
            done = bool(attempt.refusal) and now == attempt.after
            if ended or done or self.rng.random() < 0.75:
                break
        if not ended:
            self._run_again(attempt, now)
        self._clear(attempt)

    def _kill(self, attempt: Attempt) -> bool:
        """Run a command and kill it; tell whether it came to its end before."""
        process = self._start(attempt)
        moment = self.rng.choice(("any time", "writing", "commit"))
        whole = self.rng.random() < 0.5
        if moment == "any time":
            wait = self.rng.uniform(0, self.took[attempt.kind])
        else:
            self._wait_for(lambda: self._writes(attempt, process), process)
            wait = self.rng.uniform(0, self.took[attempt.kind] - self.began[attempt.kind])
        if moment == "commit":
            for _ in range(self.rng.randint(1, 4)):
                parts = self._parts(attempt)
                self._wait_for(partial(self._has_new_part, attempt, parts), process)
            wait = self.rng.uniform(0, 0.06)
        with suppress(subprocess.TimeoutExpired):
            process.wait(wait)
        if process.poll() is None:
            with suppress(ProcessLookupError):
                (os.killpg if whole else os.kill)(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
        self._count(attempt, "runs")
        if process.returncode == -signal.SIGKILL:
            self._count(attempt, "killed")
            self._count(attempt, f"killed: {moment}")
            self._count(attempt, "killed: the group" if whole else "killed: the main process alone")
        elif process.returncode == 0:
            self._count(attempt, "ended before")
        else:
            said = f"exit code {process.returncode}: {self._stderr()}"
            self._fault(attempt, "failed_runs", said)
        self.sessions.append((process.pid, time.monotonic()))
        return process.returncode == 0

    def _start(self, attempt: Attempt) -> subprocess.Popen[bytes]:
        command = [*BOVW, *map(str, attempt.arguments)]
        with (self.bench.scratch / "stderr").open("wb") as errors:
            return subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
            )

    def _stderr(self) -> str:
        text = (self.bench.scratch / "stderr").read_text(encoding="utf-8", errors="replace")
        return text.strip()[-600:]

    def _writes(self, attempt: Attempt, process: subprocess.Popen[bytes]) -> bool:
        """Tell whether a process has begun to write."""
        if attempt.kind == "import":
            return any(attempt.folder.parent.glob(".*"))
        with suppress(OSError, ValueError):
            note = json.loads((attempt.folder / NOTE_FILE).read_text(encoding="utf-8"))
            return bool(note["pid"] == process.pid)
        return False

    def _parts(self, attempt: Attempt) -> set[str]:
        """Return what a commit writes to: its folders, and SQLite's journal."""
        root = attempt.folder.parent if attempt.kind == "import" else attempt.folder
        found = set()
        for at, folders, files in os.walk(root):
            found |= {f"{at}/{name}" for name in folders if name.isdecimal()}
            found |= {f"{at}/{name}" for name in files if name.endswith("-journal")}
        return found

    def _has_new_part(self, attempt: Attempt, known: set[str]) -> bool:
        return not self._parts(attempt) <= known

    def _wait_for(self, true: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
        """Wait until something holds, or the process has ended."""
        while process.poll() is None and not true():
            time.sleep(0.0005)

    def _run_again(self, attempt: Attempt, now: Rows) -> None:
        """Run the same command to its end; it may say that all is done already."""
        process = self._start(attempt)
        try:
            code = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self._fault(attempt, "hung", "the next run")
            return
        said = self._stderr()
        done = bool(attempt.refusal) and now == attempt.after
        if code == 0 or (done and attempt.refusal in said):
            self._count(attempt, "next runs that had nothing to do" if code else "next runs done")
        else:
            self._fault(attempt, "failed_next_runs", f"exit code {code}: {said}")
        self._look_after(attempt, complete=True, cleared=code == 0)

    # What is left

    def _look_after(self, attempt: Attempt, complete: bool, cleared: bool = True) -> Rows:
        """Look at what a command left; return what the index holds.

        complete  whether it came to its end, or an earlier run of it did
        cleared   whether it should have removed what an earlier run left
        """
        index = attempt.folder
        self._check(attempt, complete)
        self._try_lock(attempt)
        now = rows_of(index)
        for name in lost(attempt, now):
            self._fault(attempt, "images_lost", name)
        for name in now.keys() - (attempt.before.keys() | attempt.after.keys()):
            self._fault(attempt, "strangers", name)
        expected = [attempt.after] if complete else [attempt.before, attempt.after]
        if (complete or attempt.atomic) and now not in expected:
            self._fault(attempt, "half_done", f"{len(now)} images")
        if now:
            everything = self.total["runs"] % 10 == 0
            asked = now if everything else dict(self.rng.sample(sorted(now.items()), 3))
            self.total["queries"] += len(asked)
            for name in self.bench.not_found(index, asked):
                self._fault(attempt, "images_lost", f"{name} is there but not found")
        if complete and cleared:
            for path in leftovers(index):
                self._fault(attempt, "leftovers", str(path))
        self._end_sessions(attempt)
        return now

    def _check(self, attempt: Attempt, complete: bool) -> None:
        code, said = in_process("check", "--index", attempt.folder)
        # A first build or an import that committed nothing has left no index to check.
        none = not attempt.before and not complete and not attempt.folder.joinpath(FILE).exists()
        if not attempt.before and not complete and not none:
            with suppress(BovwError):
                none = not read_meta(attempt.folder)
        if none and code == 1 and "there is no index" in said:
            self._count(attempt, "no index yet")
        elif code != 0:
            self._fault(attempt, "failed_checks", said.strip()[-300:])

    def _try_lock(self, attempt: Attempt) -> None:
        if not attempt.folder.is_dir():
            return
        try:
            with WriterLock(attempt.folder):
                pass
        except BovwError as error:
            self._fault(attempt, "locks_left", str(error))

    def _end_sessions(self, attempt: Attempt) -> None:
        """Count workers that live on long after their main process was killed, and end them."""
        waiting = []
        for session, killed in self.sessions:
            alive = processes_of(session)
            if alive and time.monotonic() - killed < LINGER:
                waiting.append((session, killed))
            elif alive:
                self._fault(attempt, "workers_left", f"{len(alive)} after {LINGER:g} s")
                for process in alive:
                    with suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
        self.sessions[:] = waiting

    def _clear(self, attempt: Attempt) -> None:
        if attempt.folder != self.index:
            shutil.rmtree(attempt.folder.parent)

    def _count(self, attempt: Attempt, name: str) -> None:
        self.total[name] += 1
        self.by_kind.setdefault(attempt.kind, Counter())[name] += 1

    def _fault(self, attempt: Attempt, name: str, note: str) -> None:
        """Count what should not be, and keep a note of it."""
        self._count(attempt, name)
        self.notes.append(f"run {self.total['runs']}, {attempt.kind}: {name}: {note}")
        print(self.notes[-1], file=sys.stderr, flush=True)


def lost(attempt: Attempt, now: Rows) -> Iterator[str]:
    """Yield the images that a command should have kept at every moment, and that are not there."""
    contents, wanted = set(now.values()), set(attempt.after.values())
    for name, sha in attempt.before.items():
        if name in attempt.after:
            if now.get(name) not in (sha, attempt.after[name]):
                yield name
        elif sha in wanted and sha not in contents:
            yield f"{name}, which has moved"


def leftovers(index: Path) -> list[Path]:
    """Return what is in an index or beside it and belongs to nothing."""
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
    """Return the processes of a session that are alive."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, own = status.read_text().rpartition(")")[2].split()[:4]
            if int(own) == session and state != "Z":
                found.append(int(status.parent.name))
    return found


# Part 2: bad files


SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
OTHER_SUFFIXES = {".txt": 3, ".gif": 2, ".heic": 1, ".jpg~": 1}
ORIENTATION = 0x0112


def bad_files(bench: Bench, folder: Path, wanted: int) -> None:
    """Damage a few photographs in many ways, and write them with files that were never right."""
    rng = random.Random(1)
    sources = [bench.photos[sha] for sha in sorted(bench.photos)[:3]]
    contents = [one for path in sources[:2] for one in encodings(path)]
    written = 0
    for group in (declared, odd_pictures, wrong_suffixes, nothing_in_them):
        for name, content in group(contents, sources[0], rng):
            (folder / name).write_bytes(content)
            written += 1
    odd_places(folder, sources[2])
    while written < wanted:
        for suffix, content in contents:
            for how in (cut, flip, flip_header, scramble, splice):
                (folder / f"{how.__name__}_{written:04}{suffix}").write_bytes(how(content, rng))
                written += 1


def encodings(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield a picture in every format, with its suffix."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB").resize((320, 240))
    for suffix, options in (
        (".jpg", {"format": "JPEG", "quality": 90}),
        (".jpeg", {"format": "JPEG", "progressive": True}),
        (".png", {"format": "PNG"}),
        (".webp", {"format": "WEBP", "quality": 80}),
        (".WEBP", {"format": "WEBP", "lossless": True}),
        (".tif", {"format": "TIFF"}),
        (".tiff", {"format": "TIFF", "compression": "tiff_lzw"}),
        (".TIF", {"format": "TIFF", "compression": "jpeg"}),
        (".bmp", {"format": "BMP"}),
    ):
        yield suffix, saved(picture, **options)


def saved(picture: Image.Image, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, **options)
    return out.getvalue()


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(1, len(content))]


def flip(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 3, 30))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def flip_header(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 2, 4))):
        data[rng.randrange(4, min(200, len(data)))] = rng.randrange(256)
    return bytes(data)


def scramble(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content))
    return content[:start] + rng.randbytes(len(content) - start)


def splice(content: bytes, rng: random.Random) -> bytes:
    """Take a piece out, or put it in twice."""
    start, length = rng.randrange(len(content)), rng.randrange(1, 2000)
    piece = content[start : start + length]
    return content[:start] + (2 * piece if rng.random() < 0.5 else b"") + content[start + length :]


Made = Iterator[tuple[str, bytes]]


def declared(contents: list[tuple[str, bytes]], source: Path, rng: random.Random) -> Made:
    """Yield headers of giant and of empty pictures with hardly anything behind them."""
    sides = (0, 1, 65_535, 100_000, 2**31 - 1, 2**32 - 1)
    sizes = [(w, 480) for w in sides] + [(s, s) for s in sides] + [(15_000, 15_000)]
    for number, (width, height) in enumerate(sizes):
        for bits in (8, 16):
            yield f"declared_{bits}_{number}.png", png_header(width, height, bits)
        yield f"declared_{number}.tif", tiff_header(width, height)
        yield f"declared_{number}.bmp", bmp_header(width, height)
        yield f"declared_{number}.webp", webp_header(width, height)
        jpeg = bytearray(next(content for suffix, content in contents if suffix == ".jpg"))
        frame = jpeg.index(b"\xff\xc0")
        jpeg[frame + 5 : frame + 9] = struct.pack(">HH", height % 65_536, width % 65_536)
        yield f"declared_{number}.jpg", bytes(jpeg)


def png_header(width: int, height: int, bits: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(100_000))
    parts = chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff_header(width: int, height: int) -> bytes:
    values = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 200, 277: 1, 278: height,
              279: 1000}  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, v) for tag, v in values.items())
    head = b"II*\0" + struct.pack("<IH", 8, len(values)) + entries + bytes(4)
    return head.ljust(200, b"\0") + bytes(1000)


def bmp_header(width: int, height: int) -> bytes:
    sides = struct.pack("<II", width, height)
    information = struct.pack("<I", 40) + sides + struct.pack("<HHIIiiII", 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 1054, 0, 0, 54) + information + bytes(1000)


def webp_header(width: int, height: int) -> bytes:
    sides = struct.pack("<I", (width - 1) % 2**24)[:3] + struct.pack("<I", (height - 1) % 2**24)[:3]
    body = b"WEBPVP8X" + struct.pack("<II", 10, 0) + sides + b"VP8 " + struct.pack("<I", 1000)
    return b"RIFF" + struct.pack("<I", len(body) + 1000) + body + bytes(1000)


def odd_pictures(contents: list[tuple[str, bytes]], source: Path, rng: random.Random) -> Made:
    """Yield pictures that are unusual but right, or of unusual sizes."""
    with Image.open(source) as opened:
        picture = opened.convert("RGB").resize((320, 240))
    turned = [picture.rotate(angle) for angle in (0, 10, 20)]
    film = {"save_all": True, "append_images": turned[1:], "duration": 100}
    yield "animated.webp", saved(turned[0], format="WEBP", **film)
    yield "animated.png", saved(turned[0], format="PNG", **film)
    yield "pages.tif", saved(turned[0], format="TIFF", save_all=True, append_images=turned[1:])
    yield "cmyk.jpg", saved(picture.convert("CMYK"), format="JPEG")
    yield "cmyk.tif", saved(picture.convert("CMYK"), format="TIFF")
    grey = np.asarray(picture.convert("L"))
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    yield "deep.png", saved(deep, format="PNG")
    yield "deep.tif", saved(deep, format="TIFF")
    yield "deep_blank_8000.png", saved(Image.new("I;16", (8000, 8000)), format="PNG")
    yield "float.tif", saved(Image.fromarray(grey.astype(np.float32)), format="TIFF")
    yield "nan.tif", saved(Image.fromarray(np.full((99, 99), np.nan, np.float32)), format="TIFF")
    yield "one_bit.png", saved(picture.convert("1"), format="PNG")
    yield "one_bit.tif", saved(picture.convert("1"), format="TIFF", compression="group4")
    yield "grey_alpha.png", saved(picture.convert("LA"), format="PNG")
    palette = picture.quantize(16)
    yield "palette.png", saved(palette, format="PNG", transparency=3)
    yield "palettes.png", saved(palette, format="PNG", transparency=bytes(range(16)))
    yield "palette.bmp", saved(palette, format="BMP")
    for width, height in ((1, 1), (20_000, 2), (2, 20_000), (20_000, 20), (16, 16), (15, 400)):
        shape = Image.new("RGB", (width, height), "red")
        for suffix, kind in ((".png", "PNG"), (".bmp", "BMP"), (".tiff", "TIFF")):
            yield f"shape_{width}_{height}{suffix}", saved(shape, format=kind)
        if max(width, height) < 16_384:
            yield f"shape_{width}_{height}.webp", saved(shape, format="WEBP")
    for orientation in range(11):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        yield f"turned_{orientation}.jpg", saved(picture, format="JPEG", exif=exif)
        yield f"turned_{orientation}.png", saved(picture, format="PNG", exif=exif)
        yield f"turned_{orientation}.webp", saved(picture, format="WEBP", exif=exif)
        yield f"turned_{orientation}.tif", saved(picture, format="TIFF", exif=exif)
    yield "exif_broken.jpg", saved(picture, format="JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    yield "rubbish_behind.jpg", saved(picture, format="JPEG") + rng.randbytes(5000)


def wrong_suffixes(contents: list[tuple[str, bytes]], source: Path, rng: random.Random) -> Made:
    for suffix, content in contents[:9]:
        for other in SUFFIXES:
            yield f"was_{suffix[1:]}_{len(content)}{other}", content
    for number, (kind, count) in enumerate(OTHER_SUFFIXES.items()):
        for copy in range(count):
            yield f"other_{number}_{copy}{kind}", contents[0][1]
    yield ".hidden.jpg", contents[0][1]


def nothing_in_them(contents: list[tuple[str, bytes]], source: Path, rng: random.Random) -> Made:
    for suffix in SUFFIXES:
        magic = next((c for s, c in contents if s.lower() == suffix), contents[0][1])[:16]
        yield f"empty{suffix}", b""
        yield f"zeros{suffix}", bytes(5000)
        yield f"one_byte{suffix}", b"\xff"
        yield f"text{suffix}", b"Not a picture at all.\n" * 20
        for number in range(3):
            yield f"random_{number}{suffix}", rng.randbytes(rng.randrange(1, 20_000))
            yield f"begins_right_{number}{suffix}", magic + rng.randbytes(5000)


NAMES = (
    b"new\nline.jpg", b"return\r.jpg", b"tab\there.jpg", b"latin \xe9\xff.jpg", b"quote'\".jpg",
    b"-dash.jpg", b"--index.jpg", b"$(touch x).jpg", b"%s %n.jpg", b"*[glob]?.jpg", b" space .jpg",
    b"back\\slash.jpg", "\U0001f600\u200f\u0301.jpg".encode(), "line\u2028separator.jpg".encode(),
    b"esc\x1b[31m.jpg", b"e" * 251 + b".jpg", "\u00e9".encode() * 125 + b".jpg", b"CAPITAL.JPG",
    b"two..dots...jpg", b"del\x7f.jpg",
)  # fmt: skip


def odd_places(folder: Path, source: Path) -> None:
    """Write files with odd names, and what looks like a file and is none."""
    for name in NAMES:
        shutil.copyfile(source, os.fsencode(folder) + b"/" + name)
    os.mkfifo(folder / "fifo.jpg")
    (folder / "broken_link.jpg").symlink_to("nowhere.jpg")
    (folder / "link_to_itself.jpg").symlink_to("link_to_itself.jpg")
    (folder / "one.jpg").symlink_to("other.jpg")
    (folder / "other.jpg").symlink_to("one.jpg")
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "link.jpg").symlink_to(source)
    inside = folder / "directory.jpg"
    inside.mkdir()
    shutil.copyfile(source, inside / "inside.jpg")
    (inside / "up").symlink_to("..")
    (folder / "empty_directory.png").mkdir()
    deep = folder.joinpath(*["d" * 200] * 15)
    deep.mkdir(parents=True)
    shutil.copyfile(source, deep / "deep.jpg")
    if os.geteuid():
        shutil.copyfile(source, folder / "no_permission.jpg")
        (folder / "no_permission.jpg").chmod(0)


def try_bad_files(bench: Bench, wanted: int) -> Counts:
    """Index bad files among good ones, twice; see that none is missing."""
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
    """Compare the files of a folder with those that `bovw list` prints, and with what was said."""
    (first, slow), (second, fast) = runs
    every = set(names_below(folder))
    pictures = {name for name in every if name.lower().endswith(SUFFIXES) and not hidden(name)}
    lines = bovw("list", "--index", index).stdout.splitlines()
    reasons = dict(line.partition("\t")[::2] for line in lines)
    absent = [name for name in pictures if printable(name) not in reasons]
    said = re.search(r"left out: (.+)", first.stderr)
    aloud = sum(int(n) for n in re.findall(r"(\d+) [.w]", said[1])) if said else 0
    others = [name for name in every - pictures if not hidden(name)]
    kinds = Counter(kind_of(reason) for reason in reasons.values() if reason)
    unnamed = [n for n, r in reasons.items() if r and f"skipped {n}: {r}" not in first.stderr]
    as_before = re.search(r"([\d,]+) as before", second.stderr)
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
    """Return a reason without what is of one file only."""
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
    """Plan another update of a folder; return its files that are opened, or to be read again.

    Those that nobody could read are left out: every update looks whether they have become readable.
    """
    sys.addaudithook(_note_opening)
    rows = {row.name: row for row in Index.open(index).images()}
    _opened.clear()
    _watched[:] = [f"{folder}{os.sep}"]
    plan = plan_update(rows, find_images([folder]))
    _watched.clear()
    names = {image.name for image in plan.to_read} - unreadable(index)
    return names | set(_opened)


def unreadable(index: Path) -> set[str]:
    """Return the names of files that could not even be opened."""
    return {row.name for row in Index.open(index).images() if row.sha256 is None}


def ask_bad_ones(folder: Path, index: Path, skipped: list[str]) -> Counts:
    """Ask with every file that was skipped and whose name is listed as it is, a hundred at once."""
    names = [name for name in skipped if (folder / name).is_file()]
    errors = 0
    for start in range(0, len(names), 100):
        paths = [folder / name for name in names[start : start + 100]]
        done = bovw("query", *paths, "--index", index, "--topk", 1)
        wrong = done.returncode not in (1, 3) or disorderly(done.stderr)
        errors += wrong or not all(f"skipped {path}: " in done.stderr for path in paths)
    return {"queries of skipped files": len(names), "errors": errors}


def deed(item: tuple[int, str]) -> int:
    """Do what a decoder must not do."""
    number, kind = item
    if kind == "segfault":
        ctypes.string_at(0)
    elif kind == "hang":
        time.sleep(60)
    elif kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "exit":
        os._exit(1)
    return number


def try_guard(bench: Bench, items: int = 100) -> Counts:
    """Let the work on some items crash or hang; see that only these are lost."""
    kinds = ["fine"] * 12 + ["segfault", "hang", "kill", "exit"]
    work = [(number, bench.rng.choice(kinds)) for number in range(items)]
    answers = list(guarded(deed, work, 2, 1.0))
    right = [
        isinstance(answer, Casualty) and answer.item == item
        if item[1] != "fine"
        else answer == item[0]
        for item, answer in zip(work, answers, strict=True)
    ]
    guilty = sum(kind != "fine" for _, kind in work)
    return {"items": items, "crashed or hung": guilty, "unguarded": right.count(False)}


# Part 3: two at once


class Known(NamedTuple):
    """An image ready to be added."""

    sha: str
    row: ImageRow
    features: Features
    words: Words


def known(bench: Bench, sha: str, name: str) -> Known:
    path = bench.photos[sha]
    picture = read_picture(path, OPTIONS.max_size)
    features = describe(picture, OPTIONS)
    words = Vocabulary.load(bench.vocab).assign(features)
    size, mtime = size_and_time(path)
    row = ImageRow(name, f"{path.parent}/", size, mtime, sha, picture.width, picture.height,
                   len(features))  # fmt: skip
    return Known(sha, row, features, words)


def state_of(index: Index) -> str:
    """Return a digest of the names of the images that an opened index holds."""
    live = np.flatnonzero(index.statistics.live).tolist()
    names = sorted(index.names[image] for image in live)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def write_on(index: Path, comes_and_goes: list[Known], seconds: float, log: Path) -> None:
    """Replace images by others, a commit each time; log every state before it is committed."""
    rng = random.Random(2)
    deadline = time.monotonic() + seconds
    commits = 0
    with log.open("a", encoding="utf-8") as states:
        while time.monotonic() < deadline:
            with IndexWriter.open(index) as writer:
                for one in rng.sample(comes_and_goes, rng.randint(1, 3)):
                    if one.row.name in writer.rows:
                        writer.remove(one.row.name)
                    else:
                        writer.add(one.row, one.features, one.words)
                if rng.random() < 0.1:
                    writer.compact()
                names = "\n".join(sorted(writer.rows))
                states.write(hashlib.sha256(names.encode()).hexdigest() + "\n")
                states.flush()
                writer.commit()
            commits += 1
    log.with_suffix(".count").write_text(str(commits), encoding="utf-8")


def read_on(
    index: Path, stays: dict[str, tuple[Features, Box]], seconds: float, number: int, out: Path
) -> None:
    """Open an index anew for every query; write what was seen and how long it took."""
    rng = random.Random(number)
    seen: Counter[str] = Counter()
    times: list[float] = []
    states: set[str] = set()
    names = sorted(stays)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        name = rng.choice(names)
        started = time.perf_counter()
        try:
            searcher = Searcher(Index.open(index))
            hits = searcher.search_features(*stays[name], 20)
            took = time.perf_counter() - started
            states.add(state_of(searcher.index))
        except Exception as error:
            seen["errors"] += 1
            print(f"reader: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            continue
        seen["queries"] += 1
        first = hits[0]
        right = first.name == name and first.verified and first.rank == 1
        right = right and all(np.isfinite(hit.score) for hit in hits)
        right = right and len({hit.name for hit in hits}) == len(hits)
        seen["wrong_answers"] += not right
        # The first ones bring in what is loaded once a process.
        times += [took] if seen["queries"] > 5 else []
    content = {"seen": seen, "times": times, "states": sorted(states)}
    out.write_text(json.dumps(content), encoding="utf-8")


def try_two_at_once(bench: Bench, seconds: float) -> Counts:
    """Query while another process writes, and while none does; then let two write."""
    folder = bench.folder("together")
    index, log = folder / "index", folder / "states"
    all_known = [
        known(bench, sha, f"{n:02}.jpg") for n, sha in enumerate(sorted(bench.photos)[:36])
    ]
    with made_empty(bench, index) as writer:
        for one in all_known[:30]:
            writer.add(one.row, one.features, one.words)
        writer.commit()
    first = Index.open(index)
    log.write_text(state_of(first) + "\n", encoding="utf-8")
    searcher = Searcher(first)
    stays = {one.row.name: bench.query(searcher, one.sha) for one in all_known[:24]}
    quiet = readers(index, stays, seconds / 4, folder, None)
    busy = readers(index, stays, seconds, folder, partial(write_on, index, all_known[24:]))
    # Half of it afterwards: others may use the processors, too.
    quiet = added(quiet, readers(index, stays, seconds / 4, folder, None))
    committed = set(log.read_text(encoding="utf-8").split())
    p95 = {name: float(np.percentile(got["times"], 95)) for name, got in
           (("quiet", quiet), ("busy", busy))}  # fmt: skip
    code, _ = in_process("check", "--index", index)
    return {
        "seconds": seconds,
        "readers": 4,
        "commits": int(log.with_suffix(".count").read_text(encoding="utf-8")),
        "queries": busy["queries"],
        "queries, nobody writing": quiet["queries"],
        "states seen": len(busy["states"]),
        "states_never_committed": len(busy["states"] - committed),
        "wrong_answers": busy["wrong_answers"] + quiet["wrong_answers"],
        "errors": busy["errors"] + quiet["errors"],
        "failed_checks": int(code != 0),
        "p95 seconds, nobody writing": round(p95["quiet"], 4),
        "p95 seconds, one writing": round(p95["busy"], 4),
        "ratio": round(p95["busy"] / p95["quiet"], 2),
        **two_writers(bench, index),
    }


def made_empty(bench: Bench, index: Path) -> IndexWriter:
    """Start an index with the vocabulary."""
    vocabulary = Vocabulary.load(bench.vocab)
    options = {name: getattr(OPTIONS, name) for name in OPTIONS.__dataclass_fields__}
    writer = IndexWriter.create(
        index, len(vocabulary.words), vocabulary.bits, vocabulary.fingerprint, options
    )
    vocabulary.save(writer.vocabulary_folder)
    return writer


def readers(
    index: Path,
    stays: dict[str, tuple[Features, Box]],
    seconds: float,
    folder: Path,
    writer: Callable[[float, Path], None] | None,
) -> Counts:
    """Run four readers, and a writer beside them if one is given: what they saw together."""
    context = multiprocessing.get_context("spawn")
    outs = [folder / f"reader{number}.json" for number in range(4)]
    processes = [
        context.Process(target=read_on, args=(index, stays, seconds, number, out))
        for number, out in enumerate(outs)
    ]
    if writer:
        processes.append(context.Process(target=writer, args=(seconds, folder / "states")))
    for process in processes:
        process.start()
    for process in processes:
        process.join(seconds + PATIENCE)
    together: Counts = {"queries": 0, "wrong_answers": 0, "errors": 0, "times": [], "states": set()}
    together["errors"] += sum(process.exitcode != 0 for process in processes)
    for out in outs:
        got = json.loads(out.read_text(encoding="utf-8"))
        for name in ("queries", "wrong_answers", "errors"):
            together[name] += got["seen"].get(name, 0)
        together["times"] += got["times"]
        together["states"] |= set(got["states"])
        out.unlink()
    return together


def added(first: Counts, second: Counts) -> Counts:
    """Add up what readers saw."""
    return {name: first[name] | second[name] if isinstance(first[name], set)
            else first[name] + second[name] for name in first}  # fmt: skip


HOLD = """
import sys, time
from pathlib import Path
from bovw.index import IndexWriter
with IndexWriter.open(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def two_writers(bench: Bench, index: Path, rounds: int = 12) -> Counts:
    """Let a writer meet one that is at work, and one that was killed at work."""
    photo = next(iter(bench.photos.values()))
    counts = Counter({"writers that met another": 0, "not_told_to_wait": 0, "not_let_in": 0})
    for _ in range(rounds):
        with subprocess.Popen(
            [sys.executable, "-c", HOLD, str(index)], stdout=subprocess.PIPE, text=True
        ) as holder:
            assert holder.stdout and holder.stdout.readline() == "held\n"
            refused = bovw("add", photo, "--index", index, "--jobs", 1)
            told = f"is being written by process {holder.pid} " in refused.stderr
            counts["not_told_to_wait"] += refused.returncode != 1 or not told
            holder.kill()
            holder.wait()
        entered = bovw("add", photo, "--index", index, "--jobs", 1)
        counts["not_let_in"] += entered.returncode != 0
        bovw("remove", photo.name, "--index", index)
        counts["writers that met another"] += 1
    return dict(counts)


# Part 4: damage


class Damage(NamedTuple):
    """What is done to one file of an index: `kind` at a place, or with another file."""

    kind: str
    file: str
    place: int = 0
    value: int = 0
    other: str = ""


class Outcome(NamedTuple):
    """What `bovw check` and a query made of a damage: exit codes and what they printed.

    sealed  whether `bovw merge` took it for content, so that `bovw check` cannot find it any more
    """

    damage: Damage
    check: tuple[int, str]
    query: tuple[int, str]
    answers: list[Any]
    sealed: bool


def try_damage(bench: Bench, flips: int) -> Counts:
    """Damage copies of an index in many ways, and repair some of them."""
    folder = bench.folder("damage")
    photos, index = folder / "photos", folder / "index"
    rows = damaged_collection(bench, photos, index)
    queries = [photos / name for name in list(rows)[:2]]
    whole = ask_files(index, queries)
    files = sorted(
        path.relative_to(index).as_posix() for path in index.rglob("*")
        if path.is_file() and path.stat().st_size
    )  # fmt: skip
    work = list(planned(index, files, flips, bench.rng))
    look = partial(outcome, index=index, queries=queries, scratch=folder / "copies")
    counts: Counts = {"files": len(files)}
    done: list[Outcome] = []
    crashed = []
    # Plain tuples: the processes cannot import what this script defines.
    answers = guarded(look, map(tuple, work), 2, 60.0)
    for damage, answer in zip(work, answers, strict=True):
        if isinstance(answer, Casualty):
            crashed.append(f"{damage}: {answer.reason}")
        else:
            done.append(Outcome(damage, *answer))
    notes = list(crashed)
    for kind in dict.fromkeys(damage.kind for damage in work):
        part = [one for one in done if one.damage.kind == kind]
        counts[kind] = summary(part, whole, index, notes)
    counts["crashed"] = len(crashed) + sum(
        counts[kind]["crashed"] for kind in counts if isinstance(counts[kind], dict)
    )
    counts["missed_in_content"] = sum(
        counts[kind]["missed"] for kind in counts if isinstance(counts[kind], dict)
    )
    counts["sealed"] = sum(one.sealed for one in done)
    notes += [f"sealed by a merge: {one.damage}" for one in done if one.sealed]
    found = [one.damage for one in done if one.check[0]]
    counts["repairs"] = repairs(bench, folder, sampled(found, bench.rng), rows, notes)
    counts["not_brought_back"] = counts["repairs"].pop("not_brought_back")
    counts["notes"] = notes
    return counts


def damaged_collection(bench: Bench, photos: Path, index: Path) -> Rows:
    """Index a folder so that there are several segments, a removed image, and links."""
    rows = {f"{number:02}.jpg": sha for number, sha in enumerate(sorted(bench.photos)[:28])}
    names = list(rows)
    for start, end in ((0, 22), (22, 27), (27, 28)):
        for name in names[start:end]:
            bench.copy(rows[name], photos / name)
        bovw("index", photos, "--index", index, "--vocab", bench.vocab, *SMALL).check_returncode()
    gone = names[3]
    (photos / gone).unlink()
    bovw("index", photos, "--index", index).check_returncode()
    bovw("link", "--index", index).check_returncode()
    # Three quarters of a catalog after some commits is free space, where damage does nothing.
    with closing(sqlite3.connect(index / FILE)) as catalog:
        catalog.execute("VACUUM")
    return {name: sha for name, sha in rows.items() if name != gone}


# The catalog is flipped as often as so many other files: it has no array's plain structure.
CATALOG_SHARE = 6


def planned(index: Path, files: list[str], flips: int, rng: random.Random) -> Iterator[Damage]:
    """Yield as many flips of each file, and what else can happen to it."""
    each = -(-flips // (len(files) + CATALOG_SHARE - 1))
    for file in files:
        size = (index / file).stat().st_size
        for _ in range(each * (CATALOG_SHARE if file == FILE else 1)):
            yield Damage("flipped", file, rng.randrange(size), 1 << rng.randrange(8))
    for file in files:
        size = (index / file).stat().st_size
        yield Damage("cut", file, rng.randrange(1, size))
        yield Damage("emptied", file)
        yield Damage("removed", file)
        yield Damage("longer", file, value=rng.randrange(256))
        yield Damage("another folder's", file)
        other = rng.choice([other for other in files if other != file])
        yield Damage("swapped", file, other=other)
        twins = [o for o in files if Path(o).name == Path(file).name and o != file]
        if twins:
            yield Damage("swapped", file, other=rng.choice(twins))


def inflict(damage: Damage, index: Path) -> None:
    """Do a damage to an index."""
    path = index / damage.file
    content = path.read_bytes()
    if damage.kind == "flipped":
        data = bytearray(content)
        data[damage.place] ^= damage.value
        path.write_bytes(data)
    elif damage.kind in ("cut", "emptied"):
        path.write_bytes(content[: damage.place])
    elif damage.kind == "removed":
        path.unlink()
    elif damage.kind == "longer":
        path.write_bytes(content + bytes([damage.value]))
    elif damage.kind == "another folder's":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes((index / damage.other).read_bytes())
        (index / damage.other).write_bytes(content)


def outcome(damage: Any, index: Path, queries: list[Path], scratch: Path) -> tuple[Any, ...]:
    """Damage a copy of an index, check it and ask it: an Outcome without the damage."""
    copy = scratch / str(os.getpid()) / "index"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(index, copy)
    inflict(Damage(*damage), copy)
    query = in_process("query", *queries, "--index", copy, "--topk", 5, "--format", "jsonl")
    answers = [json.loads(line) for line in query[1].splitlines() if line.startswith("{")]
    check = in_process("check", "--index", copy)
    # All else is made again by every commit; a byte too many is left behind.
    original = damage[1] == FILE or damage[1].startswith("segments/")
    original = original and damage[0] != "longer"
    merged = original and check[0] != 0 and in_process("merge", "--index", copy)[0] == 0
    sealed = merged and in_process("check", "--index", copy)[0] == 0
    return check, query, brief(answers), sealed


def ask_files(index: Path, queries: list[Path]) -> list[Any]:
    code, said = in_process("query", *queries, "--index", index, "--topk", 5, "--format", "jsonl")
    assert code == 0, said
    return brief([json.loads(line) for line in said.splitlines()])


def brief(answers: list[Any]) -> list[Any]:
    """Keep of answers what does not depend on the order of sums."""
    return [[a["rank"], a["name"], a["inliers"], float(f"{a['score']:.4g}")] for a in answers]


def summary(outcomes: list[Outcome], whole: list[Any], index: Path, notes: list[str]) -> Counts:
    """Count what became of damages of one kind."""
    counts = Counter[str](dict.fromkeys(
        ("done", "found by check", "and the file named", "missed", "unused bytes of the catalog",
         "sealed by a merge", "answered", "answered as before", "refused", "crashed"),
        0))  # fmt: skip
    for damage, (check, told), (code, said), answers, sealed in outcomes:
        counts["done"] += 1
        counts["sealed by a merge"] += sealed
        found = check != 0
        counts["found by check"] += found
        named = any(file and file in told for file in (damage.file, damage.other))
        counts["and the file named"] += found and named
        if found and not named:
            notes.append(f"not named: {damage}: {told.strip()[:300]}")
        if not found:
            # Free space of SQLite: no row of any table has changed.
            harmless = damage.file == FILE and answers == whole
            counts["unused bytes of the catalog" if harmless else "missed"] += 1
            notes.append(f"not found: {damage}")
        wrong = disorderly(said) or disorderly(told) or code not in (0, 1)
        wrong = wrong or (code == 1 and len(said.strip().splitlines()) != 1)
        counts["crashed"] += wrong
        if wrong:
            notes.append(f"crashed: {damage}: {code} {said.strip()[-300:]}: {told.strip()[-300:]}")
        counts["answered"] += code == 0
        counts["answered as before"] += code == 0 and answers == whole
        counts["refused"] += code == 1
    return dict(counts)


def sampled(found: list[Damage], rng: random.Random, size: int = 40) -> list[Damage]:
    """Take damages to repair, half of them to the catalog."""
    catalog = [damage for damage in found if damage.file == FILE]
    other = [damage for damage in found if damage.file != FILE]
    return [d for group in (catalog, other) for d in rng.sample(group, min(size // 2, len(group)))]


def repairs(bench: Bench, folder: Path, work: list[Damage], rows: Rows, notes: list[str]) -> Counts:
    """Repair a sample of damages by the commands that the messages name; compare the answers."""
    whole = answers_of(bench, folder / "index", rows)
    counts = Counter[str](dict.fromkeys(
        ("damages", "by --repair and index", "by index --vocab", "by a new index",
         "not_brought_back"), 0))  # fmt: skip
    for number, damage in enumerate(work):
        counts["damages"] += 1
        index = folder / "repaired" / str(number) / "index"
        shutil.copytree(folder / "index", index)
        inflict(damage, index)
        how, said = bring_back(bench, folder / "photos", index)
        counts[how] += 1
        if not same_again(bench, index, folder / "index", rows, whole):
            counts["not_brought_back"] += 1
            notes.append(f"not brought back: {damage}: {how}: {said.strip()[-300:]}")
        shutil.rmtree(index.parent)
    return dict(counts)


def same_again(
    bench: Bench, index: Path, model: Path, rows: Rows, whole: dict[str, list[Any]]
) -> bool:
    """Tell whether an index is whole, and is and answers as before it was damaged."""
    if in_process("check", "--index", index)[0] or in_process("list", "--index", index)[0]:
        return False
    same_options = read_meta(index)["options"] == read_meta(model)["options"]
    return same_options and rows_of(index) == rows and answers_of(bench, index, rows) == whole


def answers_of(bench: Bench, index: Path, rows: Rows) -> dict[str, list[Any]]:
    """Ask an index with all its pictures; links, which a repair drops, are left out."""
    searcher = Searcher(Index.open(index), SearchOptions(augment=False))
    answers = {}
    for name, sha in rows.items():
        hits = searcher.search_features(*bench.query(searcher, sha), 5)
        answers[name] = [[h.rank, h.name, h.inliers, float(f"{h.score:.4g}")] for h in hits]
    return answers


def bring_back(bench: Bench, photos: Path, index: Path) -> tuple[str, str]:
    """Repair an index as a user would: what helped, and what the repair said."""
    repaired = bovw("check", "--repair", "--index", index)
    said = repaired.stdout + repaired.stderr
    if repaired.returncode == 0 and bovw("index", photos, "--index", index).returncode == 0:
        return "by --repair and index", said
    again = bovw("index", photos, "--index", index, "--vocab", bench.vocab, *SMALL)
    if again.returncode == 0:
        bovw("check", "--repair", "--index", index)
        return "by index --vocab", said
    shutil.rmtree(index)
    bovw("index", photos, "--index", index, "--vocab", bench.vocab, *SMALL)
    return "by a new index", said


# All of it


def main() -> None:
    arguments = parse()
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        bench = prepare(arguments.photos, Path(scratch))
        parts: dict[str, Callable[[], Counts]] = {
            "kills": lambda: Killer(bench).run(arguments.kills),
            "bad files": lambda: try_bad_files(bench, arguments.files) | try_guard(bench),
            "two at once": lambda: try_two_at_once(bench, arguments.seconds),
            "damage": lambda: try_damage(bench, arguments.flips),
        }
        results = earlier() if arguments.only else {}
        for part, run in parts.items():
            if not arguments.only or part in arguments.only:
                started = time.perf_counter()
                results[part] = run()
                show(part, results[part])
                results[part]["took_seconds"] = round(time.perf_counter() - started)
                results[part]["commit"] = machine()["commit"]
                write_result("faults", {"parts": results})
    if any(results[part].get(name) for part in results for name in NEVER):
        sys.exit(1)


def earlier() -> Counts:
    """Return the parts that are on file, for a run of some of them."""
    path = HERE / "results" / "faults.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return dict(content.get("parts", {}))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("photos", type=Path, metavar="DIR")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--flips", type=int, default=600)
    parser.add_argument("--scratch", type=Path)
    names = ("kills", "bad files", "two at once", "damage")
    parser.add_argument("--only", nargs="+", choices=names, metavar="PART", help=", ".join(names))
    return parser.parse_args()


if __name__ == "__main__":
    main()
