"""Planted transforms are found again, and nothing is found in what is hardly a match."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bovw.verification.matches import Matches
from tests.verification.planted import (
    AFFINE,
    HEIGHT,
    HOMOGRAPHY,
    PLANTED,
    SIMILARITY,
    WIDTH,
    corner_error,
    frames_under,
    planted,
    verified,
)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("wrong", [0, 90, 240], ids=["0%", "60%", "80%"])
@pytest.mark.parametrize("kind", PLANTED)
def test_planted_transform_is_found(kind: str, wrong: int, seed: int) -> None:
    matches, right = planted(PLANTED[kind], 60, wrong, seed)
    transform, inliers = verified(matches)
    assert corner_error(transform, PLANTED[kind]) < 3
    assert (inliers & right).sum() >= 57
    assert (inliers & ~right).sum() <= 3


@pytest.mark.parametrize("degrees", [0, 90, 179, 180, 271])
@pytest.mark.parametrize("scale", [0.25, 1, 3])
def test_any_turn_and_scale_is_found(degrees: float, scale: float) -> None:
    H = np.vstack([cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), degrees, scale), [0, 0, 1]])
    matches, right = planted(H, 40, 40, 0, blur=0.2)
    transform, inliers = verified(matches)
    assert corner_error(transform, H) < 2 * max(scale, 1)
    assert (inliers & right).sum() >= 38


def test_inliers_are_one_to_one() -> None:
    matches, _ = planted(SIMILARITY, 40, 40, 0, blur=0.1)
    # Every match three times: as it is, and with each of its ends moved less than agreement asks.
    moved = np.array([6.0, 0, 0, 0])
    tripled = Matches(
        np.concatenate([matches.query, matches.query, matches.query + moved]),
        np.concatenate([matches.found, matches.found + moved, matches.found]),
        np.tile(matches.weights, 3) * np.repeat([1.0, 0.9, 0.8], 80),
        np.tile(matches.shares, 3),
    )
    transform, inliers = verified(tripled)
    for ends in (tripled.query[inliers], tripled.found[inliers]):
        assert len({tuple(end) for end in ends}) == inliers.sum()
    assert 36 <= inliers.sum() <= 43
    assert corner_error(transform, SIMILARITY) < 2


def test_a_spot_with_many_features_counts_once() -> None:
    matches, _ = planted(SIMILARITY, 1, 0, 0)
    turns = np.arange(8)[:, None] * np.array([0, 0, 0.01, 2.0])
    spot = Matches(matches.query + turns, matches.found + turns, np.ones(8), np.ones(8))
    assert verified(spot)[1].sum() == 1


def test_the_same_matches_give_the_same_answer() -> None:
    matches, _ = planted(HOMOGRAPHY, 60, 120, 0)
    first, second = verified(matches), verified(matches)
    assert first[0].tobytes() == second[0].tobytes()
    assert first[1].tobytes() == second[1].tobytes()


def test_duplicates_change_nothing() -> None:
    matches, _ = planted(AFFINE, 60, 120, 0)
    twice = np.repeat(np.arange(180), 2)
    doubled = Matches(
        matches.query[twice],
        matches.found[twice],
        matches.weights[twice],
        matches.shares[twice],
    )
    transform, inliers = verified(doubled)
    assert inliers.sum() == verified(matches)[1].sum()
    assert corner_error(transform, AFFINE) < 3


def test_noise_does_not_agree() -> None:
    # Measured: 3 at most in 300 such draws.
    agreeing = [verified(planted(AFFINE, 0, 100, seed)[0])[1].sum() for seed in range(200)]
    assert max(agreeing) <= 3


# What is hardly a match


def is_sound(matches: Matches) -> bool:
    transform, inliers = verified(matches)
    return bool(
        np.isfinite(transform).all()
        and abs(np.linalg.det(transform)) > 0
        and inliers.sum() <= len(matches)
    )


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_matches(count: int) -> None:
    assert is_sound(planted(SIMILARITY, count, 0, 0)[0])


@pytest.mark.parametrize("count", [5, 12, 40])
def test_one_point_many_times(count: int) -> None:
    matches, _ = planted(SIMILARITY, count, 0, 0)
    matches.query[:], matches.found[:] = matches.query[0], matches.found[0]
    assert is_sound(matches)


@pytest.mark.parametrize("count", [5, 12, 40])
def test_one_point_against_many(count: int) -> None:
    matches, _ = planted(SIMILARITY, count, 0, 0)
    matches.found[:] = matches.found[0]
    assert is_sound(matches)


@pytest.mark.parametrize("count", [3, 5, 12, 40])
def test_points_on_a_line_keep_the_similarity(count: int) -> None:
    matches, _ = planted(SIMILARITY, count, 0, 0, blur=0.0)
    matches.query[:, 0], matches.query[:, 1] = np.linspace(50, 600, count), 200
    matches.found[:] = frames_under(SIMILARITY, matches.query)
    assert is_sound(matches)
    # The line says nothing of what lies beside it; the frames do.
    assert corner_error(verified(matches)[0], SIMILARITY) < 10
