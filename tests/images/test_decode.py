"""Which picture comes out of a file: upright, reduced, of one frame, over white."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from bovw.errors import ImageError
from bovw.images.decode import read_picture
from tests.images.samples import (
    ORIENTATION,
    SAVED_AS,
    assert_close,
    detailed,
    encoded,
    read_bytes,
    read_image,
    reduced,
    scene,
)


@pytest.mark.parametrize("kind", SAVED_AS)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_every_format_gives_the_picture(tmp_path: Path, kind: str, mode: str) -> None:
    image = Image.fromarray(scene()).convert(mode)
    picture = read_image(tmp_path, image, **SAVED_AS[kind])
    assert picture.pixels.dtype == np.uint8
    assert (picture.width, picture.height, picture.scale) == (80, 60, 1.0)
    assert_close(picture.pixels, scene(), 3)


def test_wide_integers_are_rescaled_not_clipped(tmp_path: Path) -> None:
    wide = scene().astype(np.uint16) * 257
    for kind in ("PNG", "TIFF"):
        assert_close(read_image(tmp_path, Image.fromarray(wide), format=kind).pixels, scene(), 0)
    big_endian = Image.frombytes("I;16B", (80, 60), wide.astype(">u2").tobytes())
    assert_close(read_image(tmp_path, big_endian, format="TIFF").pixels, scene(), 0)
    small = Image.fromarray(wide.astype(np.int32))
    assert_close(read_image(tmp_path, small, format="TIFF").pixels, scene(), 0)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_what_is_wider_is_stretched_over_its_own_range(
    tmp_path: Path, kind: type[np.generic]
) -> None:
    low, high = int(scene().min()), int(scene().max())
    stretched = (scene().astype(float) - low) * 255 / (high - low)
    values = (scene().astype(np.int64) * 100_000 - 3_000_000).astype(kind)
    picture = read_image(tmp_path, Image.fromarray(values), format="TIFF")
    assert_close(picture.pixels, stretched, 0.51)


def test_floats_that_are_not_finite_are_survived(tmp_path: Path) -> None:
    values = scene().astype(np.float32)
    values[40, 40:43] = np.nan, np.inf, -np.inf
    pixels = read_image(tmp_path, Image.fromarray(values), format="TIFF").pixels
    assert pixels[40, 40:43].tolist() == [0, 255, 0]
    values[:] = np.nan
    assert not read_image(tmp_path, Image.fromarray(values), format="TIFF").pixels.any()


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_wide_values_are_rescaled_the_same_a_few_rows_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[np.generic]
) -> None:
    values = (scene().astype(np.int64) * 200).astype(kind)
    if values.dtype.kind == "f":
        values[:20] = np.nan
    at_once = read_image(tmp_path, Image.fromarray(values), format="TIFF").pixels
    monkeypatch.setattr("bovw.images.values.BLOCK", 700)
    assert_close(read_image(tmp_path, Image.fromarray(values), format="TIFF").pixels, at_once, 0)


def test_what_has_transparency_may_have_half_of_the_pixels(tmp_path: Path) -> None:
    for mode, most in (("L", 4800), ("LA", 9600), ("RGBA", 9600)):
        path = tmp_path / f"{mode}.png"
        Image.fromarray(scene()).convert(mode).save(path)
        assert read_picture(path, 1024, max_pixels=most).width == 80
        with pytest.raises(ImageError, match="too large"):
            read_picture(path, 1024, max_pixels=most - 1)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_alpha_lies_over_white(tmp_path: Path, mode: str, kind: str) -> None:
    image = Image.fromarray(scene()).convert(mode)
    alpha = np.full((60, 80), 255, np.uint8)
    alpha[30:, :40], alpha[30:, 40:] = 0, 128
    image.putalpha(Image.fromarray(alpha))
    expected = 255 - (255.0 - scene()) * alpha / 255
    picture = read_image(tmp_path, image, format=kind, lossless=True)
    assert_close(picture.pixels, expected, 1.5)


def test_transparent_colours_lie_over_white(tmp_path: Path) -> None:
    palette = Image.new("P", (40, 30), 1)
    palette.putpalette([0, 0, 0, 90, 90, 90])
    palette.paste(0, (0, 0, 20, 30))
    cases = [palette, palette.convert("RGB"), palette.convert("L")]
    for image, clear in zip(cases, [0, (0, 0, 0), 0], strict=True):
        pixels = read_image(tmp_path, image, format="PNG", transparency=clear).pixels
        assert (pixels[:, :20] == 255).all()
        assert (pixels[:, 20:] == 90).all()


def test_one_bit_and_cmyk(tmp_path: Path) -> None:
    bits = Image.fromarray(scene() > 100)
    assert bits.mode == "1"
    for kind in ("PNG", "TIFF", "BMP"):
        expected = (scene() > 100) * 255
        assert_close(read_image(tmp_path, bits, format=kind).pixels, expected, 0)
    cmyk = Image.fromarray(scene()).convert("RGB").convert("CMYK")
    assert_close(read_image(tmp_path, cmyk, format="JPEG", quality=95).pixels, scene(), 4)


@pytest.mark.parametrize("kind", ["TIFF", "WEBP", "PNG", "MPO"])
def test_the_first_frame_counts(tmp_path: Path, kind: str) -> None:
    first, second = Image.fromarray(scene()).convert("RGB"), Image.new("RGB", (80, 60))
    options = {"save_all": True, "append_images": [second], "lossless": True, "quality": 95}
    assert_close(read_image(tmp_path, first, format=kind, **options).pixels, scene(), 3)


INVERSE: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda p: p,
    2: np.fliplr,
    3: lambda p: np.rot90(p, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda p: np.rot90(p, 1),
    7: lambda p: np.rot90(p, 2).T,
    8: lambda p: np.rot90(p, -1),
}


@pytest.mark.parametrize("orientation", INVERSE)
@pytest.mark.parametrize("kind", [kind for kind in SAVED_AS if kind != "bmp"])
def test_every_orientation_comes_out_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = Image.fromarray(np.ascontiguousarray(INVERSE[orientation](scene())))
    picture = read_image(tmp_path, stored.convert("RGB"), exif=exif, **SAVED_AS[kind])
    assert (picture.width, picture.height) == (80, 60)
    assert picture.pixels.flags.c_contiguous
    assert_close(picture.pixels, scene(), 3)


def test_orientation_and_reduction_go_together(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(scene(600, 800))))
    for kind in ("JPEG", "TIFF"):
        data = encoded(stored, format=kind, exif=exif)
        picture = read_bytes(tmp_path, data, max_size=80)
        assert (picture.width, picture.height, picture.scale) == (800, 600, 10.0)
        assert_close(picture.pixels, reduced(scene(600, 800), 80, 60), 15)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0junk"]
)
def test_broken_exif_does_not_spoil_a_picture(tmp_path: Path, exif: bytes) -> None:
    image = Image.fromarray(scene())
    assert_close(read_image(tmp_path, image, format="JPEG", exif=exif).pixels, scene(), 6)


def test_an_orientation_that_does_not_exist_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 9
    picture = read_image(tmp_path, Image.fromarray(scene()), format="JPEG", exif=exif)
    assert (picture.width, picture.height) == (80, 60)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1, 300), (999, 1000), (640, 1003), (1600, 1201), (300, 1537)])
def test_the_longest_side_is_reduced_to_the_size_asked_for(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    height, width = max(size[0], 16), size[1]
    for kind in ("JPEG", "BMP"):
        data = encoded(Image.fromarray(detailed(height, width)), format=kind)
        for max_size in (100, 256, 1000, 5000):
            picture = read_bytes(tmp_path, data, max_size)
            longest = max(height, width)
            assert max(picture.pixels.shape) == min(longest, max_size)
            assert picture.scale == longest / min(longest, max_size)
            assert (picture.height, picture.width) == (height, width)


def test_decoding_at_a_reduced_size_looks_like_reducing_afterwards(tmp_path: Path) -> None:
    image = Image.fromarray(detailed(904, 1200)).convert("RGB")  # eighths are whole
    data = encoded(image, format="JPEG", quality=95)
    for max_size in (150, 250, 400, 600, 700):
        pixels = read_bytes(tmp_path, data, max_size).pixels.astype(float)
        full = read_bytes(tmp_path, data, 1200).pixels
        straight = reduced(full, *pixels.shape[::-1])
        assert np.abs(pixels - straight).mean() < 2
        assert np.corrcoef(pixels.ravel(), straight.ravel())[0, 1] > 0.99


def test_opencv_takes_the_pixels(tmp_path: Path) -> None:
    data = encoded(Image.fromarray(detailed(200, 300)), format="JPEG")
    assert cv2.SIFT_create().detect(read_bytes(tmp_path, data).pixels)
