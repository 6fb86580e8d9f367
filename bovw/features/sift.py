"""Stage 2: SIFT features of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from bovw.compute.memory import keep_freed_memory
from bovw.images.decode import Picture, check_region, read_picture, reduce_pixels
from bovw.options import FeatureOptions
from bovw.records import Box, Bytes, Features, Floats

# The features with the strongest response, out of which fewer are kept: as many as the default.
CANDIDATES = FeatureOptions().max_features
# Cells along a picture's longest side that kept features are spread over.
CELLS = 16


def describe(picture: Picture, options: FeatureOptions = FeatureOptions()) -> Features:
    """Find SIFT features (Lowe, IJCV 2004), spread over the picture where there are too many.

    OpenCV's answer does not depend on its number of threads.
    """
    features, order = describe_all(picture, options)
    return features.rows(np.sort(order[: options.max_features]))


def describe_all(
    picture: Picture, options: FeatureOptions = FeatureOptions()
) -> tuple[Features, npt.NDArray[np.intp]]:
    """Return all features that fewer are kept out of, and their rows [n], the best to keep first.

    There are CANDIDATES of them, or as many as the options allow where that is more.
    """
    keep_freed_memory()
    candidates = max(options.max_features, CANDIDATES)
    sift = cv2.SIFT_create(nfeatures=candidates, contrastThreshold=options.contrast)
    if options.upright:
        points, descriptors = sift.compute(picture.pixels, _upright(sift.detect(picture.pixels)))
    else:
        points, descriptors = sift.detectAndCompute(picture.pixels, None)
    if descriptors is None or not len(points):
        points, descriptors = (), np.empty((0, 128), np.float32)
    keypoints = np.array([(*p.pt, p.size, p.angle) for p in points], np.float32).reshape(-1, 4)
    keypoints[:, :2] = (keypoints[:, :2] + 0.5) * picture.scale - 0.5
    keypoints[:, 2] *= picture.scale
    strengths = np.array([p.response for p in points], np.float32)
    features = Features(keypoints, descriptors.astype(np.uint8), picture.width, picture.height)
    return features, spread(keypoints, strengths)


def spread(keypoints: Floats, strengths: Floats) -> npt.NDArray[np.intp]:
    """Return the order in which features [n, 4] are worth keeping: their rows.

    A feature's rank by strength is added to its rank in an order in which every cell of a grid
    gives its strongest first, then its second, and so on: the strongest of all crowd in a few
    places, and those of empty places are noise.
    """
    if not len(keypoints):
        return np.arange(0)
    side = max(float(np.ptp(keypoints[:, :2], axis=0).max()), 1.0) / CELLS
    columns, rows = np.floor(keypoints[:, :2] / side).T
    by_cell = np.lexsort((-strengths, columns, rows))
    crowded = np.stack([columns, rows])[:, by_cell]
    first = np.flatnonzero(np.r_[True, (np.diff(crowded) != 0).any(axis=0)])
    turn = np.arange(len(by_cell)) - np.repeat(first, np.diff(np.r_[first, len(by_cell)]))
    strongest_first = np.argsort(-strengths, kind="stable")
    cell_by_cell = by_cell[np.lexsort((-strengths[by_cell], turn))]
    ranks = np.empty((2, len(keypoints)), np.int64)
    ranks[0, strongest_first] = ranks[1, cell_by_cell] = np.arange(len(keypoints))
    return np.lexsort((ranks[0], ranks.sum(axis=0)))


def _upright(points: Sequence[cv2.KeyPoint]) -> list[cv2.KeyPoint]:
    """Return a point of angle 0 for every place and scale, which may come with several angles."""
    places = {(*p.pt, p.size): p for p in reversed(points)}
    return [
        cv2.KeyPoint(*p.pt, p.size, 0, p.response, p.octave, p.class_id)
        for p in reversed(places.values())
    ]


def describe_query(
    image: Path | Bytes,
    region: Box | None = None,
    crop: bool = False,
    options: FeatureOptions = FeatureOptions(),
) -> tuple[Features, Box]:
    """Return a query's features and its region in pixels of the whole upright image.

    image   a file, or pixels uint8 [h, w] grey or [h, w, 3] in OpenCV's BGR
    region  left, top, right, bottom in pixels; None for the whole image
    crop    cut the region's pixels out first and look at them as a picture of their own, instead of
            keeping the features of the whole image that lie inside

    Raises ImageError where the image cannot be used, QueryError for a region outside of it.
    """
    size = np.iinfo(np.int32).max if crop and region else options.max_size
    whole = (
        reduce_pixels(image, size) if isinstance(image, np.ndarray) else read_picture(image, size)
    )
    everything = Box(0, 0, whole.width, whole.height)
    region = check_region(region, whole.width, whole.height) if region else everything
    if crop and region != everything:
        return _describe_crop(whole, region, options), region
    features = describe(whole, options)
    return (features if region == everything else features.inside(region)), region


def _describe_crop(whole: Picture, region: Box, options: FeatureOptions) -> Features:
    x1, y1 = int(region.x1), int(region.y1)
    x2, y2 = int(np.ceil(region.x2)), int(np.ceil(region.y2))
    pixels = np.ascontiguousarray(whole.pixels[y1:y2, x1:x2])
    features = describe(reduce_pixels(pixels, options.max_size), options)
    moved = features.keypoints + np.array([x1, y1, 0, 0], np.float32)
    return replace(features, keypoints=moved, width=whole.width, height=whole.height)
