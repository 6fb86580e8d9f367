"""Accuracy, time and size of every method, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

from bovw.evaluation.metrics import average_precision, first_is_positive
from peers.database import Answer, Asked, Method


def figures(
    method: Method, answers: dict[Asked, Answer], queries: Sequence[Asked], images: Sequence[str]
) -> dict[str, Any]:
    """Return a method's results on `queries`; images that it did not return rank last, by name."""
    found: dict[str, Any] = {}
    for dataset in dict.fromkeys(query.dataset for query in queries):
        judged = [
            (list(dict.fromkeys([*answers[query][0], *images])), query.judgement)
            for query in queries
            if query.dataset == dataset
        ]
        found[dataset] = {
            "queries": len(judged),
            "map": fmean(average_precision(r, j.positives, j.junk) for r, j in judged),
            "recall_at_1": fmean(first_is_positive(r, j.positives, j.junk) for r, j in judged),
        }
    return {
        "method": method.name,
        "datasets": found,
        "milliseconds": 1e3 * median(answers[query][1] for query in queries),
        "bytes_per_image": method.bytes_per_image,
        "build_seconds": method.build_seconds,
    }


def as_markdown(title: str, rows: Sequence[dict[str, Any]]) -> str:
    datasets = [f"{name} ({d['queries']})" for name, d in rows[0]["datasets"].items()]
    headings = [title, *datasets, "ms per query", "kB per image", "s to build"]
    lines = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    for row in rows:
        cells = [f"{d['map']:.3f}, {d['recall_at_1']:.3f}" for d in row["datasets"].values()]
        seconds = row["build_seconds"]
        cells += [f"{row['milliseconds']:,.0f}", f"{row['bytes_per_image'] / 1000:.1f}"]
        cells += ["given" if seconds is None else f"{seconds:,.0f}"]
        lines.append(f"| {' | '.join([row['method'], *cells])} |")
    return "\n".join(lines) + "\n"
