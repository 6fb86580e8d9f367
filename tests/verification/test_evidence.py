"""What confirms an image, and what is implausible."""

from __future__ import annotations

import numpy as np
import pytest

from bovw.options import SearchOptions
from bovw.records import Doubles
from bovw.verification import Verified
from bovw.verification.evidence import _is_plausible
from bovw.verification.matches import Matches
from bovw.verification.verify import verify_matches
from tests.verification.planted import (
    AFFINE,
    PLANTED,
    SIMILARITY,
    WIDTH,
    frames_under,
    random_frames,
    verified,
)


def exact(H: Doubles, count: int) -> Matches:
    frames = random_frames(np.random.default_rng(0), count)
    return Matches(frames, frames_under(H, frames), np.ones(count))


def judged(matches: Matches, rank: int = 1) -> Verified | None:
    return verify_matches(0, matches, (WIDTH, WIDTH), SearchOptions().min_inliers, rank)


@pytest.mark.parametrize(("count", "rank", "confirmed"), [
    (4, 1, True), (4, 9, True), (4, 10, False), (5, 10, True), (5, 99, True), (5, 100, False),
    (6, 100, True), (6, 1000, False),
])  # fmt: skip
def test_a_later_candidate_needs_more_inliers(count: int, rank: int, confirmed: bool) -> None:
    found = judged(exact(SIMILARITY, count), rank)
    assert found is not None
    assert found.evidence.inliers == count
    assert found.confirmed is confirmed


def test_three_inliers_are_not_enough() -> None:
    assert judged(exact(SIMILARITY, 3)) is None


@pytest.mark.parametrize("crowded", ["query", "found"])
def test_many_inliers_in_few_places_are_not_enough(crowded: str) -> None:
    transform = np.diag([4.0, 4.0, 1.0]) if crowded == "query" else np.diag([0.25, 0.25, 1.0])
    frames = random_frames(np.random.default_rng(0), 30)
    # 40 x 40 pixels on one side: 4 of the 20-pixel cells, less one that is left empty.
    frames[:, :2] = frames[:, :2] % 39 if crowded == "query" else frames[:, :2] % 156
    left = (frames[:, 0] > frames[:, 0].max() / 2) & (frames[:, 1] > frames[:, 1].max() / 2)
    frames = frames[~left]
    matches = Matches(frames, frames_under(transform, frames), np.ones(len(frames)))
    assert verified(matches)[1].sum() >= 10
    assert judged(matches) is None


@pytest.mark.parametrize("stretch", [1.0, 2.5, 4.0, 10.0])
@pytest.mark.parametrize("kind", PLANTED)
def test_what_sift_could_not_see_is_implausible(kind: str, stretch: float) -> None:
    H = PLANTED[kind] @ np.diag([1.0, 1 / stretch, 1.0])
    matches = exact(H, 40)
    assert _is_plausible(H, matches.query, matches.found) == (stretch < 3)


@pytest.mark.parametrize(("octaves", "plausible"), [(0.0, True), (0.5, True), (0.9, False)])
def test_features_change_size_as_the_map_does(octaves: float, plausible: bool) -> None:
    matches = exact(AFFINE, 40)
    matches.found[:, 2] *= 2**octaves
    assert _is_plausible(AFFINE, matches.query, matches.found) == plausible
