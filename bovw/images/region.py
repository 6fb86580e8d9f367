"""The region of a picture that a query asks for."""

from __future__ import annotations

from collections.abc import Sequence

from bovw.errors import QueryError, UsageError
from bovw.records import Box


def region_box(region: Sequence[float]) -> Box:
    """Return four numbers as a box; raises UsageError for anything else."""
    try:
        x1, y1, x2, y2 = (float(value) for value in region)
    except (TypeError, ValueError):
        raise UsageError(
            f"a region is four numbers, left, top, right and bottom in pixels, and not {region!r}"
        ) from None
    return Box(x1, y1, x2, y2)


def check_region(region: Box, width: int, height: int) -> Box:
    """Return `region` clipped to an image of width x height; QueryError if nothing is left."""
    x1, y1, x2, y2 = region
    clipped = Box(max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
    if _is_empty(region) or _is_empty(clipped):  # the first is for NaN, which clipping loses
        raise QueryError(
            f"the region {x1:g},{y1:g},{x2:g},{y2:g} is empty or outside the image: give left,top,"
            f"right,bottom in pixels within its {width} x {height}"
        )
    return clipped


def _is_empty(box: Box) -> bool:
    return not (box.x1 < box.x2 and box.y1 < box.y2)
