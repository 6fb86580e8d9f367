"""Compares two checkouts: do they write the same bytes and give the same answers, to the last bit?

    python benchmarks/same_answers.py OLD NEW [--python PYTHON]

OLD and NEW are folders with a checkout of this project. Each draws its small collection, trains,
indexes, links, splits, queries and evaluates in a folder of its own. Only the command line is used,
so modules may have other names. The exit code is 1 if anything differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

STEPS = """
demo --out drawn
build-vocab drawn/db --out vocab --words 2048 --seed 3
build-vocab drawn/db --out vocab-64 --words 1000 --bits 64
index drawn/db --index index --vocab vocab --batch 20
index drawn/db --index index-64 --vocab vocab-64 --max-features 500
index drawn/db --index own
remove scene_00/view_0.jpg --index index-64
shard index shards --into 3
link --index own
link --index shards
link --index index-64 --keep 300
merge --index index-64
""".strip().splitlines()
QUERIES = """
query {pictures} --index index --topk 100 --format json
query {pictures} --index index --topk 100 --format json --scoring asmk
query {pictures} --index index --topk 100 --format json --scoring tfidf --expand 0
query {pictures} --index index --topk 7 --format csv --no-rerank
query {pictures} --index index-64 --topk 100 --format json
query {pictures} --index own --topk 100 --format jsonl
query {pictures} --index shards --topk 100 --format json
query drawn/queries/scene_01.jpg --index own --region 100,80,400,300 --format json
matches drawn/queries/scene_02.jpg drawn/db/scene_02/view_1.jpg --format json
matches drawn/queries/scene_02.jpg drawn/db/scene_03/view_1.jpg --format json
eval drawn/truth.json --images drawn --index drawn/index --format json
list --index index-64
""".strip().splitlines()
# Differs between two runs of the same checkout: times.
TIMES = re.compile(r'"(milliseconds|describe|search|seconds)": [^,}\]]*|"mtime": \d+')


def main() -> int:
    """Compare, print the differences, and return 1 if there are any."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--python", default=sys.executable, help="the interpreter for both")
    arguments = parser.parse_args()
    # Both work in the same place, because indexes and answers hold the paths of the images.
    with tempfile.TemporaryDirectory() as place:
        work = Path(place) / "work"
        found = []
        for checkout in (arguments.old, arguments.new):
            work.mkdir()
            found.append(outcome(checkout.resolve(), arguments.python, work))
            work.rename(Path(place) / f"done-{len(found)}")
    different = compare(*found)
    for line in different:
        print(line)
    equal = len(found[0]) - len(different)
    print(f"{equal} of {len(found[0])} files and answers are the same to the last bit")
    return int(bool(different))


def outcome(checkout: Path, python: str, work: Path) -> dict[str, Any]:
    """Run every step in `work`; return the digest of every array and every answer, by name."""
    for step in STEPS:
        run(checkout, python, work, step)
    pictures = " ".join(f"drawn/queries/scene_{n:02}.jpg" for n in range(12))
    answers = {
        query: TIMES.sub("", run(checkout, python, work, query.format(pictures=pictures)))
        for query in QUERIES
    }
    # The catalog and the vocabulary's manifest hold times and checksums, so only arrays are
    # compared; the answers show the rest.
    arrays = sorted(path for path in work.rglob("*.np[yz]"))
    return answers | {str(path.relative_to(work)): digest(path) for path in arrays}


def run(checkout: Path, python: str, work: Path, command: str) -> str:
    """Run a command of one checkout; return its output."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(
        [python, "-m", "bovw", *command.split()],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{checkout}: bovw {command}\n{done.stderr}")
    return done.stdout


def digest(path: Path) -> str:
    """Return the checksum of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return a line for each name that is missing or differs."""
    lines = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            lines.append(f"only in {'new' if name in new else 'old'}: {name}")
        elif old[name] != new[name]:
            lines.append(f"different: {name}{first_difference(old[name], new[name])}")
    return lines


def first_difference(old: str, new: str) -> str:
    """Show the first place where two answers differ."""
    at = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), -1)
    return f"\n  {json.dumps(old[at : at + 60])}\n  {json.dumps(new[at : at + 60])}"


if __name__ == "__main__":
    sys.exit(main())
