"""Part 4: does `bovw check` find damage to an index, and what does a query do?"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from bovw.compute.isolation import Failure, run_isolated
from bovw.index.catalog import FILE
from faults.bench import SMALL, Bench, Rows
from faults.commands import bovw, disorderly, in_process
from faults.corruption import Damage, inflict, planned, sampled
from faults.counts import Counts
from faults.repairs import repairs


class Outcome(NamedTuple):
    """The results of `bovw check` and a query after damage: exit codes and output.

    sealed  whether `bovw merge` took the damage for content, so that `bovw check` finds it no more
    """

    damage: Damage
    check: tuple[int, str]
    query: tuple[int, str]
    answers: list[Any]
    sealed: bool


def try_damage(bench: Bench, flips: int) -> Counts:
    """Damage copies of an index in many ways, and repair some of the copies."""
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
    answers = run_isolated(look, work, 2, 60.0)
    for damage, answer in zip(work, answers, strict=True):
        if isinstance(answer, Failure):
            crashed.append(f"{damage}: {answer.reason}")
        else:
            done.append(answer)
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
    """Index a folder: the index gets several segments, a removed image, and links."""
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
    # After some commits, three quarters of the catalog are free space, where damage is harmless.
    with closing(sqlite3.connect(index / FILE)) as catalog:
        catalog.execute("VACUUM")
    return {name: sha for name, sha in rows.items() if name != gone}


def outcome(damage: Damage, index: Path, queries: list[Path], scratch: Path) -> Outcome:
    """Damage a copy of an index, search it and check it."""
    copy = scratch / str(os.getpid()) / "index"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(index, copy)
    inflict(damage, copy)
    query = in_process("query", *queries, "--index", copy, "--topk", 5, "--format", "jsonl")
    answers = [json.loads(line) for line in query[1].splitlines() if line.startswith("{")]
    check = in_process("check", "--index", copy)
    # Every commit rewrites all other files, and drops extra bytes.
    original = damage.file == FILE or damage.file.startswith("segments/")
    original = original and damage.kind != "longer"
    merged = original and check[0] != 0 and in_process("merge", "--index", copy)[0] == 0
    sealed = merged and in_process("check", "--index", copy)[0] == 0
    return Outcome(damage, check, query, brief(answers), sealed)


def ask_files(index: Path, queries: list[Path]) -> list[Any]:
    code, said = in_process("query", *queries, "--index", index, "--topk", 5, "--format", "jsonl")
    assert code == 0, said
    return brief([json.loads(line) for line in said.splitlines()])


def brief(answers: list[Any]) -> list[Any]:
    """Return the parts of the answers that do not depend on the order of sums."""
    return [[a["rank"], a["name"], a["inliers"], float(f"{a['score']:.4g}")] for a in answers]


def summary(outcomes: list[Outcome], whole: list[Any], index: Path, notes: list[str]) -> Counts:
    """Count the outcomes of one kind of damage."""
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
            # Damage to SQLite's free space changes no row of any table.
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
