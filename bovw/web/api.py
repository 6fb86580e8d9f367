"""The REST API, version 1: routes that only read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from math import isfinite
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from bovw import __version__
from bovw.errors import QueryError
from bovw.options import SearchOptions, ServeOptions
from bovw.ranking import SCORINGS
from bovw.records import Box
from bovw.web.engine import PICTURE, THUMBNAIL, Engine, Source
from bovw.web.problems import Responses, responses
from bovw.web.schemas import (
    Asked,
    Defaults,
    FoundImage,
    Given,
    Health,
    ImagePage,
    ImageRecord,
    Info,
    Limits,
    Milliseconds,
    SearchResult,
)
from bovw.web.state import Server, server_of

TOPK, MOST_TOPK, MOST_RERANK, MOST_EXPAND, PAGE, MOST_PAGE = 20, 200, 1000, 200, 60, 500
USUAL = SearchOptions()
JPEG: Responses = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
}
UNKNOWN, UNUSABLE = HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY
LATER, LONG = HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.REQUEST_TIMEOUT
HUGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
# OpenAPI's description of a body of bytes.
BODY = {
    "requestBody": {
        "description": "A JPEG, PNG, WebP, TIFF or BMP file.",
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

router = APIRouter(prefix="/api/v1", responses=responses(UNUSABLE, LATER))
Here = Annotated[Server, Depends(server_of)]
QueryId = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="An uploaded picture's id.")]
ImageId = Annotated[str, Path(max_length=6000, description="An indexed image's id.")]


def search_options(
    scoring: Annotated[
        Literal["hamming", "tfidf", "asmk"],
        Query(description="How images are ranked before verification."),
    ] = "hamming",
    rerank: Annotated[
        int, Query(ge=0, le=MOST_RERANK, description="Top-ranked images to verify.")
    ] = USUAL.rerank,
    expand: Annotated[
        int, Query(ge=0, le=MOST_EXPAND, description="Verified images to expand the query with.")
    ] = USUAL.expand,
    max_false_alarms: Annotated[
        float, Query(gt=0, le=1, description="False alarms per query of a match, at most.")
    ] = USUAL.max_false_alarms,
) -> SearchOptions:
    """Read the search options."""
    return SearchOptions(
        scoring=scoring, rerank=rerank, expand=expand, max_false_alarms=max_false_alarms
    )


def region_of(
    region: Annotated[
        str | None,
        Query(description="x1,y1,x2,y2: the part of the picture to search for, in its pixels."),
    ] = None,
) -> Box | None:
    """Read a region; raises QueryError for anything else."""
    if region is None:
        return None
    try:
        box = Box(*(float(part) for part in region.split(",")))
    except (TypeError, ValueError):
        box = None
    if box is None or not all(map(isfinite, box)):
        raise QueryError("a region is x1,y1,x2,y2 in pixels, like 10,20,300,400")
    return box


def source_of(
    here: Here,
    query: Annotated[str | None, Query(description="The id of an uploaded picture.")] = None,
    image: Annotated[str | None, Query(description="The id of an indexed image.")] = None,
    name: Annotated[str | None, Query(description="The name of an indexed image.")] = None,
) -> Source:
    """Read the query picture."""
    return here.engine.source(query, image, name)


Options = Annotated[SearchOptions, Depends(search_options)]
Region = Annotated[Box | None, Depends(region_of)]
Asking = Annotated[Source, Depends(source_of)]
TopK = Annotated[int, Query(ge=1, le=MOST_TOPK, description="Hits to return.")]


@router.get("/info")
def info(here: Here) -> Info:
    """Describe the index and the limits of requests."""
    index = here.engine.index
    return Info(
        version=__version__,
        images=len(index),
        features=index.features,
        words=index.meta["words"],
        bits=index.meta["bits"],
        scorings=list(SCORINGS),
        defaults=Defaults(
            topk=TOPK,
            scoring=USUAL.scoring,
            rerank=USUAL.rerank,
            expand=USUAL.expand,
            max_false_alarms=USUAL.max_false_alarms,
        ),
        limits=Limits(
            upload_bytes=here.engine.options.upload_bytes,
            topk=MOST_TOPK,
            rerank=MOST_RERANK,
            expand=MOST_EXPAND,
        ),
        writable=here.token is not None,
        evaluations=[] if here.evaluations is None else list(here.evaluations.datasets),
    )


@router.get("/health")
def health(here: Here) -> Health:
    """Report whether the index can be read."""
    shards = here.replicas.health() if here.replicas else {}
    status: Literal["ok", "partial"] = "ok" if all(shards.values()) else "partial"
    return Health(status=status, images=len(here.engine.index), shards=shards)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {CONTENT_TYPE_PLAIN_0_0_4: {"schema": {"type": "string"}}}}},
)
def metrics(here: Here) -> Response:
    """Return counters and times in Prometheus' text format."""
    return Response(generate_latest(here.metrics.registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


@router.post("/queries", status_code=201, openapi_extra=BODY, responses=responses(HUGE, LONG))
async def give(request: Request, here: Here) -> Given:
    """Upload a picture to search with; the body is the file."""
    source = await receive(request, here)
    return await here.queue.work(partial(_given, here.engine, source))


@router.get("/queries/{id}", responses=responses(UNKNOWN))
async def given(id: QueryId, here: Here) -> Given:
    """Describe an uploaded picture."""
    find = partial(here.engine.source, id, None, None)
    return await here.queue.work(lambda: _given(here.engine, find()))


@router.get("/queries/{id}/picture", response_class=Response, responses=JPEG | responses(UNKNOWN))
async def given_picture(id: QueryId, here: Here) -> Response:
    """Return an uploaded picture, upright."""
    return await jpeg(here, partial(here.engine.source, id, None, None), PICTURE)


@router.get("/search", responses=responses(UNKNOWN))
async def search(
    here: Here, source: Asking, region: Region, options: Options, topk: TopK = TOPK
) -> SearchResult:
    """Search with an uploaded picture, or with an indexed image by its id or name."""
    return await here.queue.work(partial(_search, here, source, region, topk, options))


@router.post("/search", openapi_extra=BODY, responses=responses(HUGE, LONG))
async def give_and_search(
    request: Request, here: Here, region: Region, options: Options, topk: TopK = TOPK
) -> SearchResult:
    """Upload a picture and search with it at once; the body is the file."""
    source = await receive(request, here)
    return await here.queue.work(partial(_search, here, source, region, topk, options))


@router.get("/images")
async def images(
    here: Here,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_PAGE)] = PAGE,
    contains: Annotated[str, Query(max_length=200, description="Part of the names.")] = "",
) -> ImagePage:
    """List the indexed images by name."""
    return await here.queue.work(partial(_images, here.engine, offset, limit, contains))


def _images(engine: Engine, offset: int, limit: int, contains: str) -> ImagePage:
    # Goes through all names of the index.
    index = engine.index
    wanted = index.statistics.live
    if contains:
        wanted = wanted & index.names.containing(contains)
    numbers = index.names.by_name[wanted[index.names.by_name]]
    page = [ImageRecord.of(number, index) for number in numbers[offset : offset + limit].tolist()]
    return ImagePage(total=len(numbers), offset=offset, images=page)


@router.get("/images/{id}", responses=responses(UNKNOWN))
def image(id: ImageId, here: Here) -> ImageRecord:
    """Describe an indexed image."""
    index = here.engine.index
    return ImageRecord.of(here.engine.indexed(id, index), index)


@router.get("/images/{id}/thumbnail", response_class=Response, responses=JPEG | responses(UNKNOWN))
async def thumbnail(id: ImageId, here: Here) -> Response:
    """Return a small JPEG of an indexed image, upright."""
    return await jpeg(here, partial(here.engine.source, None, id, None), THUMBNAIL)


@router.get("/images/{id}/picture", response_class=Response, responses=JPEG | responses(UNKNOWN))
async def picture(id: ImageId, here: Here) -> Response:
    """Return a JPEG of an indexed image, upright and large enough for a screen."""
    return await jpeg(here, partial(here.engine.source, None, id, None), PICTURE)


async def receive(request: Request, here: Server) -> Source:
    """Take a picture from the request's body, within the limits of bytes and time.

    It takes no place in the queue while it comes, so that slow clients keep nobody waiting.
    """
    options: ServeOptions = here.engine.options
    here.queue.check()
    async with asyncio.timeout(options.limit):
        id = await here.engine.given.receive(request.stream(), options.upload_bytes)
    return here.engine.source(id, None, None)


async def jpeg(here: Server, find: Callable[[], Source], side: int) -> Response:
    """Return a JPEG; the headers have the sides of the original."""
    content, width, height = await here.showing.work(lambda: here.engine.show(find(), side))
    headers = {
        "Cache-Control": "private, max-age=3600",
        "X-Width": str(width),
        "X-Height": str(height),
    }
    return Response(content, media_type="image/jpeg", headers=headers)


def _given(engine: Engine, source: Source) -> Given:
    features, _ = engine.describe(source)
    return Given(id=source.id, width=features.width, height=features.height, features=len(features))


def _search(
    here: Server, source: Source, region: Box | None, topk: int, options: SearchOptions
) -> SearchResult:
    answer = here.engine.search(source, region, topk, options)
    for shard in answer.missing:
        here.metrics.silent.labels(shard).inc()
    return SearchResult(
        query=Asked.of(source, answer.features),
        region=None if region is None else list(region),
        milliseconds=Milliseconds(
            describe=1e3 * answer.describe_seconds, search=1e3 * answer.search_seconds
        ),
        missing=answer.missing,
        hits=[FoundImage.of(hit, answer.index) for hit in answer.hits],
    )
