"""Transforms that are planted among wrong matches."""

from __future__ import annotations

import numpy as np

from bovw.records import Doubles
from bovw.verification.matches import Matches
from bovw.verification.ransac import find_transform

WIDTH, HEIGHT = 640, 480

CORNERS = np.array([[[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]]], np.float64)

TURN, SCALE = np.radians(25), 0.8

SIMILARITY = np.array(
    [
        [SCALE * np.cos(TURN), -SCALE * np.sin(TURN), 150],
        [SCALE * np.sin(TURN), SCALE * np.cos(TURN), -40],
        [0, 0, 1],
    ]
)

AFFINE = np.array([[0.9, 0.15, 20], [-0.1, 0.75, 60], [0, 0, 1.0]])

HOMOGRAPHY = np.array([[0.95, 0.1, 10], [-0.08, 0.9, 45], [1.5e-4, -1e-4, 1]])

PLANTED = {"similarity": SIMILARITY, "affine": AFFINE, "homography": HOMOGRAPHY}


def carried(points: Doubles, H: Doubles) -> Doubles:
    places = points @ H[:, :2].T + H[:, 2]
    return np.asarray(places[:, :2] / places[:, 2:], np.float64)


def frames_under(H: Doubles, frames: Doubles) -> Doubles:
    """Carry x, y, scale, angle by `H`, scale and angle by its derivative at each place."""
    step = 0.01
    places = frames[:, :2]
    here = carried(places, H)
    right = (carried(places + np.array([step, 0]), H) - here) / step
    down = (carried(places + np.array([0, step]), H) - here) / step
    area = right[:, 0] * down[:, 1] - right[:, 1] * down[:, 0]
    radians = np.radians(frames[:, 3])[:, None]
    ahead = right * np.cos(radians) + down * np.sin(radians)
    turned = np.degrees(np.arctan2(ahead[:, 1], ahead[:, 0])) % 360
    return np.column_stack([here, frames[:, 2] * np.sqrt(area), turned])


def random_frames(rng: np.random.Generator, count: int) -> Doubles:
    places = rng.uniform((0, 0), (WIDTH, HEIGHT), (count, 2))
    return np.column_stack([places, 2 ** rng.uniform(1, 5, count), rng.uniform(0, 360, count)])


def planted(
    H: Doubles, right: int, wrong: int, seed: int, blur: float = 0.5
) -> tuple[Matches, np.ndarray]:
    """Mix `right` matches under `H` with `wrong` random ones; return them and which are right."""
    rng = np.random.default_rng(seed)
    query, found = random_frames(rng, right + wrong), random_frames(rng, right + wrong)
    noise = rng.standard_normal((right, 4)) * (blur, blur, 0, 5)
    found[:right] = frames_under(H, query[:right]) + noise
    found[:right, 2] *= 2 ** rng.normal(0, 0.1, right)
    order = rng.permutation(right + wrong)
    weights = np.sort(rng.uniform(1, 8, right + wrong))[::-1].copy()
    shares = rng.uniform(1e-6, 1, right + wrong)
    shares[:right] **= 2
    matches = Matches(query[order], found[order], weights, shares[order])
    return matches, order < right


def verified(matches: Matches) -> tuple[Doubles, np.ndarray]:
    transform, inliers = find_transform(
        matches.query,
        matches.found,
        matches.weights,
        float(WIDTH),
        float(WIDTH),
    )
    return transform, inliers


def corner_error(H: Doubles, truth: Doubles) -> float:
    return float(np.linalg.norm(carried(CORNERS[0], H) - carried(CORNERS[0], truth), axis=1).max())
