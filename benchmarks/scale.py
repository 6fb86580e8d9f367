"""Extends the forecast of `bovw plan` to a billion images, and compares it with measurements.

    python benchmarks/scale.py [--index INDEX --queries IMG [IMG...] [--name default]]

With INDEX, the script first measures the lists that the queries read, and saves them by name in
results/lists.json: quantiles of their lengths, in mean lengths of a list, and for each query its
number of features and the mean length of their lists. Without INDEX, it reads that file; "growth"
and "growth_full" belong to the results of benchmarks/growth.py.

A node is one core with 4 GB of memory. Each simulated query is one of the measured ones. The time
on each node is the model's time multiplied by a lognormal draw, and the slowest node counts, three
times: for scoring, verification and expansion. If a node is lost, there are two cases. Without
replicas, its share of the images is not found until it is back. With replicas, another node also
keeps that share, and does the work of both. Builders take batches of 500 images at lognormal
speeds.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from machine import HERE, write_result
from scipy.special import ndtri

from bovw.capacity.forecast import BATCH, WORDS, Costs, disk, enough_nodes, query
from bovw.capacity.probe import skew
from bovw.index import Index
from bovw.search.query import describe_query
from bovw.search.searcher import Searcher

Doubles = npt.NDArray[np.float64]
SIZES = [10**power for power in range(4, 10)]
STRAGGLINGS = (0.2, 0.5)
WORKERS = (2, 10, 100, 1000, 10_000)
# Bytes of memory per node; how many queries and builds are simulated.
MEMORY, QUERIES, DRAWS = 4e9, 10_000, 51
RESULTS = HERE / "results"
# Results of benchmarks/growth.py: with 800 features of 64 bits, and with the defaults.
MEASURED = ("growth", "growth_full")
# The parts of a query that run on every node.
SPREAD = ("scoring", "verification", "expansion")
# For each query: its number of features, and the mean length of their lists, in mean lengths.
Queries = list[tuple[int, float]]


@dataclass(frozen=True)
class Nodes:
    """The nodes that share a collection.

    straggling  how much their speeds differ: the sigma of the lognormal draw
    lost        how many of them are lost, 0 or 1: a replica also does their work
    """

    images: int
    count: int
    straggling: float = 0.0
    lost: int = 0


def main() -> None:
    arguments = parse()
    lists = read("lists")
    if arguments.index:
        lists[arguments.name] = measured(arguments.index, arguments.queries)
        (RESULTS / "lists.json").write_text(json.dumps(lists) + "\n", "utf-8")
    checked = [row for name in MEASURED for row in validated(read(name), lists[name])]
    rng = np.random.default_rng(0)
    simulated = [simulate(Costs(), images, lists["default"]["queries"], rng) for images in SIZES]
    content = {"costs": asdict(Costs()), "validation": checked, "sizes": simulated}
    write_result("scale", content)
    show(checked, simulated)


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    return content


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--index", type=Path, metavar="INDEX")
    parser.add_argument("--queries", type=Path, nargs="+", default=[], metavar="IMG")
    parser.add_argument("--name", default="default")
    return parser.parse_args()


def measured(folder: Path, queries: list[Path]) -> dict[str, Any]:
    """Measure the lists that queries read, in mean lengths of a list."""
    searcher = Searcher(Index.open(folder))
    index = searcher.index
    lengths = np.sum([np.diff(segment.offsets) for segment in index.segments], axis=0)
    relative = np.append(lengths / lengths.mean(), 0)
    asked = []
    for path in queries:
        features, _ = describe_query(path, options=searcher.feature_options)
        ids = searcher.vocabulary.assign(features, WORDS).ids
        asked.append((len(features), round(float(relative[ids].mean()), 3)))
    own = np.repeat(relative[:-1], lengths)
    return {
        "images": len(index),
        "features": index.features,
        "words": len(lengths),
        "skew": skew(lengths.astype(np.float64)),
        "quantiles": np.quantile(own, np.linspace(0, 1, 101)).round(2).tolist(),
        "queries": asked,
    }


def validated(growth: dict[str, Any], lists: dict[str, Any]) -> list[dict[str, float]]:
    """Return the model's figures and the measurements of benchmarks/growth.py, on one core."""
    costs = replace(Costs(), **lists.get("costs", {}))
    rng = np.random.default_rng(0)
    rows = []
    for size in growth["sizes"]:
        images = size["images"]
        asked = answered(costs, lists["queries"], Nodes(images, 1), rng)
        writing = images * (costs.features * costs.write + costs.commit)
        rows.append(
            {
                **{name: size[name] for name in ("images", "bytes", "build", "p50", "p95")},
                "features": costs.features,
                "predicted bytes": disk(costs, images),
                "predicted build": writing,
                # The measurements start after SIFT.
                "predicted p50": asked["p50"] - costs.describe,
                "predicted p95": asked["p95"] - costs.describe,
                "words": asked["words"],
            }
        )
    return rows


def simulate(
    costs: Costs, images: int, queries: Queries, rng: np.random.Generator
) -> dict[str, Any]:
    """Return the forecast for a collection of this size."""
    nodes = enough_nodes(costs, images, MEMORY)
    spread = {
        str(straggling): {
            "whole": answered(costs, queries, Nodes(images, nodes, straggling), rng),
            "one node lost": answered(costs, queries, Nodes(images, nodes, straggling, 1), rng)
            if nodes > 1
            else None,
            "hours": {
                str(workers): built(costs, images, nodes, workers, straggling, rng)
                for workers in WORKERS
            },
        }
        for straggling in STRAGGLINGS
    }
    return {
        "images": images,
        "bytes": disk(costs, images),
        "one core": answered(costs, queries, Nodes(images, 1), rng),
        "nodes": nodes,
        "spread": spread,
    }


def answered(
    costs: Costs, queries: Queries, nodes: Nodes, rng: np.random.Generator
) -> dict[str, float]:
    """Return p50 and p95 of the seconds per query, and the mean number of its words."""
    each = [replace(costs, asked=asked, skew=long) for asked, long in queries]
    found = [query(one, nodes.images, nodes.count, straggling=0.0) for one in each]
    drawn = rng.integers(len(found), size=QUERIES)
    seconds = np.zeros(QUERIES)
    for part in found[0].parts:
        work = np.array([one.parts[part] for one in found])[drawn]
        if part in SPREAD:
            burdened = (1 + nodes.lost) * slowest(1, nodes.straggling, rng)
            others = slowest(nodes.count - 1 - nodes.lost, nodes.straggling, rng)
            work *= np.maximum(burdened, others)
        seconds += work
    p50, p95 = np.percentile(seconds, (50, 95)).tolist()
    return {"p50": p50, "p95": p95, "words": float(np.mean([one.words for one in found]))}


def slowest(nodes: int, straggling: float, rng: np.random.Generator) -> Doubles:
    """Draw the slowest of `nodes` lognormal times for every query; 0 if there are no nodes."""
    if nodes < 1:
        return np.zeros(QUERIES)
    drawn: Doubles = np.exp(straggling * ndtri(rng.random(QUERIES) ** (1 / nodes)))
    return drawn


def built(
    costs: Costs,
    images: int,
    nodes: int,
    workers: int,
    straggling: float,
    rng: np.random.Generator,
) -> float:
    """Return the hours until the last batch is done; a free worker takes the next batch.

    Every node's share is a separate index with its own commits.
    """
    each = costs.describe + costs.features * (costs.assign + costs.write)
    each += images / nodes / 2 / BATCH * costs.commit
    batches = -(-images // BATCH)
    hours = []
    for _ in range(DRAWS):
        speeds = BATCH * each * np.exp(straggling * rng.standard_normal(workers))
        # The earliest time by which all workers together have finished all batches.
        low, high = 0.0, float(batches * speeds.min())
        while high - low > 1e-4 * high:
            middle = (low + high) / 2
            enough = np.floor(middle / speeds).sum() >= batches
            low, high = (low, middle) if enough else (middle, high)
        hours.append(high / 3600)
    return float(np.median(hours))


def show(checked: list[dict[str, float]], simulated: list[dict[str, Any]]) -> None:
    """Print both tables."""
    print("one core, measured | predicted")
    for row in checked:
        what = f"{row['images']:>13,} of {row['features']:,.0f}"
        size = f"{row['bytes'] / 1e9:.3f} | {row['predicted bytes'] / 1e9:.3f} GB"
        pairs = [f"{row[k]:,.3f} | {row[f'predicted {k}']:,.3f} s" for k in ("build", "p50", "p95")]
        print("  ".join([what, size, *pairs, f"{row['words']:.1f} words"]))
    for one in simulated:
        alone = one["one core"]
        size = f"{one['bytes'] / 1e9:,.1f} GB"
        seconds = f"one core: {alone['words']:.1f} words, {pair(alone)}"
        print("  ".join([f"{one['images']:>13,}", size, seconds, f"{one['nodes']:,} nodes"]))
        for straggling, found in one["spread"].items():
            lost = found["one node lost"]
            after = f"one lost {pair(lost)}" if lost else "none to lose"
            hours = " ".join(f"{value:,.2f}" for value in found["hours"].values())
            title = f"{'':>13}  straggling {straggling}"
            print("  ".join([title, pair(found["whole"]), after, f"hours {hours}"]))


def pair(found: dict[str, float]) -> str:
    return f"{found['p50']:.2f} and {found['p95']:.2f} s"


if __name__ == "__main__":
    main()
