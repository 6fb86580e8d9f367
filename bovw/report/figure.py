"""Images as SVG, with boxes and matching points drawn in pixels of the originals."""

from __future__ import annotations

import numpy as np

from bovw.geometry import clip_to_frame
from bovw.records import Doubles
from bovw.report.album import Thumbnail
from bovw.report.text import shown

# Two images side by side: their height, and the gap between them.
HEIGHT, GAP = 600.0, 12.0
# More lines than this would hide the images. Every inlier still has its dots.
LINES = 100
# Lines go from green at the top to violet at the bottom in this many steps; the box is amber.
BANDS, HUES = 12, (140, 300)


def figure(thumbnail: Thumbnail, alt: str, outline: Doubles | None = None) -> str:
    """Draw an image with an outline [n, 2] on it."""
    frame = thumbnail.frame
    return (
        f'<svg class="picture" viewBox="0 0 {frame.x2:g} {frame.y2:g}" role="img">'
        f"<title>{shown(alt)}</title>{_placed(thumbnail, 0, frame.y2)}"
        f"{_boxed(thumbnail, outline, 0, 1)}</svg>"
    )


def pair_figure(
    left: Thumbnail,
    right: Thumbnail,
    alt: str,
    points: Doubles,
    outlines: tuple[Doubles | None, Doubles | None],
) -> str:
    """Draw two images side by side, with lines between matching points.

    points    float64 [n, 4]: x, y in the left image and x, y in the right
    outlines  float64 [m, 2] on each image, or None
    """
    scales = [HEIGHT / picture.frame.y2 for picture in (left, right)]
    start = left.frame.x2 * scales[0] + GAP
    ends = points * np.repeat(scales, 2) + [0, 0, start, 0]
    return (
        f'<svg class="pair" viewBox="0 0 {start + right.frame.x2 * scales[1]:.0f} {HEIGHT:g}" '
        f'role="img"><title>{shown(alt)}</title>'
        f"{_placed(left, 0, HEIGHT)}{_boxed(left, outlines[0], 0, scales[0])}"
        f"{_placed(right, start, HEIGHT)}{_boxed(right, outlines[1], start, scales[1])}"
        f"{_joined(ends)}</svg>"
    )


def _placed(thumbnail: Thumbnail, x: float, height: float) -> str:
    width = thumbnail.frame.x2 * height / thumbnail.frame.y2
    return f'<use href="#{thumbnail.id}" x="{x:.1f}" width="{width:.1f}" height="{height:g}"/>'


def _boxed(thumbnail: Thumbnail, outline: Doubles | None, x: float, scale: float) -> str:
    """Draw an outline and shade what lies outside it. On a missing image, draw nothing."""
    if outline is None or thumbnail.gone:
        return ""
    seen = clip_to_frame(outline, thumbnail.frame) * scale + [x, 0]
    width, height = thumbnail.frame.x2 * scale, thumbnail.frame.y2 * scale
    inner = " ".join(f"{right:.1f},{down:.1f}" for right, down in seen)
    hole = f"M{inner}Z" if inner else ""
    return (
        f'<path class="shade" d="M{x:.1f},0h{width:.1f}v{height:.1f}h-{width:.1f}Z{hole}"/>'
        f'<polygon class="rim" points="{inner}"/><polygon class="box" points="{inner}"/>'
    )


def _joined(ends: Doubles) -> str:
    """Draw lines and their ends [n, 4], one path per colour, from the top of the left image."""
    ends = ends[np.argsort(ends[:, 1], kind="stable")]
    lined = np.zeros(len(ends), bool)
    lined[np.linspace(0, len(ends) - 1, min(LINES, len(ends))).astype(int)] = True
    bands = np.clip(ends[:, 1] * (BANDS / HEIGHT), 0, BANDS - 1).astype(int)
    first, last = HUES
    paths = []
    for band in np.unique(bands).tolist():
        own = bands == band
        lines = "".join(f"M{x:.0f},{y:.0f}L{u:.0f},{v:.0f}" for x, y, u, v in ends[own & lined])
        dots = "".join(f"M{x:.0f},{y:.0f}h0M{u:.0f},{v:.0f}h0" for x, y, u, v in ends[own])
        hue = first + (last - first) * band // (BANDS - 1)
        style = f'style="stroke:hsl({hue} 95% 62%)"'
        paths.append(
            f'<path class="line" {style} d="{lines}"/><path class="dot" {style} d="{dots}"/>'
        )
    return "".join(paths)
