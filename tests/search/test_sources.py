"""Pictures that are no paths, and regions that are no boxes, are asked as their files are."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from bovw.errors import ImageError, UsageError
from bovw.options import FeatureOptions
from bovw.records import Box, Features
from bovw.search import describe_query

OPTIONS = FeatureOptions(max_size=320)


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture whose red, green and blue differ."""
    chance = np.random.default_rng(0)
    small = chance.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("sources") / "coloured.png"
    Image.fromarray(small).resize((400, 300), Image.Resampling.BICUBIC).save(path)
    return path


def features_of(source: Any, region: Sequence[float] | None = None) -> Features:
    return describe_query(source, region, options=OPTIONS)[0]


def same(first: Features, second: Features) -> bool:
    return np.array_equal(first.keypoints, second.keypoints) and np.array_equal(
        first.descriptors, second.descriptors
    )


def opencv(path: Path) -> np.ndarray:
    pixels = cv2.imread(str(path))
    assert pixels is not None
    return np.asarray(pixels)


SOURCES: dict[str, Callable[[Path], Any]] = {
    "text": str,
    "bytes": Path.read_bytes,
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "file": lambda path: io.BytesIO(path.read_bytes()),
    "PIL": Image.open,
    "PIL, grey": lambda path: Image.open(path).convert("L"),
    "RGB": lambda path: np.asarray(Image.open(path)),
    "grey": lambda path: np.asarray(Image.open(path).convert("L")),
    "OpenCV, turned": lambda path: cv2.cvtColor(opencv(path), cv2.COLOR_BGR2RGB),
    "OpenCV, reversed": lambda path: opencv(path)[:, :, ::-1],
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_is_as_good_as_the_file(kind: str, coloured: Path) -> None:
    found, expected = features_of(SOURCES[kind](coloured)), features_of(coloured)
    assert len(expected) > 100
    # Pillow and OpenCV round grey values differently.
    assert same(found, expected) or abs(len(found) - len(expected)) < 0.03 * len(expected)


def test_the_order_of_colours_matters(coloured: Path) -> None:
    red_first = np.asarray(Image.open(coloured))
    expected = cv2.cvtColor(red_first, cv2.COLOR_RGB2GRAY)
    assert same(features_of(red_first), features_of(expected))
    assert not same(features_of(opencv(coloured)), features_of(expected))


def test_an_open_file_and_an_image_with_exif(coloured: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(coloured) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    with (tmp_path / "turned.png").open("rb") as file:
        assert same(features_of(file), features_of(coloured))
    with Image.open(tmp_path / "turned.png") as image:
        assert same(features_of(image), features_of(coloured))


@pytest.mark.parametrize(
    "region", [(40, 30, 300, 200), [40, 30, 300, 200], np.array([40, 30, 300, 200.0])]
)
def test_a_region_may_be_any_four_numbers(region: Any, coloured: Path) -> None:
    assert same(features_of(coloured, region), features_of(coloured, Box(40, 30, 300, 200)))


@pytest.mark.parametrize("region", [(), (1, 2, 3), "1234x", 5, ("a", 1, 2, 3)])
def test_other_regions_are_wrong_usage(region: Any, coloured: Path) -> None:
    with pytest.raises(UsageError, match="a region is four numbers"):
        features_of(coloured, region)


@pytest.mark.parametrize("source", [None, 3, io.StringIO("text"), [1, 2]])
def test_other_sources_are_wrong_usage(source: Any) -> None:
    with pytest.raises(UsageError, match="a picture is a path, bytes"):
        features_of(source)


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"no picture",
        np.zeros((40, 40)),
        np.zeros((40, 40, 4), np.uint8),
        Image.new("L", (4, 9)),
    ],
)
def test_what_is_no_usable_picture_is_an_image_error(source: Any) -> None:
    with pytest.raises(ImageError):
        features_of(source)
