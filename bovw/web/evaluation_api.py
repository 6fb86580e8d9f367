"""REST routes for evaluations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from bovw.evaluation.datasets import Dataset
from bovw.web.api import JPEG, LATER, UNKNOWN, UNUSABLE, Here, Options, jpeg
from bovw.web.engine import PICTURE, Source, UnknownError, id_of, shown
from bovw.web.evaluations import HITS, Evaluations, Ranking, Run, State
from bovw.web.problems import AGAIN, responses
from bovw.web.schemas import Corners, sides_of

router = APIRouter(
    prefix="/api/v1/evaluations",
    tags=["evaluation"],
    responses=responses(UNKNOWN, UNUSABLE, LATER),
)


class Summary(BaseModel):
    """A data set."""

    name: str
    note: str
    images: int
    settings: list[str]
    query_count: int

    @classmethod
    def of(cls, dataset: Dataset) -> Summary:
        """Describe a data set."""
        return cls(
            name=dataset.name,
            note=dataset.note,
            images=len(dataset.database),
            settings=list(dataset.settings),
            query_count=len(dataset.queries),
        )


class QueryRecord(BaseModel):
    """A data set's query; the region is in pixels of its picture."""

    number: int
    id: str
    image: str
    region: list[float] | None


class Details(Summary):
    """A data set with its queries."""

    queries: list[QueryRecord]


class RunOptions(BaseModel):
    """How a run searches."""

    scoring: str
    rerank: int
    expand: int


class Figures(BaseModel):
    """A run's results in one setting; the interval is the mean AP's, 95 %."""

    map: float
    interval: tuple[float, float]
    recall_at_1: float


class QueryFigures(BaseModel):
    """One query's AP by setting; null without positives there."""

    number: int
    id: str
    ap: dict[str, float | None]
    failure: str | None


class Results(BaseModel):
    """A run's results."""

    settings: dict[str, Figures]
    queries: list[QueryFigures]


class RunRecord(BaseModel):
    """A run, with its results once it is done."""

    id: str
    options: RunOptions
    done: int
    of: int
    state: State
    error: str | None
    results: Results | None = None

    @classmethod
    def of_run(cls, run: Run, results: bool = False) -> RunRecord:
        """Describe a run."""
        return cls(
            id=run.id,
            options=RunOptions(
                scoring=run.options.scoring, rerank=run.options.rerank, expand=run.options.expand
            ),
            done=run.done,
            of=run.of,
            state=run.state,
            error=run.error,
            results=_results(run) if results and run.state == "done" else None,
        )


class JudgedHit(BaseModel):
    """A ranked image with its label from the truth."""

    rank: int
    id: str | None
    name: str
    score: float
    inliers: int
    width: int
    height: int
    box: Corners | None
    label: str = Field(description="good, ok, easy, hard, junk, or wrong for an unlabelled image.")


class JudgedRanking(BaseModel):
    """One query's ranking; the curve has the precision at every recall that was reached."""

    number: int
    id: str
    ap: float | None
    positives: int
    curve: list[tuple[float, float]]
    hits: list[JudgedHit]


def evaluations_of(here: Here) -> Evaluations:
    """Return the evaluations; raises UnknownError if no data set was given."""
    if here.evaluations is None:
        raise UnknownError("no data set was given: start the server with --eval")
    return here.evaluations


Known = Annotated[Evaluations, Depends(evaluations_of)]


@router.get("")
def list_datasets(here: Here) -> list[Summary]:
    """List the data sets."""
    return [Summary.of(d) for d in here.evaluations.datasets.values()] if here.evaluations else []


@router.get("/{name}")
def describe_dataset(name: str, known: Known) -> Details:
    """Describe a data set and its queries."""
    dataset = known.dataset(name)
    queries = [
        QueryRecord(
            number=number,
            id=query.id,
            image=shown(query.image),
            region=None if query.region is None else list(query.region),
        )
        for number, query in enumerate(dataset.queries)
    ]
    return Details(**Summary.of(dataset).model_dump(), queries=queries)


@router.get("/{name}/queries/{number}/picture", response_class=Response, responses=JPEG)
async def query_picture(name: str, number: int, here: Here, known: Known) -> Response:
    """Return a query's picture; X-Width and X-Height are the sides of the original."""
    query = known.query(name, number)
    source = Source(query.id, query.image, known.images / query.image)
    return await jpeg(here, lambda: source, PICTURE)


@router.post("/{name}/runs", status_code=202)
def start_run(name: str, options: Options, known: Known) -> RunRecord:
    """Start a run; the same options on the same index return the existing run."""
    return RunRecord.of_run(known.start(name, options))


@router.get("/{name}/runs")
def list_runs(name: str, known: Known) -> list[RunRecord]:
    """List the runs, the latest first."""
    return [RunRecord.of_run(run) for run in known.runs(name)]


@router.get("/{name}/runs/{run}")
def describe_run(name: str, run: str, known: Known) -> RunRecord:
    """Describe a run and its results."""
    return RunRecord.of_run(known.run(name, run), results=True)


@router.get("/{name}/runs/{run}/queries/{number}")
def show_ranking(
    name: str,
    run: str,
    number: int,
    known: Known,
    setting: str | None = None,
    limit: Annotated[int, Query(ge=1, le=HITS)] = 50,
) -> JudgedRanking:
    """Show one query's ranking with labels from the truth."""
    found = known.run(name, run)
    query = known.query(name, number)
    if found.state != "done":
        raise HTTPException(LATER, "the run is not done yet: try again later", AGAIN)
    setting = setting or known.dataset(name).settings[0]
    if setting not in query.judgements:
        raise UnknownError("the data set has no such setting")
    ranking = found.rankings[number]
    return JudgedRanking(
        number=number,
        id=query.id,
        ap=ranking.ap[setting],
        positives=len(query.judgements[setting].positives),
        curve=ranking.curves.get(setting, []),
        hits=list(_judged(ranking, found, limit)),
    )


def _judged(ranking: Ranking, run: Run, limit: int) -> Iterator[JudgedHit]:
    assert run.index is not None, "a finished run has its index"
    for hit in ranking.hits[:limit]:
        number = run.index.names.find(hit.name)
        width, height = sides_of(number, run.index)
        yield JudgedHit(
            rank=hit.rank,
            id=None if number is None else id_of(hit.name),
            name=shown(hit.name),
            score=hit.score,
            inliers=hit.inliers,
            width=width,
            height=height,
            box=None if hit.box is None else hit.box.tolist(),
            label=ranking.label(hit.name),
        )


def _results(run: Run) -> Results:
    return Results(
        settings={setting: Figures(**figures) for setting, figures in run.figures.items()},
        queries=[
            QueryFigures(number=number, id=r.query.id, ap=r.ap, failure=r.failure)
            for number, r in enumerate(run.rankings)
        ],
    )
