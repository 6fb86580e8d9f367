"""Times the nearest-word search on one core, and compares it with faiss's graph on the same words.

    python benchmarks/assignment.py VOCAB IMG [IMG...] [--rounds 5]

The descriptors come from the images, the words from the vocabulary. Recall is the share of
descriptors that get their exact nearest word; for five words, the share of the exact five found.
The graph is IndexHNSWFlat with faiss's defaults (16 links, built with a beam of 40). It is searched
with wider and wider beams. Times are microseconds per descriptor: medians over the rounds, with all
methods in turn in each round.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import faiss
import numpy as np
from machine import write_result

from bovw.records import Floats, Ints
from bovw.search.query import describe_query
from bovw.vocab import Vocabulary

BEAMS = (12, 16, 20, 24, 32, 40)
# Descriptors per call: about those of one image.
BATCH = 2000


def main() -> None:
    arguments = parse()
    vocabulary = Vocabulary.load(arguments.vocab)
    features = [describe_query(image)[0] for image in arguments.images]
    values = np.concatenate([one.descriptors.astype(np.float32) for one in features])
    faiss.omp_set_num_threads(2)
    truth = faiss.knn(values, vocabulary.words, 5)[1]
    graph = faiss.IndexHNSWFlat(vocabulary.words.shape[1], 16)
    graph.add(vocabulary.words)
    faiss.omp_set_num_threads(1)
    rows = []
    print(f"{'':<16} {'words':>5} {'recall':>7} {'µs':>6}")
    for count in (1, 5):
        contenders: dict[str, Callable[[Floats], Ints]] = {
            "bovw": partial(vocabulary.assigner.nearest, count=count)
        }
        contenders |= {f"faiss, beam {b}": partial(walk, graph, b, count) for b in BEAMS}
        times: dict[str, list[float]] = {name: [] for name in contenders}
        found: dict[str, Ints] = {}
        for _ in range(arguments.rounds):
            for name, search in contenders.items():
                start = time.perf_counter()
                parts = [search(values[i : i + BATCH]) for i in range(0, len(values), BATCH)]
                times[name].append((time.perf_counter() - start) / len(values))
                found[name] = np.concatenate(parts)
        for name, ids in found.items():
            same = (ids[:, :, None] == truth[:, None, :count]).any(axis=2)
            row = {"words": count, "recall": float(same.mean()), "us": 1e6 * median(times[name])}
            rows.append({"search": name, **row})
            print(f"{name:<16} {count:>5} {row['recall']:>7.4f} {row['us']:>6.2f}")
    write_result("assignment", {"descriptors": len(values), "searches": rows})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("vocab", type=Path, metavar="VOCAB")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMG")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def walk(graph: faiss.IndexHNSWFlat, beam: int, count: int, values: Floats) -> Ints:
    """Search faiss's graph."""
    found: Ints = graph.search(values, count, params=faiss.SearchParametersHNSW(efSearch=beam))[1]
    return found


if __name__ == "__main__":
    main()
