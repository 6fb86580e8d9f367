"""REST routes that compare a picture with an indexed image."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query

from bovw.geometry import warp_box
from bovw.options import SearchOptions
from bovw.records import Box, Doubles, certainty
from bovw.search import explain
from bovw.web.api import LATER, UNKNOWN, UNUSABLE, Asking, Here, Options, Region
from bovw.web.engine import Engine, Pair, Source
from bovw.web.problems import responses
from bovw.web.schemas import Asked, Compared, Corners, Explained, ImageRecord

router = APIRouter(prefix="/api/v1", responses=responses(UNKNOWN, UNUSABLE, LATER))
HitId = Annotated[str, Query(description="The id of the indexed image to compare with.")]


@router.get("/matches")
async def matches(
    here: Here, source: Asking, region: Region, options: Options, hit: HitId
) -> Compared:
    """Return the matching points of a picture and an indexed image.

    A search with the same options decides the same.
    """
    return await here.queue.work(partial(_compare, here.engine, source, region, hit, options))


@router.get("/explanation")
async def explanation(
    here: Here, source: Asking, region: Region, options: Options, hit: HitId
) -> Explained:
    """Explain why a search with a picture finds an indexed image, or does not."""
    return await here.queue.work(partial(_explain, here.engine, source, region, hit, options))


def _compare(
    engine: Engine, source: Source, region: Box | None, hit: str, options: SearchOptions
) -> Compared:
    pair = engine.pair(source, region, hit, options)
    judged = next(iter(pair.searcher.compare(pair.features, pair.region, [pair.image])), None)
    found = judged.found if judged else None
    return Compared(
        query=Asked.of(source, pair.features),
        hit=ImageRecord.of(pair.image, pair.searcher.index),
        certainty=judged.certainty if judged else "none",
        probability=judged.probability if judged else 0.0,
        false_alarms=judged.false_alarms if judged else None,
        inliers=found.evidence.inliers if found else 0,
        transform=found.transform.tolist() if found else None,
        box=_box(found.transform, pair) if found else None,
        points=found.points.round(1).tolist() if found else [],
    )


def _explain(
    engine: Engine, source: Source, region: Box | None, hit: str, options: SearchOptions
) -> Explained:
    pair = engine.pair(source, region, hit, options)
    found = explain(pair.searcher, pair.features, pair.region, pair.image)
    return Explained(
        query=Asked.of(source, pair.features),
        hit=ImageRecord.of(pair.image, pair.searcher.index),
        reason=found.reason,
        certainty=certainty(found.false_alarms if found.probability else None, found.confirmed),
        probability=found.probability,
        false_alarms=found.false_alarms,
        confirmed=found.confirmed,
        images=found.images,
        rank=found.rank,
        verified=found.verified,
        score=found.score,
        shared=found.shared,
        tentative=found.evidence.tentative,
        inliers=found.evidence.inliers,
        effective=found.evidence.effective,
        needed=found.needed,
        transform=None if found.transform is None else found.transform.tolist(),
        box=None if found.transform is None else _box(found.transform, pair),
        points=found.points.round(1).tolist(),
    )


def _box(transform: Doubles, pair: Pair) -> Corners:
    corners: Corners = warp_box(transform, pair.region).tolist()
    return corners
