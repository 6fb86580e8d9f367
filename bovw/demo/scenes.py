"""A seeded collection of drawn posters, each seen from several sides, with known homographies.

`bovw demo` shows it to a new user and the tests take their planted truth from it. A scene is a
poster of motifs; a view hangs it on another texture, turned, scaled, tilted and lit differently.
"""

from __future__ import annotations

import colorsys
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bovw.records import Box, Bytes, Doubles, Floats

Seed = int | tuple[int, ...]
Colour = tuple[float, float, float]
Inks = list[Colour]

# The first number after the caller's seed, so that no two pictures share a random stream.
SCENE, VIEW, QUERY, OTHER, OTHER_VIEW = 1, 2, 3, 4, 5
# One query in so many asks for a region, the others for the whole picture.
REGION_EVERY = 4
WORDS = ("ATLAS", "BRIO", "CORAL", "DELTA", "FJORD", "HALO", "IRIS", "JAZZ", "KOI", "MIRA", "OPAL")


@dataclass(frozen=True)
class View:
    """One picture of a scene.

    name        of the image: "scene_03/view_1.jpg" in the database, "queries/scene_03.jpg" for a
                query, as the truth file has it
    scene       the scene's number, from 0
    homography  float64 [3, 3], scene pixels to pixels of this picture
    """

    name: str
    scene: int
    homography: Doubles


@dataclass(frozen=True)
class Collection:
    """A written collection: its folder, its truth file, its queries and database views."""

    root: Path
    truth: Path
    queries: tuple[View, ...]
    views: tuple[View, ...]

    @property
    def database(self) -> Path:
        """The folder to index; the names of `views` are relative to it."""
        return self.root / "db"

    def views_of(self, scene: int) -> tuple[View, ...]:
        """Return the database views of one scene: the positives of its query."""
        return tuple(view for view in self.views if view.scene == scene)


def transform_between(query: View, view: View) -> Doubles:
    """Return the true homography [3, 3], query pixels to view pixels, of two views of a scene."""
    H = view.homography @ np.linalg.inv(query.homography)
    return np.asarray(H / H[2, 2], np.float64)


def draw_scene(seed: Seed, size: tuple[int, int] = (640, 480)) -> Bytes:
    """Draw the poster of a seed: BGR pixels [h, w, 3] for a size (w, h)."""
    rng = np.random.default_rng(seed)
    palette = _palette(rng, seed if isinstance(seed, int) else seed[-1])
    canvas = _plain(palette[0], size)
    for tile in _tiles(rng, canvas, depth=4):
        ground, *inks = rng.permutation(palette).tolist()
        tile[:] = ground
        for motif in rng.permutation(len(MOTIFS))[:2]:
            MOTIFS[motif](rng, tile, inks)
    # Drawn shapes look alike everywhere: the grain makes the patch at each corner unique.
    return _add(canvas, 24 * _smooth_noise(rng, size, (6, 9, 20, 120)))


def view_of(scene: Bytes, seed: Seed, difficulty: float = 1.0) -> tuple[Bytes, Doubles]:
    """Return a picture of a scene in front of a background, and its homography.

    The picture has the scene's shape. The homography [3, 3] maps scene pixels to its pixels.
    `difficulty` 0 shows the scene as drawn; 1 turns it by up to 40 degrees, scales it by 0.6 to
    1.3, tilts it mildly and changes light, focus and noise.
    """
    rng = np.random.default_rng(seed)
    size = (scene.shape[1], scene.shape[0])
    H = _random_homography(rng, size, difficulty)
    mask = np.ones(scene.shape[:2], np.float32)
    shown = cv2.warpPerspective(mask, H, size)[..., None]
    shadow = cv2.warpPerspective(mask, _translation(np.array([6, 9])) @ H, size)
    wall = _background(rng, size) * (1 - 0.6 * cv2.GaussianBlur(shadow, (0, 0), 6)[..., None])
    hung = cv2.warpPerspective(scene, H, size) * shown + wall * (1 - shown)
    return _photograph(rng, hung.astype(np.float32), difficulty), H


def write_collection(
    folder: Path, scenes: int = 12, views: int = 4, distractors: int = 12, seed: int = 0
) -> Collection:
    """Write database, queries and truth file of a collection under `folder`; return it.

    db/scene_XX/view_Y.jpg, db/distractors/ZZ.jpg, queries/scene_XX.jpg and truth.json. The same
    arguments give the same pixels. Views and queries are 640 by 480.
    """
    found: list[View] = []
    queries: list[View] = []
    for n in range(scenes):
        scene = draw_scene((seed, SCENE, n))
        for v in range(views):
            name = f"scene_{n:02}/view_{v}.jpg"
            found.append(View(name, n, _write(folder / "db" / name, scene, (seed, VIEW, n, v))))
        name = f"queries/scene_{n:02}.jpg"
        queries.append(View(name, n, _write(folder / name, scene, (seed, QUERY, n))))
    others = [f"distractors/{n:02}.jpg" for n in range(distractors)]
    for n, name in enumerate(others):
        _write(folder / "db" / name, draw_scene((seed, OTHER, n)), (seed, OTHER_VIEW, n))
    made = Collection(folder, folder / "truth.json", tuple(queries), tuple(found))
    made.truth.write_text(json.dumps(_truth(made, others), indent=1) + "\n", encoding="utf-8")
    return made


def scene_box(homography: Doubles, size: tuple[int, int] = (640, 480)) -> Box:
    """Return the upright box of a scene of `size` (w, h) inside a view of the same size."""
    w, h = size
    corners = np.array([[[0, 0], [w, 0], [w, h], [0, h]]], np.float64)
    x, y = cv2.perspectiveTransform(corners, homography)[0].T
    x, y = np.clip(x, 0, w).round(1), np.clip(y, 0, h).round(1)
    return Box(float(x.min()), float(y.min()), float(x.max()), float(y.max()))


def _truth(made: Collection, others: list[str]) -> dict[str, Any]:
    queries = [
        {
            "id": Path(query.name).stem,
            "image": query.name,
            "bbox": None if query.scene % REGION_EVERY else list(scene_box(query.homography)),
            "positives": [view.name for view in made.views_of(query.scene)],
            "junk": [],
        }
        for query in made.queries
    ]
    names = sorted([view.name for view in made.views] + others)
    note = "Drawn posters under known homographies."
    return {"name": "synthetic", "note": note, "db_root": "db", "db": names, "queries": queries}


def _write(path: Path, scene: Bytes, seed: Seed) -> Doubles:
    pixels, homography = view_of(scene, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])
    path.write_bytes(encoded.tobytes())
    return homography


def _random_homography(
    rng: np.random.Generator, size: tuple[int, int], difficulty: float
) -> Doubles:
    centre = np.array(size) / 2
    angle = np.radians(rng.uniform(-40, 40)) * difficulty
    shift = rng.uniform(-0.12, 0.12, 2) * centre * difficulty
    scale = np.exp(rng.uniform(np.log(0.6), np.log(1.3)) * difficulty)
    tilt = np.eye(3)
    tilt[2, :2] = rng.uniform(-0.12, 0.12, 2) / centre * difficulty
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    H = _translation(centre + shift) @ turn @ tilt @ _translation(-centre)
    return np.asarray(H / H[2, 2], np.float64)


def _translation(by: Doubles) -> Doubles:
    return np.array([[1, 0, by[0]], [0, 1, by[1]], [0, 0, 1]], np.float64)


def _photograph(rng: np.random.Generator, pixels: Floats, difficulty: float) -> Bytes:
    gamma, gain = np.exp(rng.uniform(-0.35, 0.3, 2) * difficulty).tolist()
    lift, blur, grain = (difficulty * rng.uniform((-25, 0, 0), (25, 1, 5))).tolist()
    lit = np.asarray(255 * gain * (pixels / 255) ** gamma + lift, np.float32)
    if blur > 0:
        cv2.GaussianBlur(lit, (0, 0), blur, dst=lit)
    return _add(lit, grain * rng.standard_normal(lit.shape, np.float32))


def _background(rng: np.random.Generator, size: tuple[int, int]) -> Bytes:
    wall = _plain(_bgr(rng.random(), 0.2, rng.uniform(0.4, 0.75)), size)
    for y in range(0, size[1], 60):
        for x in range(-int(rng.integers(120)), size[0], 120):
            brick = wall[y + 1 : y + 59, max(x + 1, 0) : x + 119]
            brick[:] = _add(brick, rng.uniform(-25, 25))
    return _add(wall, 45 * _smooth_noise(rng, size, (3, 6, 40)))


def _smooth_noise(rng: np.random.Generator, size: tuple[int, int], cells: Sequence[int]) -> Floats:
    """Return a sum of noises with these cells in pixels: [h, w, 1], mostly within -1..1."""
    total = np.zeros((size[1], size[0]), np.float32)
    for cell in cells:
        coarse = rng.standard_normal((size[1] // cell + 2, size[0] // cell + 2), np.float32)
        total += cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(total[..., None] / (2 * len(cells)), np.float32)


def _add(pixels: Bytes | Floats, change: Floats | float) -> Bytes:
    return np.asarray(np.clip(pixels + change, 0, 255), np.uint8)


def _plain(colour: Colour, size: tuple[int, int]) -> Bytes:
    return np.full((size[1], size[0], 3), colour, np.float32).astype(np.uint8)


def _bgr(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, 255 * value)
    return blue, green, red


def _palette(rng: np.random.Generator, number: int) -> list[Colour]:
    """Choose six colours: paper, three neighbours of one hue and two of the opposite one."""
    # Multiples of the golden ratio keep the hues of consecutive scenes apart.
    hues = 0.618034 * number + np.array([0, 0.06, -0.08, 0.5, 0.42])
    saturations, values = rng.uniform(0.4, 0.75, 5), rng.permutation([0.3, 0.5, 0.7, 0.85, 0.95])
    inks = [_bgr(*hsv) for hsv in zip(hues, saturations, values, strict=True)]
    return [_bgr(hues[0], 0.08, 0.96), *inks]


def _tiles(rng: np.random.Generator, canvas: Bytes, depth: int) -> Iterator[Bytes]:
    """Split a canvas repeatedly across its longer side; yield the tiles without their frames."""
    height, width = canvas.shape[:2]
    if depth <= 0 or max(height, width) < 60:
        yield canvas[3:-3, 3:-3]
        return
    axis = int(width > height)
    cut = int(canvas.shape[axis] * rng.uniform(0.35, 0.65))
    for part in np.split(canvas, [cut], axis):
        yield from _tiles(rng, part, depth - int(rng.integers(1, 3)))


def _polygons(rng: np.random.Generator, tile: Bytes, inks: Inks) -> None:
    for _ in range(6):
        turns = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
        around = np.stack([np.cos(turns), np.sin(turns)], 1) * rng.uniform(12, 60, (len(turns), 1))
        corners = (_point(rng, tile) + around).astype(np.int32)
        cv2.fillPoly(tile, [corners], _ink(rng, inks), cv2.LINE_AA)


def _rings(rng: np.random.Generator, tile: Bytes, inks: Inks) -> None:
    for _ in range(4):
        centre, (a, b), angle = _point(rng, tile), rng.uniform(12, 60, 2), rng.uniform(0, 180)
        for shrink in np.arange(1, 0.15, -rng.uniform(0.2, 0.4)):
            axes = int(a * shrink), int(b * shrink)
            cv2.ellipse(tile, centre, axes, angle, 0, 360, _ink(rng, inks), -1, cv2.LINE_AA)


def _lettering(rng: np.random.Generator, tile: Bytes, inks: Inks) -> None:
    y = 0
    while y < tile.shape[0]:
        size, font, bold, left = rng.uniform((1.1, 0, 1, -40), (2.5, 5, 5, 0)).tolist()
        y += int(28 * size)
        text, at = " ".join(rng.choice(WORDS, 4)), (int(left), y)
        cv2.putText(tile, text, at, int(font), size, _ink(rng, inks), int(bold), cv2.LINE_AA)


def _confetti(rng: np.random.Generator, tile: Bytes, inks: Inks) -> None:
    for _ in range(tile.shape[0] * tile.shape[1] // 900):
        centre, radius = _point(rng, tile), int(rng.integers(3, 13))
        cv2.circle(tile, centre, radius, _ink(rng, inks), -1, cv2.LINE_AA)


def _point(rng: np.random.Generator, tile: Bytes) -> tuple[int, int]:
    return int(rng.integers(tile.shape[1])), int(rng.integers(tile.shape[0]))


def _ink(rng: np.random.Generator, inks: Inks) -> Colour:
    return inks[int(rng.integers(len(inks)))]


MOTIFS = (_polygons, _rings, _lettering, _confetti)
