"""Where a region of one picture lies in another: its outline, and what of it is in sight."""

from __future__ import annotations

import numpy as np

from bovw.records import Box, Doubles


def corners(box: Box) -> Doubles:
    """Return a box's corners: float64 [4, 2], clockwise from the top left one."""
    x1, y1, x2, y2 = box
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float64)


def warp_box(transform: Doubles, region: Box) -> Doubles:
    """Return where a transform puts a region's corners: float64 [4, 2], clockwise from top left."""
    carried = np.hstack([corners(region), np.ones((4, 1))]) @ transform.T
    return np.asarray(carried[:, :2] / carried[:, 2:], np.float64)


def clip_to_frame(outline: Doubles, frame: Box) -> Doubles:
    """Return what of an outline [n, 2] lies within a frame: float64 [m, 2], empty where nothing.

    Its edges follow the frame's where it reaches beyond, so that they can be drawn there
    (Sutherland and Hodgman, Reentrant polygon clipping, CACM 1974).
    """
    if not np.isfinite(outline).all():
        return np.empty((0, 2))
    sides = [(1, 0, -frame.x1), (0, 1, -frame.y1), (-1, 0, frame.x2), (0, -1, frame.y2)]
    for right, down, offset in sides:
        outline = _cut(outline, outline @ np.array([right, down]) + offset)
    return outline


def _cut(outline: Doubles, heights: Doubles) -> Doubles:
    """Keep the side of a line on which `heights` [n], distances from it, are not negative."""
    kept = []
    for i in range(len(outline)):
        # From the corner before, the first one's being the last.
        if (heights[i] >= 0) != (heights[i - 1] >= 0):
            part = heights[i - 1] / (heights[i - 1] - heights[i])
            kept.append(outline[i - 1] + part * (outline[i] - outline[i - 1]))
        if heights[i] >= 0:
            kept.append(outline[i])
    return np.array(kept, np.float64).reshape(-1, 2)
