"""Times a query: how long does an answer take from a cold start, and where does the time go.

    python benchmarks/cold_query.py INDEX IMG [IMG...] [--rounds 5]

Each round starts, for every image, `bovw query` and a new process that does the same in parts: the
imports, the query's decoding and SIFT, and the rest (opening the index, the vocabulary, ranking,
verification, writing the table). `bovw --help` and an empty Python are timed beside them. The
answers are medians over rounds and images. Seconds of processor time are given too: they say what a
busy machine hides, and count both of two threads.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from statistics import median
from typing import Any

from machine import write_result

GOALS = {"query": 2.5, "rest": 0.4, "help": 0.2}
LABELS = {
    "python": "python -c pass",
    "help": "bovw --help",
    "query": "bovw query",
    "imports": "  imports",
    "sift": "  decoding and SIFT of the query",
    "rest": "  the rest",
    "process": "  start and end of the process",
}
BOVW = str(Path(sysconfig.get_path("scripts")) / "bovw")
Times = dict[str, tuple[float, float]]

# Prints wall and processor seconds at every step; the index is opened before the SIFT, whose
# options it holds, and is a part of the rest.
PARTS = """
import sys, time
def now(): return time.perf_counter(), time.process_time()
steps = [now()]
import json
from pathlib import Path
import bovw.cli
from bovw.features import describe_query
from bovw.index import Index
from bovw.results import WRITERS, Answer
from bovw.search import Searcher
steps.append(now())
searcher = Searcher(Index.open(sys.argv[1]))
steps.append(now())
features, region = describe_query(Path(sys.argv[2]), options=searcher.feature_options)
steps.append(now())
hits = searcher.search_features(features, region)[:20]
WRITERS["table"]([Answer(sys.argv[2], hits)])
steps.append(now())
print(json.dumps(steps))
"""


def main() -> None:
    arguments = parse()
    index = str(arguments.index)
    # Compiles the kernels and brings the libraries and the index into the system's file cache.
    times(index, str(arguments.images[0]))
    measured = [
        times(index, str(image)) for _ in range(arguments.rounds) for image in arguments.images
    ]
    medians = {
        name: [median(one[name][clock] for one in measured) for clock in (0, 1)] for name in LABELS
    }
    print(f"{'':<34} {'seconds':>8} {'processor':>10} {'goal':>5}")
    for name, label in LABELS.items():
        wall, processor = medians[name]
        print(f"{label:<34} {wall:>8.3f} {processor:>10.3f} {GOALS.get(name, ''):>5}")
    write_result(
        "cold_query",
        {
            "seconds": {name: wall for name, (wall, _) in medians.items()},
            "processor_seconds": {name: processor for name, (_, processor) in medians.items()},
            "goals": GOALS,
            "rounds": arguments.rounds,
            "images": [image.name for image in arguments.images],
        },
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("index", type=Path, metavar="INDEX")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMG")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def times(index: str, image: str) -> Times:
    """Return wall and processor seconds of everything once."""
    whole = {
        "python": run([sys.executable, "-c", "pass"]),
        "help": run([BOVW, "--help"]),
        "query": run([BOVW, "query", image, "--index", index]),
    }
    return {name: seconds for name, (seconds, _) in whole.items()} | parts(index, image)


def parts(index: str, image: str) -> Times:
    whole, output = run([sys.executable, "-c", PARTS, index, image])
    start, imported, opened, described, end = json.loads(output)
    rest = [a - b + c - d for a, b, c, d in zip(opened, imported, end, described, strict=True)]
    return {
        "imports": difference(imported, start),
        "sift": difference(described, opened),
        "rest": (rest[0], rest[1]),
        "process": (whole[0] - (end[0] - start[0]), whole[1] - (end[1] - start[1])),
    }


def difference(later: list[float], earlier: list[float]) -> tuple[float, float]:
    return later[0] - earlier[0], later[1] - earlier[1]


def run(command: list[str]) -> tuple[tuple[float, float], str]:
    """Run a command; return its wall and processor seconds, and what it printed."""
    before, start = os.times(), time.perf_counter()
    done: Any = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    wall, after = time.perf_counter() - start, os.times()
    user = after.children_user - before.children_user
    return (wall, user + after.children_system - before.children_system), done.stdout


if __name__ == "__main__":
    main()
