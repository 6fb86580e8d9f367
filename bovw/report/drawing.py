"""Two pictures side by side, as pixels, with lines between matching points."""

from __future__ import annotations

import colorsys
from pathlib import Path

import cv2
import numpy as np

from bovw.geometry import clip_to_frame
from bovw.images import read_picture
from bovw.records import Box, Bytes, Doubles, Picture

# Pixels: the drawing's width and height at most, and the gap between the pictures.
WIDTH, HEIGHT, GAP = 1600, 1100, 12
# More lines than this would hide the pictures. Every inlier still has its dots.
LINES = 100
# Opacity of lines and dots.
OPACITY = 0.65
# Amber, in BGR. Lines go from green at the top to violet at the bottom, so none looks like it.
OUTLINE = (0, 176, 255)
HUES = 0.38, 0.85
# Fractional bits of OpenCV's coordinates: they are whole numbers of 1/16 pixel.
SHIFT = 4


NONE = np.empty((0, 4))


def draw_pair(
    left: Path, right: Path, points: Doubles = NONE, outline: Doubles | None = None
) -> Bytes:
    """Draw two pictures at one height: uint8 [h, w, 3] in OpenCV's BGR.

    points   float64 [n, 4]: x, y in the left picture and x, y in the right, to be joined
    outline  float64 [m, 2] in the right picture; None for none. All in pixels of the upright files

    Raises ImageError if a picture cannot be used.
    """
    pictures = [read_picture(path, WIDTH, colours=True) for path in (left, right)]
    aspects = [picture.width / picture.height for picture in pictures]
    tallest = max(picture.height for picture in pictures)
    height = int(min((WIDTH - GAP) / sum(aspects), HEIGHT, tallest))
    resized = [_resized(picture, height) for picture in pictures]
    gap = np.full((height, GAP, 3), 255, np.uint8)
    canvas = np.hstack([resized[0], gap, resized[1]])
    scales = [height / picture.height for picture in pictures]
    shift = np.array([resized[0].shape[1] + GAP, 0])
    if outline is not None:
        seen = clip_to_frame(outline, Box(0, 0, pictures[1].width, pictures[1].height))
        _draw_outline(canvas, seen * scales[1] + shift)
    ends = np.hstack([points[:, :2] * scales[0], points[:, 2:] * scales[1] + shift])
    return _joined(canvas, ends)


def as_png(pixels: Bytes) -> bytes:
    """Encode OpenCV's BGR pixels."""
    _, encoded = cv2.imencode(".png", pixels)
    return bytes(encoded)


def _resized(picture: Picture, height: int) -> Bytes:
    width = max(1, round(height * picture.width / picture.height))
    smaller = height < picture.pixels.shape[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    pixels = cv2.resize(picture.pixels, (width, height), interpolation=how)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), np.uint8)


def _draw_outline(canvas: Bytes, outline: Doubles) -> None:
    if len(outline):
        corners = [_fixed(outline)]
        # A dark rim keeps the line visible on any picture.
        cv2.polylines(canvas, corners, True, (0, 0, 0), 5, cv2.LINE_AA, SHIFT)
        cv2.polylines(canvas, corners, True, OUTLINE, 3, cv2.LINE_AA, SHIFT)


def _joined(canvas: Bytes, ends: Doubles) -> Bytes:
    """Draw lines and their ends [n, 4], from the top of the left picture down."""
    ends = ends[np.argsort(ends[:, 1], kind="stable")]
    with_line = set(np.linspace(0, len(ends) - 1, LINES).astype(int).tolist())
    drawn = canvas.copy()
    for row, line in enumerate(ends):
        colour = _colour(line[1] / len(canvas))
        start, end = _fixed(line.reshape(2, 2)).tolist()
        if row in with_line:
            cv2.line(drawn, start, end, colour, 1, cv2.LINE_AA, SHIFT)
        for at in (start, end):
            cv2.circle(drawn, at, 3 << SHIFT, colour, -1, cv2.LINE_AA, SHIFT)
    return np.asarray(cv2.addWeighted(drawn, OPACITY, canvas, 1 - OPACITY, 0), np.uint8)


def _colour(part: float) -> tuple[float, float, float]:
    """Return a line's BGR for its height, from 0 at the top to 1 at the bottom."""
    first, last = HUES
    red, green, blue = colorsys.hsv_to_rgb(first + (last - first) * part, 0.8, 1.0)
    return 255 * blue, 255 * green, 255 * red


def _fixed(points: Doubles) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return np.rint(points * (1 << SHIFT)).astype(np.int32)
