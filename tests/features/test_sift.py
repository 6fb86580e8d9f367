"""Stage 2: features are where they are said to be, upright or turning with the picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bovw.demo.scenes import Collection
from bovw.features import describer_of
from bovw.features.select import rank_features
from bovw.images.decode import read_picture
from bovw.options import FeatureOptions
from bovw.records import Features, Picture

OPTIONS = FeatureOptions(max_features=500)
UPRIGHT = replace(OPTIONS, upright=True)


@pytest.fixture(scope="module")
def picture(collection: Collection) -> Picture:
    return read_picture(next(collection.database.rglob("*.jpg")), OPTIONS.max_size)


def turned(picture: Picture) -> Picture:
    """Turn a picture by a quarter, counter-clockwise."""
    pixels = np.ascontiguousarray(np.rot90(picture.pixels))
    return replace(picture, pixels=pixels, width=picture.height, height=picture.width)


def shared(first: Features, second: Features) -> float:
    """Return the share of descriptors that are nearly those of the other picture."""
    distances = np.linalg.norm(
        first.descriptors[:, None].astype(np.float32) - second.descriptors.astype(np.float32),
        axis=2,
    )
    return float((distances.min(axis=1) < 100).mean())


def test_upright_features_have_no_angle_and_one_place_each(picture: Picture) -> None:
    features = describer_of(UPRIGHT).describe(picture)
    assert 100 < len(features) <= 500
    assert (features.keypoints[:, 3] == 0).all()
    assert len(np.unique(features.keypoints[:, :3], axis=0)) == len(features)


def test_upright_features_lie_where_the_others_do(picture: Picture) -> None:
    all_of_them = [
        describer_of(FeatureOptions(upright=upright)).describe(picture) for upright in (False, True)
    ]
    turning, upright = ({tuple(k) for k in f.keypoints[:, :3].tolist()} for f in all_of_them)
    assert turning == upright


def test_features_are_spread_over_cells() -> None:
    """A hundred strong ones crowd in a corner, 50 weak ones lie in cells of their own."""
    rng = np.random.default_rng(0)
    keypoints = np.ones((150, 4), np.float32)
    keypoints[:100, :2] = rng.uniform(0, 9, (100, 2))
    grid = np.stack(np.meshgrid(np.arange(1, 11), np.arange(1, 6)), axis=2).reshape(50, 2)
    keypoints[100:, :2] = 32 * grid
    strengths = np.r_[np.linspace(9, 5, 100), np.linspace(1, 0, 50)].astype(np.float32)
    # By strength the crowd has ranks 0 to 99; cell by cell it has 0 and 51 to 149.
    sums = [0, *(2 * i + 50 for i in range(1, 100)), *(100 + i + 1 + i for i in range(50))]
    expected = sorted(np.argsort(sums, kind="stable")[:60])
    order = rng.permutation(150)
    kept = order[np.sort(rank_features(keypoints[order], strengths[order])[:60])]
    assert sorted(kept) == expected
    assert 15 < sum(row >= 100 for row in kept) < 45, "some of both"


def test_all_are_kept_where_there_are_no_more() -> None:
    keypoints = np.zeros((3, 4), np.float32)
    strengths = np.zeros(3, np.float32)
    assert sorted(rank_features(keypoints, strengths).tolist()) == [0, 1, 2]
    assert rank_features(keypoints[:0], strengths[:0]).tolist() == []


def test_fewer_features_lie_all_over_the_picture(picture: Picture) -> None:
    every, few = (
        describer_of(FeatureOptions(max_features=n)).describe(picture) for n in (4000, 300)
    )
    rows = {tuple(row) for row in every.keypoints.tolist()}
    assert len(few) == 300 and rows >= {tuple(row) for row in few.keypoints.tolist()}
    left = (few.keypoints[:, 0] < picture.width / 2).mean()
    assert 0.3 < left < 0.7


def test_upright_features_do_not_turn_with_the_picture(picture: Picture) -> None:
    other = turned(picture)
    assert (
        shared(describer_of(OPTIONS).describe(picture), describer_of(OPTIONS).describe(other)) > 0.6
    )
    assert (
        shared(describer_of(UPRIGHT).describe(picture), describer_of(UPRIGHT).describe(other)) < 0.3
    )


@pytest.mark.parametrize("options", [OPTIONS, UPRIGHT])
def test_a_blank_picture_has_none(picture: Picture, options: FeatureOptions) -> None:
    blank = replace(picture, pixels=np.full_like(picture.pixels, 128))
    features = describer_of(options).describe(blank)
    assert (features.keypoints.shape, features.descriptors.shape) == ((0, 4), (0, 128))


@pytest.mark.parametrize("options", [OPTIONS, UPRIGHT])
def test_no_more_than_asked(picture: Picture, options: FeatureOptions) -> None:
    few = describer_of(replace(options, max_features=50)).describe(picture)
    assert 0 < len(few) <= 50
