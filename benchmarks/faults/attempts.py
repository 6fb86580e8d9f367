"""Commands that write to an index of photographs that change."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bovw.index import IndexWriter
from faults.bench import SMALL, Bench, Rows
from faults.commands import in_process


class Attempt(NamedTuple):
    """A command that writes to an index.

    before, after  what the index holds before the command, and after all of it
    atomic         whether the index must never hold anything in between
    refusal        the message of the command if everything is done already
    """

    kind: str
    arguments: list[object]
    folder: Path
    before: Rows
    after: Rows
    atomic: bool = False
    refusal: str = ""


class Workload:
    """A folder of photographs that changes, and commands that update its index."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.rng = bench, bench.rng
        self.photos, self.index = bench.folder("photos"), bench.scratch / "index"
        shutil.rmtree(self.index, ignore_errors=True)
        self.archive = bench.scratch / "index.bovw"
        self.here: Rows = {}
        self.archived: Rows = {}
        self.made = 0
        # A function that makes each kind of command, and the kind's share of the runs.
        self.kinds: dict[str, tuple[Callable[[], Attempt], int]] = {
            "index, first build": (self._build, 5),
            "index, update": (self._update, 6),
            "add": (self._add, 3),
            "remove": (self._remove, 2),
            "merge": (self._merge, 2),
            "import": (self._import, 2),
        }

    def first(self) -> Attempt:
        """Return the command that makes the index; all other commands need it."""
        self._change(24, 0, 0, 0)
        return Attempt("index, update", self._indexing(self.index), self.index, {}, self.here)

    def export(self) -> None:
        """Make the archive for the imports."""
        in_process("export", self.archive, "--index", self.index)
        self.archived = dict(self.here)

    def next(self) -> Attempt:
        """Return a command of any kind."""
        names, shares = list(self.kinds), [share for _, share in self.kinds.values()]
        kind = self.rng.choices(names, shares)[0]
        return self.kinds[kind][0]()

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
        return Attempt("import", command, index, {}, self.archived, True, "already exists")

    def _new_place(self) -> Path:
        """Return a folder that does not exist yet, in an empty folder."""
        self.made += 1
        return self.bench.folder(f"new/{self.made}") / "index"

    def _change(self, added: int, changed: int, moved: int, removed: int) -> None:
        """Change photographs in their folder; no photograph is there twice."""
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
