"""Part 3: readers next to a writer, and a writer next to another."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bovw.features import describer_of
from bovw.images.decode import read_picture
from bovw.images.find import size_and_time
from bovw.index import Index, IndexWriter
from bovw.index.rows import ImageRow
from bovw.records import Box, Features, Words
from bovw.search.searcher import Searcher
from bovw.vocab import Vocabulary
from faults.bench import OPTIONS, Bench
from faults.commands import PATIENCE, bovw, in_process
from faults.counts import Counts


class Known(NamedTuple):
    """An image ready to be added."""

    sha: str
    row: ImageRow
    features: Features
    words: Words


def known(bench: Bench, sha: str, name: str) -> Known:
    path = bench.photos[sha]
    picture = read_picture(path, OPTIONS.max_size)
    features = describer_of(OPTIONS).describe(picture)
    words = Vocabulary.load(bench.vocab).assign(features)
    size, mtime = size_and_time(path)
    row = ImageRow(name, f"{path.parent}/", size, mtime, sha, picture.width, picture.height,
                   len(features))  # fmt: skip
    return Known(sha, row, features, words)


def state_of(index: Index) -> str:
    """Return a digest of the names of the images in an open index."""
    live = np.flatnonzero(index.statistics.live).tolist()
    names = sorted(index.names[image] for image in live)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def write_on(index: Path, comes_and_goes: list[Known], seconds: float, log: Path) -> None:
    """Replace images, with a commit each time; log every state before the commit."""
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
    """Open the index anew for every query; write counts and times to a file."""
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
        right = first.name == name and first.confirmed and first.rank == 1
        right = right and all(np.isfinite(hit.score) for hit in hits)
        right = right and len({hit.name for hit in hits}) == len(hits)
        seen["wrong_answers"] += not right
        # The first queries also load what a process loads only once.
        times += [took] if seen["queries"] > 5 else []
    content = {"seen": seen, "times": times, "states": sorted(states)}
    out.write_text(json.dumps(content), encoding="utf-8")


def try_two_at_once(bench: Bench, seconds: float) -> Counts:
    """Search while another process writes and while none does; then let two write."""
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
    # The second half of the quiet time comes last, in case other work slows the machine.
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
    """Start an empty index with the vocabulary."""
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
    """Run four readers, and a writer if one is given; return the readers' counts together."""
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
    """Add up the counts of two runs of the readers."""
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
    """Start a writer while another one works, and after another one was killed."""
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
