"""Times the search of a large index: each scoring method, and verification.

    python benchmarks/searching.py INDEX IMG [IMG...] [--images 5000]

The index's postings are repeated until there are enough images. The copies have signatures of other
features. So lists are as long and as skewed as in a collection of that size. The queries are the
first 2,000 features of each IMG, with 5 words each, on one core. The results are medians over the
queries, and times per posting. The last line compares the bytes of signatures and gaps read a
second with the memory bandwidth, measured by np.copyto (read and write).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np
from machine import write_result

from bovw.compute.kernels import encode_images
from bovw.index import Index
from bovw.index.segment import Segment
from bovw.index.statistics import Counts, Statistics
from bovw.options import SearchOptions
from bovw.ranking import SCORINGS
from bovw.records import Floats, WordQuery
from bovw.search import describe_query
from bovw.verification import verify_images
from bovw.vocab import Vocabulary

GOALS = {"tfidf": 3.0, "hamming": 25.0, "verification of 100": 60.0}
FEATURES = 2000
T = TypeVar("T")
Seconds = dict[str, list[float]]  # by name, for each query
OPTIONS = SearchOptions()


def main() -> None:
    arguments = parse()
    index = Index.open(arguments.index)
    vocabulary = Vocabulary.load(index.vocabulary_folder)
    segment = repeated(index.segments[0], arguments.images)
    times, shares = measure(segment, vocabulary, arguments.queries)
    print(f"{len(segment.sizes):,} images, {len(segment):,} postings, "
          f"{len(arguments.queries)} queries")  # fmt: skip
    milliseconds = {name: 1e3 * median(seconds) for name, seconds in times.items()}
    nanoseconds = {name: 1e9 * median(share) for name, share in shares.items()}
    bytes_read = segment.signatures.itemsize * segment.signatures.shape[1] + 1
    bandwidth = copied_a_second()
    used = bytes_read / (nanoseconds["hamming"] * 1e-9) / bandwidth
    show(milliseconds, nanoseconds)
    print(f"Hamming embedding reads at {used:.0%} of {bandwidth / 1e9:.1f} GB/s")
    write_result(
        "searching",
        {
            "milliseconds": milliseconds,
            "nanoseconds_a_posting": nanoseconds,
            "share_of_bandwidth": used,
            "bytes_a_second": bandwidth,
            "goals": GOALS,
            "images": len(segment.sizes),
            "postings": len(segment),
            "queries": len(arguments.queries),
        },
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("index", type=Path, metavar="INDEX")
    parser.add_argument("queries", type=Path, nargs="+", metavar="IMG")
    parser.add_argument("--images", type=int, default=5000)
    return parser.parse_args()


def measure(
    segment: Segment, vocabulary: Vocabulary, queries: Iterable[Path]
) -> tuple[Seconds, Seconds]:
    """Return the seconds of each stage, and the seconds per posting of each scoring."""
    statistics = Statistics.of([Counts.of(segment)], len(vocabulary.words))
    times: Seconds = {name: [] for name in (*SCORINGS, "verification of 100")}
    shares: Seconds = {name: [] for name in SCORINGS}
    lists = np.diff(segment.offsets)
    for path in queries:
        features, region = describe_query(path)
        features = features.rows(np.arange(min(FEATURES, len(features))))
        words = vocabulary.assign(features, OPTIONS.words)
        walked = {"tfidf": lists[np.unique(words.ids[:, 0])], "hamming": lists[words.ids]}
        walked["asmk"] = lists[np.unique(words.ids)]
        scores: Floats = np.empty(0, np.float32)
        for name, score in SCORINGS.items():
            options = replace(OPTIONS, scoring=name)
            run = partial(score, words, [segment.inverted_file], statistics, options)
            answer, seconds = timed(run)
            times[name].append(seconds)
            shares[name].append(seconds / walked[name].sum())
            scores = answer if name == OPTIONS.scoring else scores
        best = np.argsort(-scores, kind="stable")[:100].astype(np.int32)
        query = WordQuery(features.keypoints, words, region)
        verification = partial(verify_images, query, [segment], best, statistics.weights, OPTIONS)
        _, seconds = timed(verification)
        times["verification of 100"].append(seconds)
    return times, shares


def show(milliseconds: dict[str, float], nanoseconds: dict[str, float]) -> None:
    """Print a row for each stage."""
    for name, value in milliseconds.items():
        goal = f"  (goal: at most {GOALS[name]:.0f})" if name in GOALS else ""
        posting = f"  {nanoseconds[name]:.2f} ns per posting" if name in nanoseconds else ""
        print(f"{name:<20} {value:7.1f} ms{goal}{posting}")


def repeated(segment: Segment, images: int) -> Segment:
    """Return a segment of at least `images` images."""
    times = -(-images // len(segment.sizes))
    rng = np.random.default_rng(0)
    words = np.repeat(np.arange(len(segment.offsets) - 1), np.diff(segment.offsets))
    order = np.argsort(np.tile(words, times), kind="stable")
    numbers = [segment.images + i * len(segment.sizes) for i in range(times)]
    signatures = [segment.signatures] + [
        segment.signatures[rng.permutation(len(segment))] for _ in range(times - 1)
    ]
    offsets = segment.offsets * times
    gaps, places = encode_images(offsets, np.concatenate(numbers).astype(np.int32)[order])
    return Segment(
        offsets=offsets,
        places=places,
        gaps=gaps,
        signatures=np.concatenate(signatures)[order],
        positions=np.tile(segment.positions, (times, 1))[order],
        frames=np.tile(segment.frames, (times, 1))[order],
        sizes=np.tile(segment.sizes, (times, 1)),
    )


def copied_a_second() -> float:
    """Return the bytes a second that a core reads and writes when no cache holds them."""
    source = np.ones(1 << 25)
    target = np.empty_like(source)
    _, seconds = timed(partial(np.copyto, target, source))
    return 2 * source.nbytes / seconds


def timed(run: Callable[[], T]) -> tuple[T, float]:
    """Return the answer and the median seconds of three runs."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        answer = run()
        seconds.append(time.perf_counter() - start)
    return answer, median(seconds)


if __name__ == "__main__":
    main()
