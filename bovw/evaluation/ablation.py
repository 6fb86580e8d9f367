"""The ladder of methods, measured rung by rung on the same queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bovw.compute.parallel import Progress, silent
from bovw.evaluation.database import check_database
from bovw.evaluation.datasets import Dataset
from bovw.evaluation.results import ApForm
from bovw.evaluation.run import ask, describe_queries
from bovw.index import Index
from bovw.options import SearchOptions
from bovw.search.searcher import Searcher

_DEFAULT = SearchOptions()
_VERIFIED = replace(_DEFAULT, expand=0)
_ALONE = replace(_VERIFIED, rerank=0)
_INCONSISTENT = replace(_ALONE, consistency=False)
RUNGS = {
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
class Rung:
    """What one method measured on a data set.

    map, recall_at_1  0 to 1; one value, or one for each setting of a revisited set
    interval          95 % bootstrap interval of the mAP
    halves            mAP and R@1 of two random halves of the queries
    milliseconds      median time of a search, features given
    """

    method: str
    map: Any
    interval: Any
    recall_at_1: Any
    halves: Any
    milliseconds: float
    bytes_per_image: float


def climb(
    dataset: Dataset,
    images: Path,
    index: Index,
    form: ApForm = "official",
    mode: str | None = None,
    progress: Progress = silent,
) -> Iterator[Rung]:
    """Yield the rungs, in order; the queries are described once for all of them.

    Raises DatasetError where the index does not hold the data set's images.
    """
    check_database(dataset, index)
    mode = mode or dataset.query_mode
    options = Searcher(index).feature_options
    with progress(
        describe_queries(dataset, images, options, mode), len(dataset.queries), "Reading queries"
    ) as results:
        described = list(results)
    rungs = RUNGS | ({"+ neighbours (bovw link)": _DEFAULT} if index.graph else {})
    for method, search_options in rungs.items():
        searcher = Searcher(index, search_options)
        report = ask(dataset, images, searcher, described, form, mode, progress).report()
        yield Rung(
            method,
            report["map"],
            report["interval"],
            report["recall_at_1"],
            report["halves"],
            report["milliseconds"]["search"],
            report["settings"]["bytes_per_image"],
        )


def as_markdown(rungs: list[Rung]) -> str:
    """Write the rungs as a table that reads well as plain text, too."""
    lines = [
        f"| {'method':<30} | mAP | R@1 | ms a query | kB an image |",
        f"|{'-' * 32}|---|---|---|---|",
    ]
    lines += [
        f"| {rung.method:<30} | {_cell(rung.map)} | {_cell(rung.recall_at_1)} | "
        f"{rung.milliseconds:.0f} | {rung.bytes_per_image / 1000:.1f} |"
        for rung in rungs
    ]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    values = value.values() if isinstance(value, dict) else [value]
    return " / ".join(f"{v:.3f}" for v in values)
