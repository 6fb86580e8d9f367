"""Pictures that are whole although their file is odd, and what is remarked about them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import PIL
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from bovw.errors import ImageError
from tests.images.samples import (
    JPEG,
    ORIENTATION,
    PNG,
    assert_close,
    detailed,
    encoded,
    read_bytes,
    read_image,
    reduced,
    scene,
)

# Pillow 10 writes no tags of single pages.
tags_of_pages = pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 11, reason="Pillow 10")


def stretched(values: np.ndarray) -> np.ndarray:
    """Return values stretched from 0 to 255."""
    low, high = float(values.min()), float(values.max())
    return (values - low) * 255 / (high - low)


# values


@pytest.mark.parametrize("bits", [9, 10, 12, 14])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_few_bits_in_16_bit_files_are_stretched(tmp_path: Path, bits: int, kind: str) -> None:
    values = scene().astype(np.uint16) << (bits - 8)
    picture = read_image(tmp_path, Image.fromarray(values), format=kind)
    assert_close(picture.pixels, stretched(values), 0.51)
    assert np.ptp(picture.pixels) >= 0.9 * np.ptp(scene())


def test_8_bits_in_16_bit_files_keep_their_contrast(tmp_path: Path) -> None:
    picture = read_image(tmp_path, Image.fromarray(scene().astype(np.uint16)), format="PNG")
    assert_close(picture.pixels, scene().astype(float) - scene().min(), 0)
    noise = 30_000 + detailed(40, 60).astype(np.uint16) // 32
    assert np.ptp(read_image(tmp_path, Image.fromarray(noise), format="PNG").pixels) < 8


@pytest.mark.parametrize("suffix", [".png", ".tif", "raw.tif"])
@pytest.mark.parametrize("bits", [10, 12])
def test_few_bits_of_colours_are_stretched(tmp_path: Path, suffix: str, bits: int) -> None:
    grey = scene().astype(np.uint16) << (bits - 8)
    options = [cv2.IMWRITE_TIFF_COMPRESSION, 1] if suffix == "raw.tif" else []
    done, data = cv2.imencode(suffix[-4:], np.dstack([grey] * 3), options)
    assert done
    assert_close(read_bytes(tmp_path, data.tobytes()).pixels, stretched(grey), 0.51)


def test_hot_pixels_and_missing_data_do_not_hide_the_rest(tmp_path: Path) -> None:
    values = detailed(200, 300).astype(np.uint16) * 8 + 1000
    known = np.ones(values.shape, bool)
    known[::19, ::17], known[:60] = False, False
    spoilt = values.copy()
    spoilt[::19, ::17] = 65535
    for nodata in (0, 65535):
        spoilt[:60] = nodata
        pixels = read_image(tmp_path, Image.fromarray(spoilt), format="PNG").pixels
        assert np.corrcoef(pixels[known], values[known])[0, 1] > 0.99
        assert np.std(pixels[known].astype(float)) > 25
    heights = values.astype(np.float32)
    heights[:60], heights[::19, ::17] = -3.4e38, np.nan
    pixels = read_image(tmp_path, Image.fromarray(heights), format="TIFF").pixels
    assert np.std(pixels[known].astype(float)) > 25
    assert not pixels[:60].any()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_white_on_transparent_is_seen(tmp_path: Path, mode: str) -> None:
    drawn = Image.new(mode, (80, 60), "white")
    drawn.putalpha(Image.fromarray(scene()))
    assert_close(read_image(tmp_path, drawn, format="PNG").pixels, scene(), 1)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_colours_count_where_all_is_transparent(tmp_path: Path, kind: str) -> None:
    image = Image.fromarray(scene()).convert("RGBA")
    image.putalpha(0)
    assert_close(read_image(tmp_path, image, format=kind).pixels, scene(), 1)


def test_lab_looks_like_its_colours(tmp_path: Path) -> None:
    y, x = np.mgrid[:60, :80].astype(np.uint8)
    colours = Image.fromarray(np.dstack([50 + 2 * x, 200 - 2 * y, 80 + x]))
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(colours, srgb, lab, outputMode="LAB")
    assert image
    assert_close(
        read_image(tmp_path, image, format="TIFF").pixels, np.asarray(colours.convert("L")), 8
    )


# pages


def test_the_largest_page_counts(tmp_path: Path) -> None:
    pages = [Image.new("L", (40, 30)), Image.fromarray(scene(300, 400)), Image.new("L", (60, 50))]
    data = encoded(pages[0], format="TIFF", save_all=True, append_images=pages[1:])
    picture = read_bytes(tmp_path, data, 200)
    assert (picture.width, picture.height) == (400, 300)
    assert picture.remark == "the largest of its 3 pages is used"
    assert_close(picture.pixels, reduced(scene(300, 400), 200, 150), 3)
    assert read_image(tmp_path, pages[1], format="TIFF").remark == ""


@tags_of_pages
def test_a_page_has_its_own_orientation(tmp_path: Path) -> None:
    pages = [Image.new("L", (40, 30)), Image.fromarray(np.ascontiguousarray(np.rot90(scene())))]
    pages[1].encoderinfo = {"tiffinfo": {ORIENTATION: 6}}
    data = encoded(pages[0], format="TIFF", save_all=True, append_images=pages[1:])
    picture = read_bytes(tmp_path, data)
    assert (picture.width, picture.height) == (80, 60)
    assert_close(picture.pixels, scene(), 0)


@tags_of_pages
def test_thumbnails_and_masks_are_no_pages(tmp_path: Path) -> None:
    pages = [Image.fromarray(scene()) for _ in range(3)]
    for page, purpose in zip(pages[1:], (1, 4), strict=True):
        page.encoderinfo = {"tiffinfo": {254: purpose}}
    data = encoded(pages[0], format="TIFF", save_all=True, append_images=pages[1:])
    assert read_bytes(tmp_path, data).remark == ""


def test_libtiff_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = encoded(Image.fromarray(scene()), format="TIFF", compression="tiff_adobe_deflate")
    compression = struct.pack("<HHI", 259, 3, 1)
    place = data.index(compression) + len(compression)
    for other in (5, 50001):
        spoilt = data[:place] + struct.pack("<H", other) + data[place + 2 :]
        with pytest.raises(ImageError, match=r"^cannot be decoded"):
            read_bytes(tmp_path, spoilt)
    assert capfd.readouterr().err == ""


# damage beside the picture


@pytest.mark.parametrize("lacking", [1, 2])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("restart", [0, 5])
def test_a_jpeg_without_its_end_is_whole(
    tmp_path: Path, lacking: int, progressive: bool, restart: int
) -> None:
    image = Image.fromarray(detailed(200, 300)).convert("RGB")
    data = encoded(image, format="JPEG", progressive=progressive, restart_marker_blocks=restart)
    for max_size in (1024, 100):
        picture = read_bytes(tmp_path, data[:-lacking], max_size)
        assert picture.remark == "its end is missing, the picture is whole"
        assert (picture.pixels == read_bytes(tmp_path, data, max_size).pixels).all()


@pytest.mark.parametrize("restart", [0, 5])
def test_a_jpeg_that_is_cut_short_is_refused(tmp_path: Path, restart: int) -> None:
    image = Image.fromarray(detailed(200, 300))
    image.paste(128, (0, 150, 300, 200))
    data = encoded(image, format="JPEG", restart_marker_blocks=restart)
    for lacking in (*range(4, 60), 500, 5000):
        with pytest.raises(ImageError, match="truncated"):
            read_bytes(tmp_path, data[:-lacking])
    assert read_bytes(tmp_path, JPEG).remark == ""


def png_chunk(kind: bytes, content: bytes, spoilt: int = 0) -> bytes:
    checksum = zlib.crc32(kind + content) ^ spoilt
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


@pytest.mark.parametrize("kind", [b"tEXt", b"gAMA", b"zzZz"])
@pytest.mark.parametrize("place", [33, -12])
def test_a_wrong_checksum_beside_the_picture_does_no_harm(
    tmp_path: Path, kind: bytes, place: int
) -> None:
    chunk = png_chunk(kind, b"ab\0\0", spoilt=1)
    picture = read_bytes(tmp_path, PNG[:place] + chunk + PNG[place:])
    assert (picture.pixels == read_bytes(tmp_path, PNG).pixels).all()
    assert place < 0 or "left out" in picture.remark  # Pillow passes over what follows the picture
    assert read_bytes(tmp_path, PNG).remark == ""


def test_a_png_may_have_much_text_or_a_large_profile(tmp_path: Path) -> None:
    image, exif = Image.fromarray(np.ascontiguousarray(np.rot90(scene()))), Image.Exif()
    exif[ORIENTATION] = 6
    info = PngInfo()
    info.add_text("about", "x" * 3_000_000, zip=True)
    for options in ({"pnginfo": info}, {"icc_profile": bytes(3_000_000)}):
        picture = read_image(tmp_path, image, format="PNG", exif=exif, **options)
        assert_close(picture.pixels, scene(), 0)
        assert "left out" in picture.remark


def test_a_png_whose_picture_is_damaged_is_refused(tmp_path: Path) -> None:
    text = png_chunk(b"tEXt", b"a\0b", spoilt=1)
    with pytest.raises(ImageError):
        read_bytes(tmp_path, PNG[:33] + text + PNG[33:3000] + b"spoilt" + PNG[3006:])
    with pytest.raises(ImageError):
        read_bytes(tmp_path, PNG[:33] + text + PNG[33:-2000])
