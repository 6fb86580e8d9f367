"""Evaluations of data sets in the background, and their kept results."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from bovw.errors import BovwError, DatasetError, UnansweredError
from bovw.evaluation.database import check_database
from bovw.evaluation.datasets import Dataset, Query, load
from bovw.evaluation.metrics import precision_recall
from bovw.evaluation.results import Evaluation, Outcome
from bovw.evaluation.run import evaluate
from bovw.index import Index
from bovw.options import SearchOptions
from bovw.records import Hit
from bovw.web.admission import FullError
from bovw.web.engine import Engine, UnknownError
from bovw.web.problems import told

# Latest runs kept per data set, and hits kept per query.
RUNS, HITS = 12, 100
# Most runs that work or wait.
MOST_RUNNING = 4
State = Literal["running", "done", "failed"]


class Stopped(BaseException):
    """The server ends."""


@dataclass(frozen=True)
class Ranking:
    """The kept part of one query's answer: AP and curve by setting, and the best hits."""

    query: Query
    ap: dict[str, float | None]
    curves: dict[str, list[tuple[float, float]]]
    hits: list[Hit]
    failure: str | None

    def label(self, name: str) -> str:
        """Return the truth's label of an image, "wrong" for one without."""
        return self.query.labels.get(name, "wrong")


@dataclass
class Run:
    """One way to search, tried with all queries of a data set."""

    id: str
    options: SearchOptions
    of: int
    done: int = 0
    state: State = "running"
    error: str | None = None
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    rankings: list[Ranking] = field(default_factory=list)
    index: Index | None = None


class Evaluations:
    """The given data sets and their runs; one run works at a time."""

    def __init__(self, engine: Engine, names: Sequence[str], images: Path) -> None:
        """Load the data sets, whose pictures are below `images`.

        Raises DatasetError if one cannot be read or its images are not in the index.
        """
        self.images = images
        self.datasets: dict[str, Dataset] = {}
        for name in names:
            dataset = load(name, images)
            check_database(dataset, engine.index)
            if "/" in dataset.name or dataset.name in ("", ".", ".."):
                raise DatasetError(
                    f"the data set of {name} is called {dataset.name!r}, which cannot be part of "
                    "an address: give it another name"
                )
            if dataset.name in self.datasets:
                raise DatasetError(f"two data sets are called {dataset.name}: give one of them")
            self.datasets[dataset.name] = dataset
        self._engine = engine
        self._runs: dict[str, dict[str, Run]] = {name: {} for name in self.datasets}
        self._worker = ThreadPoolExecutor(1)
        self._stopped = False

    def dataset(self, name: str) -> Dataset:
        """Return a data set; raises UnknownError."""
        if name not in self.datasets:
            raise UnknownError("no data set of this name was given")
        return self.datasets[name]

    def query(self, name: str, number: int) -> Query:
        """Return a data set's query by its place; raises UnknownError."""
        queries = self.dataset(name).queries
        if not 0 <= number < len(queries):
            raise UnknownError("the data set has no such query")
        return queries[number]

    def runs(self, name: str) -> list[Run]:
        """Return a data set's runs, the latest first."""
        self.dataset(name)
        return list(reversed(self._runs[name].values()))

    def run(self, name: str, run: str) -> Run:
        """Return a run; raises UnknownError."""
        self.dataset(name)
        if run not in self._runs[name]:
            raise UnknownError("this run is no longer kept: start it again")
        return self._runs[name][run]

    def start(self, name: str, options: SearchOptions) -> Run:
        """Return the run with these options; start it if it does not exist."""
        dataset, index = self.dataset(name), self._engine.index
        content = json.dumps([index.meta["digest"], asdict(options)])
        id = hashlib.sha256(content.encode()).hexdigest()[:16]
        runs = self._runs[name]
        if id not in runs or runs[id].state == "failed":
            running = (run for own in self._runs.values() for run in own.values())
            if sum(run.state == "running" for run in running) >= MOST_RUNNING:
                raise FullError
            runs[id] = Run(id, options, len(dataset.queries))
            while len(runs) > RUNS:
                runs.pop(next(iter(runs)))
            self._worker.submit(self._evaluate, dataset, runs[id])
        return runs[id]

    def stop(self) -> None:
        """End the current run and drop the others."""
        self._stopped = True
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _evaluate(self, dataset: Dataset, run: Run) -> None:
        try:
            searcher = self._engine.searcher(run.options)
            progress = partial(self._count, run)
            measured = evaluate(dataset, self.images, searcher, progress=progress)
            missing = {shard for outcome in measured.outcomes for shard in outcome.missing}
            if missing:
                names = ", ".join(sorted(missing))
                raise UnansweredError(f"{names} did not answer: try again")
            run.figures = {setting: _figures(measured, setting) for setting in dataset.settings}
            aps = {setting: measured.precisions(setting) for setting in dataset.settings}
            run.rankings = [
                _ranking(outcome, {setting: aps[setting][i] for setting in aps})
                for i, outcome in enumerate(measured.outcomes)
            ]
            run.index, run.state = searcher.index, "done"
        except Stopped:
            pass
        except BovwError as error:
            run.state, run.error = "failed", told(error, f"evaluating {dataset.name}")
        except Exception:
            logging.getLogger("bovw").exception("evaluating %s", dataset.name)
            run.state, run.error = "failed", "unexpected: the server's log has more"

    def _count(
        self, run: Run, results: Iterable[Any], length: int, label: str
    ) -> AbstractContextManager[Iterable[Any]]:
        """Count a run's finished queries in it."""

        def counted() -> Iterator[Any]:
            for result in results:
                if self._stopped:
                    raise Stopped
                run.done += 1
                yield result

        return nullcontext(counted())


def _figures(measured: Evaluation, setting: str) -> dict[str, Any]:
    return {
        "map": measured.mean_ap(setting),
        "interval": measured.interval(setting),
        "recall_at_1": measured.recall_at_1(setting),
    }


def _ranking(outcome: Outcome, ap: dict[str, float | None]) -> Ranking:
    curves = {
        setting: precision_recall(outcome.ranking, judged.positives, judged.junk)
        for setting, judged in outcome.query.judgements.items()
        if judged.positives
    }
    return Ranking(outcome.query, ap, curves, outcome.hits[:HITS], outcome.failure)
