"""Drawn pictures that share nothing but their style: text, logos, borders, windows."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from bovw.records import Bytes

SIZE = (768, 1024)
SYLLABLES = re.findall("..", "bacodufegihokuleminopaquirasetuvawoxiyostrtioner")


def draw(kind: str, seed: int) -> Bytes:
    """Draw a picture of one kind: uint8 [768, 1024], grey."""
    rng = np.random.default_rng([seed, *kind.encode()])
    paper = _texture(rng)
    KINDS[kind](paper, rng)
    return np.clip(paper + rng.normal(0, 3, SIZE), 0, 255).astype(np.uint8)


def write(folder: Path, kind: str, seeds: range) -> list[Path]:
    """Write pictures of one kind, one for each seed; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{kind}_{seed:03}.png" for seed in seeds]
    for path, seed in zip(paths, seeds, strict=True):
        cv2.imwrite(str(path), draw(kind, seed))
    return paths


def _texture(rng: np.random.Generator) -> Bytes:
    """Return soft clouds, different in every picture: uint8 [h, w]."""
    coarse = rng.normal(150, 45, (12, 16))
    clouds = cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    soft: Bytes = np.clip(clouds, 0, 255).astype(np.uint8)
    return soft


def _text(paper: Bytes, rng: np.random.Generator) -> None:
    paper[:] = 235
    for y in range(70, SIZE[0] - 20, 60):
        words = ("".join(rng.choice(SYLLABLES, rng.integers(1, 4))) for _ in range(7))
        cv2.putText(
            paper, " ".join(words), (30, y), cv2.FONT_HERSHEY_COMPLEX, 1.3, 30, 2, cv2.LINE_AA
        )


def _logos(paper: Bytes, rng: np.random.Generator) -> None:
    """Draw one and the same badge somewhere: a true match of that badge."""
    x, y = int(rng.integers(80, SIZE[1] - 80)), int(rng.integers(80, SIZE[0] - 80))
    cv2.circle(paper, (x, y), 48, 20.0, -1, cv2.LINE_AA)
    cv2.circle(paper, (x, y), 40, 240.0, 3, cv2.LINE_AA)
    cv2.putText(paper, "PG 13", (x - 36, y + 8), cv2.FONT_HERSHEY_DUPLEX, 0.75, 240.0, 1)
    for _ in range(30):
        a, b = rng.integers(0, SIZE[::-1], (2, 2)).tolist()
        cv2.line(paper, a, b, float(rng.integers(0, 255)), int(rng.integers(1, 6)), cv2.LINE_AA)


def _borders(paper: Bytes, rng: np.random.Generator) -> None:
    """Draw a scan's border with a beaded frame around blotches of its own."""
    for _ in range(60):
        x, y = rng.integers(80, 700, 2).tolist()
        axes = rng.integers(4, 60, 2).tolist()
        shade = float(rng.integers(0, 255))
        cv2.ellipse(paper, (x, y), axes, float(rng.integers(0, 180)), 0, 360, shade, -1)
    for thickness, shade in ((40, 15.0), (24, 220.0), (8, 60.0)):
        cv2.rectangle(paper, (0, 0), (SIZE[1] - 1, SIZE[0] - 1), shade, thickness)
    for x in range(10, SIZE[1], 24):
        for y in (10, SIZE[0] - 10):
            cv2.circle(paper, (x, y), 4, 120.0, -1, cv2.LINE_AA)


def _windows(paper: Bytes, rng: np.random.Generator) -> None:
    """Draw a facade: a grid of equal windows, of its own sizes and shades."""
    across, down = rng.integers(110, 190, 2).tolist()
    wide, high = int(across * rng.uniform(0.4, 0.7)), int(down * rng.uniform(0.4, 0.7))
    shade = float(rng.integers(20, 90))
    for y in range(30, SIZE[0] - down, down):
        for x in range(30, SIZE[1] - across, across):
            cv2.rectangle(paper, (x, y), (x + wide, y + high), shade, -1)
            cv2.rectangle(paper, (x, y), (x + wide, y + high), 230.0, 2)
            cv2.line(paper, (x + wide // 2, y), (x + wide // 2, y + high), 230.0, 1)
            cv2.line(paper, (x, y + high // 3), (x + wide, y + high // 3), 230.0, 1)


KINDS: dict[str, Callable[[Bytes, np.random.Generator], None]] = {
    "text": _text,
    "logos": _logos,
    "borders": _borders,
    "windows": _windows,
}
