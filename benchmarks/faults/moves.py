"""Collections whose disks and folders come, go, move and grow, and what their index makes of it."""

from __future__ import annotations

import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2

from bovw.index import Index, is_index
from bovw.index.integrity import find_problems
from faults.bench import Bench, sha_of
from faults.commands import disorderly, in_process
from faults.counts import Counts

STEPS, LONGEST = 12, 128
STAY = re.compile(r"^(.*) (?:is empty or cannot be read|is not there): its [\d,]+ images stay")

Rows = dict[str, tuple[str, str]]


def try_moves(bench: Bench, lives: int) -> Counts:
    """Take collections through random changes, with updates in between; count what is wrong."""
    pool = bench.folder("small")
    for number, path in enumerate(bench.photos.values()):
        pixels = cv2.imread(str(path))
        scale = LONGEST / max(pixels.shape[:2])
        cv2.imwrite(str(pool / f"{number:02}.png"), cv2.resize(pixels, None, fx=scale, fy=scale))
    counts: Counter[str] = Counter(dict.fromkeys(("doubles", "ghosts", "not_indexed", "lost"), 0))
    counts.update(dict.fromkeys(("unstable", "changed_by_refusal", "failed_runs", "errors"), 0))
    for number in range(lives):
        Life(bench, sorted(pool.iterdir()), random.Random(number), counts).run()
    return dict(counts)


class Life:
    """A collection on some disks, and its index; wrong states are counted."""

    def __init__(
        self, bench: Bench, pictures: list[Path], rng: random.Random, counts: Counter[str]
    ) -> None:
        self.bench, self.pictures, self.rng, self.counts = bench, pictures, rng, counts
        self.home = bench.folder("life")
        self.mounts, self.store = self.home / "mnt", self.home / "store"
        self.index = self.home / "index"
        self.mounts.mkdir()
        self.store.mkdir()
        self.numbers = iter(range(10_000))
        for _ in range(2):
            self._plug_in()

    def run(self) -> None:
        """Change the collection and update its index in turns."""
        self._update()
        changes: list[Callable[[], object]] = [
            self._put, self._put, self._copy, self._delete, self._rename, self._rename_folder,
            self._unmount, self._unmount, self._mount, self._mount, self._rename_root,
            self._copy_root, self._remove_root, self._link, self._plug_in,
        ]  # fmt: skip
        for _ in range(STEPS):
            change = self.rng.choice(changes)
            change()
            self.counts[f"changes: {change.__name__.replace('_', ' ').strip()}"] += 1
            if self.rng.random() < 0.6:
                self._update()
        if is_index(self.index):
            self.counts["errors"] += len(find_problems(self.index))

    # changes

    def _roots(self) -> list[Path]:
        return sorted(path for path in self.mounts.iterdir() if any(path.iterdir()))

    def _files(self) -> list[Path]:
        return sorted(path for path in self.mounts.rglob("*.png") if not path.is_symlink())

    def _folders(self) -> list[Path]:
        found = [Path(at) for at, _, _ in os.walk(self.mounts)]
        return sorted(path for path in found if path != self.mounts and any(path.iterdir()))

    def _name(self, kind: str) -> str:
        return f"{kind}{next(self.numbers)}"

    def _pick(self, paths: list[Path]) -> Path | None:
        return self.rng.choice(paths) if paths else None

    def _plug_in(self) -> None:
        root = self.mounts / self._name("disk")
        for folder in (root, root / self._name("year"), root / self._name("year")):
            folder.mkdir(parents=True)
            for _ in range(self.rng.randint(1, 4)):
                shutil.copy(self.rng.choice(self.pictures), folder / f"{self._name('p')}.png")

    def _put(self) -> None:
        if folder := self._pick(self._folders()):
            shutil.copy(self.rng.choice(self.pictures), folder / f"{self._name('p')}.png")

    def _copy(self) -> None:
        file, folder = self._pick(self._files()), self._pick(self._folders())
        if file and folder:
            shutil.copy(file, folder / f"{self._name('copy')}.png")

    def _delete(self) -> None:
        if file := self._pick(self._files()):
            file.unlink()

    def _rename(self) -> None:
        file, folder = self._pick(self._files()), self._pick(self._folders())
        if file and folder:
            file.rename(folder / self.rng.choice([file.name, f"{self._name('p')}.png"]))

    def _rename_folder(self) -> None:
        inner = [folder for folder in self._folders() if folder.parent != self.mounts]
        if folder := self._pick(inner):
            folder.rename(folder.with_name(self._name("year")))

    def _unmount(self) -> None:
        if root := self._pick(self._roots()):
            root.rename(self.store / root.name)
            if self.rng.random() < 0.5:
                root.mkdir()

    def _mount(self) -> None:
        root = self._pick(sorted(self.store.iterdir()))
        if root and not (self.mounts / root.name / "x").exists():
            shutil.rmtree(self.mounts / root.name, ignore_errors=True)
            root.rename(self.mounts / root.name)

    def _rename_root(self) -> None:
        if root := self._pick(self._roots()):
            root.rename(self.mounts / self._name("disk"))

    def _copy_root(self) -> None:
        if root := self._pick(self._roots()):
            shutil.copytree(root, self.mounts / self._name("disk"), symlinks=True)

    def _remove_root(self) -> None:
        if root := self._pick(self._roots()):
            shutil.rmtree(root)

    def _link(self) -> None:
        one, other = self._pick(self._folders()), self._pick(self._folders())
        if one and other:
            (one / self._name("link")).symlink_to(other)

    # updates

    def _update(self) -> None:
        """Update the index from one or two folders, and compare it with the disk."""
        choices = [[self.mounts]] + [[one] for one in self._folders()]
        choices += [self._roots()[:2]] * 3
        given = self.rng.choice([one for one in choices if one])
        before = self._rows()
        told = self._call(given)
        if told is None:
            return
        after = self._rows()
        self._check(given, before, after, told)
        self._call(given)
        self.counts["unstable"] += self._rows() != after

    def _call(self, given: list[Path]) -> str | None:
        """Run `bovw index`; return what it says, None if it rightly refuses."""
        before = self._rows()
        command = ["index", *given, "--index", self.index, "--vocab", self.bench.vocab]
        command += ["--max-features", 300, "--max-size", 400, "--jobs", 1]
        code, output = in_process(*command)
        self.counts["updates"] += 1
        if "--allow-removal" in output:
            self.counts["updates that ask first"] += 1
            self.counts["changed_by_refusal"] += self._rows() != before
            return None
        if "would both be called" in output or "no image in" in output:
            self.counts["updates refused"] += 1
            self.counts["changed_by_refusal"] += self._rows() != before
            return None
        self.counts["failed_runs"] += code not in (0, 3) or disorderly(output)
        return output

    def _rows(self) -> Rows:
        """Return the folder and the digest of every image, by name."""
        if not is_index(self.index):
            return {}
        rows = Index.open(self.index).images()
        return {row.name: (row.folder, row.sha256 or "") for row in rows}

    def _check(self, given: list[Path], before: Rows, after: Rows, told: str) -> None:
        """Count the faults of an index that was updated from the folders given."""
        paths = [folder + name for name, (folder, _) in after.items()]
        real = Counter(map(os.path.realpath, paths))
        self.counts["doubles"] += sum(count - 1 for count in real.values())
        held = {os.path.realpath(folder + name): sha for name, (folder, sha) in after.items()}
        for root in given:
            for at, _, names in os.walk(root, followlinks=False):
                files = [Path(at, name) for name in names if name.endswith(".png")]
                self.counts["not_indexed"] += sum(held.get(str(f)) != sha_of(f) for f in files)
        there = {f + name for name, (f, _) in before.items() if Path(f + name).exists()}
        self.counts["lost"] += len({os.path.realpath(path) for path in there} - held.keys())
        stay = [found[1] + os.sep for line in told.splitlines() if (found := STAY.match(line))]
        for name, (folder, _) in after.items():
            path = folder + name
            if os.path.lexists(path):
                continue
            looked = any(path.startswith(f"{one}{os.sep}") for one in given)
            if path.startswith(tuple(stay)):
                self.counts["images away, and said so"] += 1
            elif looked or not os.path.lexists(folder):
                self.counts["ghosts"] += 1
            else:
                self.counts["images gone where nobody has looked since"] += 1
