"""The outline of a region in another picture, and the part of it within that picture."""

from __future__ import annotations

import numpy as np

from bovw.records import Box, Doubles


def corners(box: Box) -> Doubles:
    """Return a box's corners: float64 [4, 2], clockwise from the top left one."""
    x1, y1, x2, y2 = box
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float64)


def warp_box(transform: Doubles, region: Box) -> Doubles:
    """Return a region's corners after a transform: float64 [4, 2], clockwise from top left."""
    carried = np.hstack([corners(region), np.ones((4, 1))]) @ transform.T
    return np.asarray(carried[:, :2] / carried[:, 2:], np.float64)


def clip_to_frame(outline: Doubles, frame: Box) -> Doubles:
    """Clip an outline [n, 2] to a frame: float64 [m, 2], empty if nothing is left.

    The result follows the frame's edges wherever the outline reaches beyond them (Sutherland and
    Hodgman, Reentrant polygon clipping, CACM 1974).
    """
    if not np.isfinite(outline).all():
        return np.empty((0, 2))
    sides = [(1, 0, -frame.x1), (0, 1, -frame.y1), (-1, 0, frame.x2), (0, -1, frame.y2)]
    for right, down, offset in sides:
        outline = _cut(outline, outline @ np.array([right, down]) + offset)
    return outline


def _cut(outline: Doubles, heights: Doubles) -> Doubles:
    """Keep the part of an outline whose signed distances from a line, `heights` [n], are >= 0."""
    kept = []
    for i in range(len(outline)):
        # The edge from the previous corner; index -1 is the last corner.
        if (heights[i] >= 0) != (heights[i - 1] >= 0):
            part = heights[i - 1] / (heights[i - 1] - heights[i])
            kept.append(outline[i - 1] + part * (outline[i] - outline[i - 1]))
        if heights[i] >= 0:
            kept.append(outline[i])
    return np.array(kept, np.float64).reshape(-1, 2)
