"""Stage 2: features are where they are said to be, upright or turning with the picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bovw.features import describe
from bovw.images import Picture, read_picture
from bovw.options import FeatureOptions
from bovw.records import Features
from bovw.synthetic import Collection

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
    features = describe(picture, UPRIGHT)
    assert 100 < len(features) <= 500
    assert (features.keypoints[:, 3] == 0).all()
    assert len(np.unique(features.keypoints[:, :3], axis=0)) == len(features)


def test_upright_features_lie_where_the_others_do(picture: Picture) -> None:
    places = {tuple(row) for row in describe(picture, OPTIONS).keypoints[:, :3].tolist()}
    assert places == {tuple(row) for row in describe(picture, UPRIGHT).keypoints[:, :3].tolist()}


def test_upright_features_do_not_turn_with_the_picture(picture: Picture) -> None:
    other = turned(picture)
    assert shared(describe(picture, OPTIONS), describe(other, OPTIONS)) > 0.6
    assert shared(describe(picture, UPRIGHT), describe(other, UPRIGHT)) < 0.3


@pytest.mark.parametrize("options", [OPTIONS, UPRIGHT])
def test_a_blank_picture_has_none(picture: Picture, options: FeatureOptions) -> None:
    blank = replace(picture, pixels=np.full_like(picture.pixels, 128))
    features = describe(blank, options)
    assert (features.keypoints.shape, features.descriptors.shape) == ((0, 4), (0, 128))


@pytest.mark.parametrize("options", [OPTIONS, UPRIGHT])
def test_no_more_than_asked(picture: Picture, options: FeatureOptions) -> None:
    few = describe(picture, replace(options, max_features=50))
    assert 0 < len(few) <= 50
