"""Precision-recall curves as SVG drawings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bovw.report.text import shown

# In units of the drawing: the side of the plot, and the room for labels left of it and below it.
SIDE, LEFT, BELOW = 240.0, 40.0, 38.0
# CSS classes of the first, second and third curve.
STYLES = ("own", "own second", "own third")
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def curve_figure(curves: Mapping[str, Sequence[float]], alt: str) -> str:
    """Draw curves by name; a curve is its precisions at recalls evenly spaced from 0 to 1.

    If there are several, the drawing shows their names.
    """
    drawn = "".join(
        f'<polyline class="{style}" points="{_points(precisions)}"/>'
        for style, precisions in zip(STYLES, curves.values(), strict=False)
    )
    names = _names(list(curves)) if len(curves) > 1 else ""
    width, height = LEFT + SIDE + 12, SIDE + BELOW + 10
    return (
        f'<svg class="curve" viewBox="0 0 {width:g} {height:g}" role="img">'
        f"<title>{shown(alt)}</title>{_axes()}{drawn}{names}</svg>"
    )


def _x(recall: float) -> float:
    return LEFT + recall * SIDE


def _y(precision: float) -> float:
    return 10 + (1 - precision) * SIDE


def _points(precisions: Sequence[float]) -> str:
    last = max(len(precisions) - 1, 1)
    return " ".join(f"{_x(i / last):.1f},{_y(p):.1f}" for i, p in enumerate(precisions))


def _axes() -> str:
    lines = "".join(
        f"M{_x(tick):g},{_y(0):g}V{_y(1):g}M{_x(0):g},{_y(tick):g}H{_x(1):g}" for tick in TICKS
    )
    labels = "".join(
        f'<text x="{_x(tick):g}" y="{_y(0) + 15:g}" text-anchor="middle">{tick:g}</text>'
        f'<text x="{LEFT - 6:g}" y="{_y(tick) + 4:g}" text-anchor="end">{tick:g}</text>'
        for tick in TICKS
    )
    turned = f'transform="translate(10 {_y(0.5):g}) rotate(-90)"'
    return (
        f'<path class="grid" d="{lines}"/>{labels}'
        f'<text x="{_x(0.5):g}" y="{_y(0) + 32:g}" text-anchor="middle">recall</text>'
        f'<text {turned} text-anchor="middle">precision</text>'
    )


def _names(names: Sequence[str]) -> str:
    """Draw the legend in the lower left corner: curves leave most room there."""
    rows = []
    for row, (style, name) in enumerate(zip(STYLES, names, strict=False)):
        y = _y(0) - 16 * (len(names) - row) + 4
        rows.append(
            f'<path class="{style}" d="M{_x(0.04):g},{y - 4:g}h28"/>'
            f'<text x="{_x(0.04) + 34:g}" y="{y:g}">{shown(name)}</text>'
        )
    return "".join(rows)
