"""Counts the processor instructions of each stage of a query with valgrind.

    python benchmarks/instructions.py INDEX IMG

Counts do not depend on what else the machine is doing. Each stage runs in its own process under
`valgrind --tool=callgrind`: once with preparation only, and once with CALLS calls more. The
difference is the cost of the calls. The query has at most 2,000 features, with 5 words each.
Valgrind does not know AVX-512, so the kernels are compiled for an older CPU and need a few more
instructions than elsewhere.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from machine import write_result

from bovw.index import Index
from bovw.options import SearchOptions
from bovw.ranking import SCORINGS
from bovw.records import WordQuery
from bovw.search import LocalQuestion
from bovw.search.query import describe_query
from bovw.search.searcher import Searcher

CALLS = 2
CPU, FEATURES_OF_CPU = "haswell", "+avx2,+fma,+bmi,+bmi2,+popcnt"
FEATURES = 2000
# The unit that a stage's instructions are divided by.
UNITS = {
    "nearest words": "descriptor",
    "tfidf": "posting",
    "hamming": "posting",
    "asmk": "posting",
    "verification": "candidate",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("index", type=Path, metavar="INDEX")
    parser.add_argument("image", type=Path, metavar="IMG")
    parser.add_argument("--stage", choices=UNITS, help=argparse.SUPPRESS)
    parser.add_argument("--calls", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        run, units = prepare(arguments.index, arguments.image, arguments.stage)
        for _ in range(arguments.calls):
            run()
        print(units)
        return
    results = {}
    with tempfile.TemporaryDirectory() as cache:
        for stage, unit in UNITS.items():
            # Compiles the kernels first, so that this is not counted.
            units = int(child(arguments, stage, 1, cache, counted=False))
            counts = [int(child(arguments, stage, calls, cache)) for calls in (0, CALLS)]
            each = (counts[1] - counts[0]) / CALLS / units
            results[stage] = {"unit": unit, "units": units, "instructions": each}
            print(f"{stage:<14} {each:12,.1f} instructions a {unit}, {units:,} of them", flush=True)
    write_result("instructions", {"cpu": CPU, "stages": results})


def child(
    arguments: argparse.Namespace, stage: str, calls: int, cache: str, counted: bool = True
) -> str:
    """Run one stage in a process; return its instructions, or its units if not counted."""
    valgrind = shutil.which("valgrind")
    if not valgrind:
        sys.exit("there is no valgrind program: apt install valgrind")
    tool = [valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null"] if counted else []
    line = [sys.executable, __file__, arguments.index, arguments.image]
    settings = {"NUMBA_CPU_NAME": CPU, "NUMBA_CPU_FEATURES": FEATURES_OF_CPU}
    settings |= {"NUMBA_CACHE_DIR": cache, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [*tool, *line, "--stage", stage, "--calls", str(calls)],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Collected : (\d+)", done.stderr) if counted else None
    return found[1] if found else done.stdout


def prepare(index: Path, image: Path, stage: str) -> tuple[Callable[[], object], int]:
    """Return a function that runs a stage, and the number of its units."""
    searcher = Searcher(Index.open(index))
    features, region = describe_query(image)
    features = features.rows(np.arange(min(FEATURES, len(features))))
    options, segments = SearchOptions(), searcher.index.segments
    words = searcher.vocabulary.assign(features, options.words)
    if stage == "nearest words":
        return lambda: searcher.vocabulary.assign(features, options.words), len(features)
    if stage == "verification":
        query = WordQuery(features.keypoints, words, region)
        question = LocalQuestion(searcher.index, query, options)
        images = question.rank(options.rerank).images
        return lambda: question.verify(images), len(images)
    lists = np.sum([np.append(np.diff(segment.offsets), 0) for segment in segments], axis=0)
    walked = {"tfidf": np.unique(words.ids[:, 0]), "hamming": words.ids}
    postings = int(lists[walked.get(stage, np.unique(words.ids))].sum())
    score = SCORINGS[stage]
    files = searcher.index.inverted_files
    return lambda: score(words, files, searcher.index.statistics, options), postings


if __name__ == "__main__":
    main()
