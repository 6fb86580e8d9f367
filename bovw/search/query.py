"""The features of a query: of a whole picture, or of a region of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bovw.errors import QueryError
from bovw.features import describer_of
from bovw.images import (
    MAX_PIXELS,
    MIN_SIDE,
    ImageSource,
    check_region,
    picture_of,
    reduce_pixels,
    region_box,
)
from bovw.options import FeatureOptions
from bovw.records import Box, Features, Picture


def describe_query(
    image: ImageSource,
    region: Sequence[float] | None = None,
    crop: bool = True,
    options: FeatureOptions = FeatureOptions(),
    max_pixels: int = MAX_PIXELS,
) -> tuple[Features, Box]:
    """Return a query's features and its region in pixels of the whole upright image.

    image   see `Searcher.search`
    region  left, top, right, bottom in pixels; None for the whole image
    crop    describe the region's pixels as a picture of their own, at their own resolution; else
            keep the features of the whole, reduced image that lie inside (Oxford's protocol)
    max_pixels  of an image that is decoded

    Raises ImageError if the image cannot be used, QueryError for a region outside of it or with a
    side below 16 pixels, UsageError for what is no picture or no region.
    """
    asked = None if region is None else region_box(region)
    size = np.iinfo(np.int32).max if crop and asked else options.max_size
    whole = picture_of(image, size, max_pixels)
    everything = Box(0, 0, whole.width, whole.height)
    part = check_region(asked, whole.width, whole.height) if asked else everything
    if crop and part != everything:
        return _describe_crop(whole, part, options), part
    if max(whole.pixels.shape) > options.max_size:  # the region is everything
        whole = reduce_pixels(whole.pixels, options.max_size)
    features = describer_of(options).describe(whole)
    return (features if part == everything else features.inside(part)), part


def _describe_crop(whole: Picture, region: Box, options: FeatureOptions) -> Features:
    x1, y1 = int(region.x1), int(region.y1)
    x2, y2 = int(np.ceil(region.x2)), int(np.ceil(region.y2))
    if min(x2 - x1, y2 - y1) < MIN_SIDE:
        raise QueryError(f"the region is too small: a side of {MIN_SIDE} pixels is needed")
    pixels = np.ascontiguousarray(whole.pixels[y1:y2, x1:x2])
    features = describer_of(options).describe(reduce_pixels(pixels, options.max_size))
    moved = features.keypoints + np.array([x1, y1, 0, 0], np.float32)
    return replace(features, keypoints=moved, width=whole.width, height=whole.height)
