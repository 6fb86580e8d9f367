"""RootSIFT is its formula, in whole numbers of one norm."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from bovw.demo.scenes import draw_scene
from bovw.features.rootsift import rootsift
from bovw.records import Bytes


@pytest.fixture(scope="module")
def sift() -> Bytes:
    """SIFT as OpenCV gives it."""
    _, descriptors = cv2.SIFT_create().detectAndCompute(draw_scene(1), None)
    return np.asarray(descriptors, np.uint8)


def test_rootsift_is_its_formula(sift: Bytes) -> None:
    given = sift[:50]
    for row, result in zip(given.tolist(), rootsift(given).tolist(), strict=True):
        for value, got in zip(row, result, strict=True):
            assert abs(got - min(256 * math.sqrt(value / sum(row)), 255)) <= 0.501


def test_rootsift_is_whole_numbers_of_one_norm(sift: Bytes) -> None:
    values = rootsift(sift)
    assert values.dtype == np.uint8
    assert len(values) == len(sift) > 500
    assert np.abs(np.linalg.norm(values.astype(np.float64), axis=1) - 256).max() < 4


def test_rootsift_of_extremes() -> None:
    one_bin = np.zeros((1, 128), np.uint8)
    one_bin[0, 5] = 200
    assert rootsift(one_bin)[0, 5] == 255
    assert not rootsift(np.zeros((2, 128), np.uint8)).any()
    assert rootsift(np.empty((0, 128), np.uint8)).shape == (0, 128)
