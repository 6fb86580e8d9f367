"""Seeded pictures of nothing but repetition: dots, checks, halftones, weaves, walls, pages, codes.

Each is one shape again and again, so nearly every feature is like hundreds of others in the same
picture and in all pictures of its kind. Searching must cost no more for that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from bovw.records import Bytes

SYLLABLES = re.findall("..", "bacodufegihokuleminopaquirasetuvawoxiyostrtioner")


def draw_pattern(kind: str, seed: int, size: tuple[int, int] = (1024, 768)) -> Bytes:
    """Draw a picture of one of the `PATTERNS`: uint8 [h, w], grey, for a size (w, h).

    Pictures of one kind differ in period, shape and shades; pages and codes in what they say.
    """
    rng = np.random.default_rng([seed, *kind.encode()])
    dark, light = float(rng.uniform(10, 90)), float(rng.uniform(170, 245))
    paper = np.full(size[::-1], light, np.uint8)
    PATTERNS[kind](rng, paper, dark)
    return paper


def write_patterns(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Write `count` pictures, of all kinds in turn; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = list(PATTERNS)
    paths = []
    for number in range(count):
        kind = kinds[number % len(kinds)]
        paths.append(folder / f"{kind}_{number:03}.png")
        cv2.imwrite(str(paths[-1]), draw_pattern(kind, seed + number))
    return paths


def _dots(rng: np.random.Generator, paper: Bytes, ink: float) -> None:
    step, share = int(rng.integers(12, 28)), rng.uniform(0.2, 0.4)
    for y in range(step // 2, paper.shape[0], step):
        for x in range(step // 2, paper.shape[1], step):
            cv2.circle(paper, (x, y), int(share * step), ink, -1, cv2.LINE_AA)


def _checks(rng: np.random.Generator, paper: Bytes, ink: float) -> None:
    y, x = np.indices(paper.shape) // int(rng.integers(10, 40))
    paper[(x + y) % 2 == 0] = ink


def _halftone(rng: np.random.Generator, paper: Bytes, ink: float) -> None:
    """Print a smooth picture with a turned screen of dots of its darkness."""
    angle, step = rng.uniform(0, np.pi / 2), rng.uniform(7, 14)
    y, x = np.indices(paper.shape) * (2 * np.pi / step)
    across, along = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    shade = cv2.resize(rng.uniform(-1, 1, (4, 5)), paper.shape[::-1], interpolation=cv2.INTER_CUBIC)
    edge = np.clip(8 * (np.cos(across) * np.cos(along) - 0.7 * shade), -1, 1)
    paper[:] = ink + (float(paper[0, 0]) - ink) * (edge + 1) / 2


def _weave(rng: np.random.Generator, paper: Bytes, ink: float) -> None:
    """Draw a twill: threads that pass over two and under two, each row one further."""
    thread = int(rng.integers(6, 14))
    y, x = np.indices(paper.shape)
    over = (x // thread + y // thread) % 4 < 2
    within = np.where(over, y, x) % thread / thread
    paper[:] = np.where(over, float(paper[0, 0]), ink) * (0.6 + 0.4 * np.sin(np.pi * within))


def _bricks(rng: np.random.Generator, paper: Bytes, ink: float) -> None:
    wide, high = int(rng.integers(48, 90)), int(rng.integers(18, 36))
    for row, y in enumerate(range(0, paper.shape[0], high)):
        for x in range(-(row % 2) * wide // 2, paper.shape[1], wide):
            cv2.rectangle(paper, (x + 2, y + 2), (x + wide - 2, y + high - 2), ink, -1)


def _tiles(rng: np.random.Generator, paper: Bytes, ink: float) -> None:
    """Lay one ornament of a few polygons, mirrored about both axes, in a grid."""
    half = int(rng.integers(24, 48))
    quarter = np.full((half, half), paper[0, 0], np.uint8)
    for _ in range(3):
        corners = rng.integers(0, half, (3, 2)).astype(np.int32)
        cv2.fillPoly(quarter, [corners], float(rng.uniform(0, 255)), cv2.LINE_AA)
    side = np.hstack([quarter, quarter[:, ::-1]])
    tile = np.vstack([side, side[::-1]])
    cv2.rectangle(tile, (0, 0), (2 * half - 1, 2 * half - 1), ink, 1)
    times = -(-paper.shape[0] // len(tile)), -(-paper.shape[1] // len(tile))
    paper[:] = np.tile(tile, times)[: paper.shape[0], : paper.shape[1]]


def _windows(rng: np.random.Generator, paper: Bytes, ink: float) -> None:
    across, down = rng.integers(50, 120, 2).tolist()
    wide, high = int(across * rng.uniform(0.4, 0.7)), int(down * rng.uniform(0.4, 0.7))
    frame = float(rng.uniform(120, 255))
    for y in range(down // 4, paper.shape[0], down):
        for x in range(across // 4, paper.shape[1], across):
            cv2.rectangle(paper, (x, y), (x + wide, y + high), ink, -1)
            cv2.rectangle(paper, (x, y), (x + wide, y + high), frame, 2)
            cv2.line(paper, (x + wide // 2, y), (x + wide // 2, y + high), frame, 1)


def _page(rng: np.random.Generator, paper: Bytes, ink: float) -> None:
    """Set a page in one type and size; every page has words of its own."""
    for y in range(40, paper.shape[0] - 10, 26):
        words = ("".join(rng.choice(SYLLABLES, rng.integers(1, 4))) for _ in range(18))
        at = (30, y)
        cv2.putText(paper, " ".join(words), at, cv2.FONT_HERSHEY_COMPLEX, 0.62, ink, 1, cv2.LINE_AA)


def _code(rng: np.random.Generator, paper: Bytes, ink: float) -> None:
    """Print a square of random modules with three finders, as two-dimensional codes have."""
    modules = rng.integers(0, 2, (57, 57)).astype(np.uint8)
    finder = np.pad(np.pad(np.ones((3, 3), np.uint8), 1), 1, constant_values=1)
    for rows, columns in ((slice(7), slice(7)), (slice(7), slice(-7, None)),
                          (slice(-7, None), slice(7))):  # fmt: skip
        modules[rows, columns] = finder
    side = 57 * (min(paper.shape) // 60)
    drawn = cv2.resize(modules, (side, side), interpolation=cv2.INTER_NEAREST)
    top, left = (paper.shape[0] - side) // 2, (paper.shape[1] - side) // 2
    paper[top : top + side, left : left + side][drawn == 1] = ink


PATTERNS: dict[str, Callable[[np.random.Generator, Bytes, float], None]] = {
    "dots": _dots,
    "checks": _checks,
    "halftone": _halftone,
    "weave": _weave,
    "bricks": _bricks,
    "tiles": _tiles,
    "windows": _windows,
    "page": _page,
    "code": _code,
}
