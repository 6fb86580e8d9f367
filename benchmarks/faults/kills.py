"""Part 1: kills commands that write, and checks what they leave behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from bovw.errors import BovwError
from bovw.index.catalog import FILE, read_meta
from bovw.index.lock import NOTE_FILE, WriterLock
from faults.attempts import Attempt, Workload
from faults.bench import Bench, Rows, rows_of
from faults.commands import BOVW, PATIENCE, in_process
from faults.counts import NEVER, Counts
from faults.remains import leftovers, lost, processes_of

# Seconds after which the workers of a killed process should have ended.
LINGER = 15.0


class Killer:
    """Runs commands, kills them, and checks what they leave behind."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.rng = bench, bench.rng
        self.workload = Workload(bench)
        # Seconds that each command takes when it is not killed, and until it begins to write.
        self.took: dict[str, float] = {}
        self.began: dict[str, float] = {}
        self.by_kind: dict[str, Counter[str]] = {}
        self.total: Counter[str] = Counter()
        self.notes: list[str] = []
        # The sessions of killed processes, and the times of their kills.
        self.sessions: list[tuple[int, float]] = []

    def run(self, kills: int) -> Counts:
        """Kill `kills` commands; first, each kind runs once to its end, for its time."""
        self._measure(self.workload.first())
        self.workload.export()
        for make, _ in self.workload.kinds.values():
            self._measure(make())
        while self.total["killed"] < kills:
            attempt = self.workload.next()
            self._trial(attempt)
        while self.sessions:
            time.sleep(1)
            self._end_sessions(attempt)
        return self.counts()

    def counts(self) -> Counts:
        """Return all counts by name, including those that should be 0."""
        zeros = NEVER[: NEVER.index("hung") + 1]
        kinds = {kind: dict(counted) for kind, counted in sorted(self.by_kind.items())}
        ordered = dict(sorted(self.total.items(), key=lambda item: item[0] in zeros))
        return {**ordered, **{z: self.total[z] for z in zeros}, "by_command": kinds,
                "notes": self.notes}  # fmt: skip

    # Runs

    def _measure(self, attempt: Attempt) -> None:
        """Run a command to its end, and note its time."""
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
        """Kill a command, maybe several times, then run it to its end."""
        while True:
            ended = self._kill(attempt)
            now = self._look_after(attempt, complete=ended)
            # If everything is done already, the same command is refused.
            done = bool(attempt.refusal) and now == attempt.after
            if ended or done or self.rng.random() < 0.75:
                break
        if not ended:
            self._run_again(attempt, now)
        self._clear(attempt)

    def _kill(self, attempt: Attempt) -> bool:
        """Run a command and kill it; tell whether it ended before that."""
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
        """Return the paths that a commit creates: its folders, and SQLite's journal."""
        root = attempt.folder.parent if attempt.kind == "import" else attempt.folder
        found = set()
        for at, folders, files in os.walk(root):
            found |= {f"{at}/{name}" for name in folders if name.isdecimal()}
            found |= {f"{at}/{name}" for name in files if name.endswith("-journal")}
        return found

    def _has_new_part(self, attempt: Attempt, known: set[str]) -> bool:
        return not self._parts(attempt) <= known

    def _wait_for(self, true: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
        """Wait until a condition is true or the process has ended."""
        while process.poll() is None and not true():
            time.sleep(0.0005)

    def _run_again(self, attempt: Attempt, now: Rows) -> None:
        """Run the same command to its end; it may report that everything is done already."""
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

    # Remains

    def _look_after(self, attempt: Attempt, complete: bool, cleared: bool = True) -> Rows:
        """Check what a command left behind; return what the index holds.

        complete  whether it, or an earlier run of it, came to its end
        cleared   whether it should have removed the remains of an earlier run
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
        # If a first build or an import committed nothing, there is no index to check.
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
        """Count and end workers that still run long after their main process was killed."""
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
        if attempt.folder != self.workload.index:
            shutil.rmtree(attempt.folder.parent)

    def _count(self, attempt: Attempt, name: str) -> None:
        self.total[name] += 1
        self.by_kind.setdefault(attempt.kind, Counter())[name] += 1

    def _fault(self, attempt: Attempt, name: str, note: str) -> None:
        """Count a fault, and keep a note of it."""
        self._count(attempt, name)
        self.notes.append(f"run {self.total['runs']}, {attempt.kind}: {name}: {note}")
        print(self.notes[-1], file=sys.stderr, flush=True)
