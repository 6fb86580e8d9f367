"""Measures whether bovw's answers can be trusted: false alarms, probabilities, what is found.

    python benchmarks/trust IMAGES TRUTH.json... --index INDEX --unrelated DIR [--related NAME...]

INDEX holds the images of all truths; `bovw index` made it. The pictures of DIR show nothing that
is in it. An image NAME of the index is known to show what another set's queries show.

alarms       queries that have no match: the pictures of DIR; those of each truth, asked of the
             index without the truth's images; and indexed images of no truth, asked of the others.
             How many hits they have at each rate that is asked for, with Poisson's interval.
found        queries that have a match: how many have a right image confirmed, and how many pairs.
pooled       all hits of all queries in one list: micro AP, recall at 90 % precision (DISC21).
reliability  whether probabilities come true: calibration error and Brier score, with the constants
             as they are and fitted on the other sets.
shuffled     real tentative matches with shuffled geometry, against the formula's bound.
stress       drawn text, logos, borders and windows, asked of an index of others of their kind.

Writes results/trust.json. `plots.py` draws it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

# The folder above has `machine`, and this folder as a package.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from machine import HERE, write_result

from bovw import Index
from bovw.evaluation.datasets import load
from bovw.images import find_images
from bovw.ingest.build import build_index
from bovw.ingest.calibrate import calibrate_index
from bovw.ingest.run import Recipe
from bovw.vocab import Vocabulary
from trust.alarms import measure_alarms
from trust.asking import Asked, Query, ask, without
from trust.pooled import measure_pooled
from trust.reliability import measure_reliability
from trust.shuffled import measure_shuffled
from trust.stress import KINDS, write

# Drawn pictures of each kind that are indexed, and that are asked.
INDEXED, ASKED = 25, 20
# Every so many images of no truth, one is asked.
EVERY = 3


class Bench:
    """The sets of queries, and their answers."""

    def __init__(self, arguments: argparse.Namespace, scratch: Path) -> None:
        self.images: Path = arguments.images
        self.index: Path = arguments.index
        self.related: frozenset[str] = frozenset(arguments.related)
        self.scratch = scratch
        self.unrelated = [Query(path.name, path) for path in sorted(arguments.unrelated.iterdir())]
        self.sets = {d.name: d for d in (load(str(t), self.images) for t in arguments.truths)}

    @cached_property
    def answers(self) -> dict[str, list[Asked]]:
        """The answers to the queries that have a match."""
        return {name: ask(self.index, self.queries(name)) for name in self.sets}

    @cached_property
    def lonely(self) -> list[Asked]:
        """The answers to the queries of nothing in the index."""
        return ask(self.index, self.unrelated)

    def queries(self, name: str) -> list[Query]:
        """Return a set's queries. Images of the set that are not called right are ignored.

        They may show the same thing unlabelled, or share a real logo.
        """
        own, found = self.images_of(name), []
        for query in self.sets[name].queries:
            [judged] = query.judgements.values()
            ignored = (own | self.related) - judged.positives | judged.junk
            path = self.images / query.image
            found.append(Query(query.id, path, query.region, judged.positives, ignored))
        return found

    def images_of(self, name: str) -> frozenset[str]:
        """Return the images in the folders that hold a set's right images."""
        dataset = self.sets[name]
        right = {
            image.partition("/")[0]
            for query in dataset.queries
            for judged in query.judgements.values()
            for image in judged.positives
        }
        return frozenset(image for image in dataset.database if image.partition("/")[0] in right)


def alarms(bench: Bench) -> dict[str, Any]:
    """Measure the queries that have no match."""
    report = {"unrelated": measure_alarms(bench.lonely)}
    for name, dataset in bench.sets.items():
        gone = bench.images_of(name) | bench.related
        folder = without(bench.index, bench.scratch / name, gone)
        queries = [Query(q.id, bench.images / q.image, q.region) for q in dataset.queries]
        report[f"{name}, without its images"] = measure_alarms(ask(folder, queries))
    report["indexed, of no set"] = measure_alarms(ask(bench.index, _leftover(bench)))
    return report


def _leftover(bench: Bench) -> list[Query]:
    """Return indexed images of no set; each would find itself."""
    index = Index.open(bench.index)
    taken = bench.related.union(*(bench.images_of(name) for name in bench.sets))
    rows = [row for row in index.images() if row.status == "ok" and row.name not in taken]
    return [
        Query(row.name, Path(row.folder) / row.name, ignored=bench.related | {row.name})
        for row in rows[::EVERY]
    ]


def found(bench: Bench) -> dict[str, Any]:
    """Measure the queries that have a match."""
    report: dict[str, Any] = {}
    kept = total = 0
    for name, asked in bench.answers.items():
        right = [[h.confirmed for h in one.hits if h.name in one.query.right] for one in asked]
        pairs = [confirmed for own in right for confirmed in own]
        report[name] = {
            "queries": len(asked),
            "with a right image confirmed": sum(map(any, right)) / len(asked),
            "right images confirmed": sum(pairs) / max(len(pairs), 1),
        }
        kept += sum(map(any, right))
        total += len(asked)
    return report | {"all": kept / total}


def pooled(bench: Bench) -> dict[str, Any]:
    """Measure the hits of all queries in one list."""
    return measure_pooled([*bench.lonely, *chain.from_iterable(bench.answers.values())])


def reliability(bench: Bench) -> dict[str, Any]:
    """Measure the probabilities."""
    return measure_reliability({"unrelated": bench.lonely, **bench.answers})


def shuffled(bench: Bench) -> dict[str, Any]:
    """Measure the formula's bound."""
    return measure_shuffled(bench.index, bench.unrelated)


def stress(bench: Bench) -> dict[str, Any]:
    """Measure drawn pictures that share a style."""
    folder = bench.scratch / "stress"
    for kind in KINDS:
        write(folder / "db", kind, range(INDEXED))
    words = Vocabulary.load(Index.open(bench.index).vocabulary_folder)
    build_index(find_images([folder / "db"]), folder / "index", Recipe(words))
    calibrate_index(folder / "index")
    report = {}
    for kind in KINDS:
        paths = write(folder / "queries", kind, range(INDEXED, INDEXED + ASKED))
        asked = ask(folder / "index", [Query(path.name, path) for path in paths])
        report[kind] = measure_alarms(asked)
    return report


PARTS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "alarms": alarms,
    "found": found,
    "pooled": pooled,
    "reliability": reliability,
    "shuffled": shuffled,
    "stress": stress,
}


def main() -> None:
    arguments = parse()
    path = HERE / "results" / f"{arguments.name}.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    results = {part: kept[part] for part in PARTS if part in kept}
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        bench = Bench(arguments, Path(scratch))
        for part, measure in PARTS.items():
            if not arguments.only or part in arguments.only:
                results[part] = measure(bench)
                print(part, json.dumps(results[part], indent=1), flush=True)
                write_result(arguments.name, results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("images", type=Path, metavar="IMAGES")
    parser.add_argument("truths", type=Path, nargs="+", metavar="TRUTH.json")
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--unrelated", type=Path, required=True, metavar="DIR")
    parser.add_argument("--related", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--only", nargs="*", choices=PARTS, help="parts to measure again")
    parser.add_argument("--scratch", type=Path, help="where indexes are copied to")
    parser.add_argument("--name", default="trust", help="of the file in benchmarks/results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
