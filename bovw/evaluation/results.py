"""The results of an evaluation, as figures, plain values and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, median
from typing import Any, Literal

from bovw.compute.text import printable
from bovw.evaluation.datasets import Dataset, Query
from bovw.evaluation.metrics import (
    average_precision,
    bootstrap_interval,
    first_is_positive,
    means_of_halves,
    precision_at,
    ukbench_score,
)
from bovw.records import Hit
from bovw.search import Searcher

ApForm = Literal["official", "rectangle"]
PRECISIONS = (1, 5, 10)


@dataclass(frozen=True)
class Outcome:
    """One query's answer: all images of the data set ranked, and the seconds that it took.

    failure  why the query failed
    missing  shards that have not answered
    """

    query: Query
    hits: list[Hit]
    describe_seconds: float
    search_seconds: float
    failure: str | None = None
    missing: Sequence[str] = ()

    @cached_property
    def ranking(self) -> list[str]:
        """The names, best first."""
        return [hit.name for hit in self.hits]


@dataclass(frozen=True)
class Evaluation:
    """The results of a run, with the settings behind every figure."""

    dataset: Dataset
    searcher: Searcher
    outcomes: list[Outcome]
    form: ApForm
    mode: str

    def precisions(self, setting: str) -> list[float | None]:
        """Return every query's AP, None for one without positives in this setting."""
        return [
            average_precision(o.ranking, judged.positives, judged.junk, self.form)
            if (judged := o.query.judgements[setting]).positives
            else None
            for o in self.outcomes
        ]

    def mean_ap(self, setting: str) -> float:
        """Return the mean AP over the queries that have positives, 0 to 1."""
        return fmean(ap for ap in self.precisions(setting) if ap is not None)

    def interval(self, setting: str) -> tuple[float, float]:
        """Return the 95 % bootstrap interval of the mean AP."""
        pairs = zip(self.precisions(setting), self.outcomes, strict=True)
        judged = [(ap, o.query.group) for ap, o in pairs if ap is not None]
        return bootstrap_interval([ap for ap, _ in judged], [group for _, group in judged])

    def firsts(self, setting: str) -> list[bool | None]:
        """Return for every query whether its first image is a positive, None without any."""
        judged = [(o.ranking, o.query.judgements[setting]) for o in self.outcomes]
        return [
            first_is_positive(r, j.positives, j.junk) if j.positives else None for r, j in judged
        ]

    def recall_at_1(self, setting: str) -> float:
        """Return the share of queries whose first image that is not junk is a positive."""
        return fmean(first for first in self.firsts(setting) if first is not None)

    def halves(self, setting: str) -> dict[str, tuple[float, float]]:
        """Return the mean AP and R@1 of two random halves of the queries."""
        measured: dict[str, Sequence[float | None]] = {
            "map": self.precisions(setting),
            "recall_at_1": self.firsts(setting),
        }
        return {
            name: means_of_halves([value for value in values if value is not None])
            for name, values in measured.items()
        }

    def mean_precision_at(self, k: int, setting: str) -> float:
        """Return mP@k as the revisited Oxford and Paris define it."""
        judged = [(o.ranking, o.query.judgements[setting]) for o in self.outcomes]
        return fmean(precision_at(r, j.positives, j.junk, k) for r, j in judged if j.positives)

    @cached_property
    def ukbench(self) -> float | None:
        """The mean number of a query's four images among the first four, for UKBench."""
        if self.dataset.score != "ukbench":
            return None
        return fmean(
            ukbench_score(o.ranking, o.query.judgements["all"].positives) for o in self.outcomes
        )

    @cached_property
    def vocabulary_source(self) -> tuple[str, int]:
        """Return "own" or "independent", and how many database images it was trained on."""
        digests = {int(row.sha256[:16], 16) for row in self.searcher.index.images() if row.sha256}
        shared = len(digests & set(self.searcher.vocabulary.sources.tolist()))
        return ("own" if shared else "independent"), shared

    def report(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        several = self.dataset.settings != ("all",)

        def each(measure: Any) -> Any:
            values = {setting: measure(setting) for setting in self.dataset.settings}
            return values if several else values["all"]

        report = {
            "dataset": self.dataset.name,
            "note": self.dataset.note,
            "map": each(self.mean_ap),
            "interval": each(self.interval),
            "recall_at_1": each(self.recall_at_1),
            "halves": each(self.halves),
            "queries": [self._query_record(i, several) for i in range(len(self.outcomes))],
            "milliseconds": {
                "describe": 1e3 * median(o.describe_seconds for o in self.outcomes),
                "search": 1e3 * median(o.search_seconds for o in self.outcomes),
            },
            "settings": self._settings(),
        }
        if several:
            at = {
                k: each(lambda setting, k=k: self.mean_precision_at(k, setting)) for k in PRECISIONS
            }
            report["mean_precision_at"] = at
        if self.ukbench is not None:
            report["ukbench"] = self.ukbench
        return report

    def _query_record(self, number: int, several: bool) -> dict[str, Any]:
        values = {s: self._all_precisions[s][number] for s in self.dataset.settings}
        outcome = self.outcomes[number]
        record = {"id": outcome.query.id, "ap": values if several else values["all"]}
        return record | ({"failure": outcome.failure} if outcome.failure else {})

    @cached_property
    def _all_precisions(self) -> dict[str, list[float | None]]:
        return {setting: self.precisions(setting) for setting in self.dataset.settings}

    def _settings(self) -> dict[str, Any]:
        index = self.searcher.index
        source, shared = self.vocabulary_source
        options = self.searcher.options
        return {
            "scoring": options.scoring,
            "rerank": options.rerank,
            "expand": options.expand if options.rerank else 0,
            "ap": self.form,
            "query_mode": self.mode,
            "vocabulary": source,
            "vocabulary_images_shared": shared,
            "words": index.meta["words"],
            "bits": index.meta["bits"],
            "features": index.meta["options"],
            "images": len(self.dataset.database),
            "indexed": len(index),
            "index": str(index.folder),
            "bytes_per_image": sum(index.bytes().values()) / max(len(index), 1),
        }


def as_text(evaluation: Evaluation) -> str:
    """Return the figures as text, one query a line and the means below."""
    report = evaluation.report()
    settings = report["settings"]
    lines = [f"{'AP':>8}  query"]
    lines += [
        f"{_ap_cells(record['ap']):>8}  {printable(record['id'])}" for record in report["queries"]
    ]
    lines.append("")
    for setting in evaluation.dataset.settings:
        low, high = evaluation.interval(setting)
        name = "" if setting == "all" else f" {setting}"
        halves = {
            measure: f"random halves: {first:.4f} and {second:.4f}"
            for measure, (first, second) in evaluation.halves(setting).items()
        }
        lines.append(
            f"mAP{name}  {evaluation.mean_ap(setting):.4f}  "
            f"(95 %: {low:.4f} to {high:.4f}; {halves['map']})"
        )
        lines.append(f"R@1{name}  {evaluation.recall_at_1(setting):.4f}  ({halves['recall_at_1']})")
        if setting != "all":
            values = (evaluation.mean_precision_at(k, setting) for k in PRECISIONS)
            lines.append(f"mP@1,5,10{name}  " + "  ".join(f"{v:.4f}" for v in values))
    if evaluation.ukbench is not None:
        lines.append(f"UKBench score  {evaluation.ukbench:.3f} of 4")
    source = (
        f"{settings['vocabulary']}, trained on "
        f"{settings['vocabulary_images_shared']} of these images"
    )
    lines += [
        "",
        f"data set      {printable(report['dataset'])}: {settings['images']} images, "
        f"{len(report['queries'])} queries",
        f"vocabulary    {settings['words']} words, {source}",
        f"scoring       {settings['scoring']}, verification of {settings['rerank']}, "
        f"expansion with {settings['expand']}",
        f"AP form       {settings['ap']}, depth: all images; region: {settings['query_mode']}",
        f"time a query  {report['milliseconds']['describe']:.0f} ms to describe, "
        f"{report['milliseconds']['search']:.0f} ms to search (medians)",
        f"size          {settings['bytes_per_image'] / 1000:.1f} kB an image, without vocabulary",
    ]
    return "\n".join(lines) + "\n"


def _ap_cells(ap: Any) -> str:
    values = ap.values() if isinstance(ap, dict) else [ap]
    return " ".join("-" if value is None else f"{value:.4f}" for value in values)
