"""The methods from TF-IDF to the default, each measured on the same queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bovw.evaluation.database import check_database
from bovw.evaluation.datasets import Dataset
from bovw.evaluation.results import ApForm
from bovw.evaluation.run import Conditions, ask, describe_queries
from bovw.feedback import Progress, no_progress
from bovw.index import Index
from bovw.options import SearchOptions
from bovw.search import Searcher

_DEFAULT = SearchOptions()
_VERIFIED = replace(_DEFAULT, expand=0)
_ALONE = replace(_VERIFIED, rerank=0)
_INCONSISTENT = replace(_ALONE, consistency=False)
METHODS = {
    "TF-IDF": replace(_ALONE, scoring="tfidf"),
    "TF-IDF, verified": replace(_VERIFIED, scoring="tfidf"),
    "TF-IDF, verified, expanded": replace(_DEFAULT, scoring="tfidf"),
    "ASMK*, 1 word": replace(_ALONE, scoring="asmk", words=1),
    "ASMK*, 5 words": replace(_ALONE, scoring="asmk"),
    "Hamming, 1 word": replace(_INCONSISTENT, words=1, burstiness=False),
    "+ burstiness": replace(_INCONSISTENT, words=1),
    "+ multiple assignment, 5 words": _INCONSISTENT,
    "+ consistent turns": _ALONE,
    "+ verification of 100": _VERIFIED,
    "+ expansion with 30": replace(_DEFAULT, augment=False),
}


@dataclass(frozen=True)
class AblationRow:
    """One method's results on a data set.

    map, recall_at_1  0 to 1; one value, or one per setting of a revisited set
    interval          95 % bootstrap interval of the mAP
    halves            mAP and R@1 of two random halves of the queries
    milliseconds      median time of a search, without feature extraction
    """

    method: str
    map: Any
    interval: Any
    recall_at_1: Any
    halves: Any
    milliseconds: float
    bytes_per_image: float


def run_ablation(
    dataset: Dataset,
    images: Path,
    index: Index,
    form: ApForm = "official",
    mode: str | None = None,
    progress: Progress = no_progress,
) -> Iterator[AblationRow]:
    """Yield a row for each method, in order; queries are described once for all methods.

    Raises DatasetError if the index does not hold the data set's images.
    """
    check_database(dataset, index)
    conditions = Conditions(dataset, images, form, mode or dataset.query_mode)
    queries = describe_queries(conditions, Searcher(index).feature_options)
    with progress(queries, len(dataset.queries), "Reading queries") as results:
        described = list(results)
    methods = METHODS | ({"+ neighbours (bovw link)": _DEFAULT} if index.graph else {})
    for method, search_options in methods.items():
        searcher = Searcher(index, search_options)
        report = ask(conditions, searcher, described, progress).report()
        yield AblationRow(
            method,
            report["map"],
            report["interval"],
            report["recall_at_1"],
            report["halves"],
            report["milliseconds"]["search"],
            report["settings"]["bytes_per_image"],
        )


def as_markdown(rows: list[AblationRow]) -> str:
    """Return a Markdown table that also reads well as plain text."""
    lines = [
        f"| {'method':<30} | mAP | R@1 | ms a query | kB an image |",
        f"|{'-' * 32}|---|---|---|---|",
    ]
    lines += [
        f"| {row.method:<30} | {_cell(row.map)} | {_cell(row.recall_at_1)} | "
        f"{row.milliseconds:.0f} | {row.bytes_per_image / 1000:.1f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    values = value.values() if isinstance(value, dict) else [value]
    return " / ".join(f"{v:.3f}" for v in values)
