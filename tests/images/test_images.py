"""Stage 1: which files are found, which pictures come out of them, and which are refused."""

from __future__ import annotations

import hashlib
import io
import os
import random
import socket
import struct
import warnings
import zlib
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bovw.errors import BovwError, ImageError, QueryError, UsageError
from bovw.images import decode
from bovw.images.decode import read_picture
from bovw.images.find import find_images, sha256
from bovw.images.region import check_region
from bovw.records import Box, Picture

SAVED_AS = {
    "jpg": {"format": "JPEG", "quality": 95},
    "progressive.jpg": {"format": "JPEG", "quality": 95, "progressive": True},
    "png": {"format": "PNG"},
    "webp": {"format": "WEBP", "lossless": True},
    "lossy.webp": {"format": "WEBP", "quality": 100},
    "tif": {"format": "TIFF"},
    "lzw.tif": {"format": "TIFF", "compression": "tiff_lzw"},
    "bmp": {"format": "BMP"},
}
ORIENTATION = 0x0112


def scene(height: int = 60, width: int = 80) -> np.ndarray:
    """Return a smooth grey picture without symmetry: a dark corner on a slope."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    picture = 60 + 120 * x / width + 60 * y / height
    picture[: height // 4, : width // 4] = 10
    return cv2.GaussianBlur(picture, (5, 5), 0).astype(np.uint8)


def detailed(height: int, width: int) -> np.ndarray:
    """Return noise whose power falls with its frequency, as that of photographs does."""
    chance = np.random.default_rng(0)
    picture = np.full((height, width), 128.0, np.float32)
    for period in (2, 4, 8, 16, 32, 64):
        shape = (height // period + 1, width // period + 1)
        noise = chance.normal(size=shape).astype(np.float32) * period**0.75
        picture += 3 * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0, 255).astype(np.uint8)


def reduced(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def encoded(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def read_bytes(tmp_path: Path, data: bytes, max_size: int = 1024) -> Picture:
    path = tmp_path / "image.jpg"
    path.write_bytes(data)
    return read_picture(path, max_size)


def read_image(tmp_path: Path, image: Image.Image, **options: object) -> Picture:
    return read_bytes(tmp_path, encoded(image, **options))


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(*folders: Path, exclude: tuple[str, ...] = ()) -> list[str]:
    return [image.name for image in find_images(folders, exclude)]


# finding


def test_images_are_found_at_any_depth_in_any_case_sorted_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a/z.png", "a/b/c.TifF", "B.webp", "notes.txt", "jpg", "a b.bmp")
    assert names(tmp_path) == ["B.webp", "a b.bmp", "a/b/c.TifF", "a/z.png", "b.JPG"]
    assert all(image.path == tmp_path / image.name for image in find_images([tmp_path]))


def test_a_relative_folder_gives_the_same_names(tmp_path: Path, monkeypatch) -> None:
    touch(tmp_path, "a/x.jpg", "y.jpg")
    monkeypatch.chdir(tmp_path)
    assert names(Path()) == names(Path("../" + tmp_path.name)) == ["a/x.jpg", "y.jpg"]


def test_hidden_files_and_folders_are_skipped(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", ".b.jpg", ".c/d.jpg", "e/.jpg", "e/.f/g.jpg")
    assert names(tmp_path) == ["a.jpg"]


@pytest.mark.parametrize(
    ("glob", "left"),
    [
        ("thumbs", ["a/b.jpg", "a/b.thumb.jpg"]),
        ("thumbs/", ["a/b.jpg", "a/b.thumb.jpg"]),
        ("thumbs/*", ["a/b.jpg", "a/b.thumb.jpg"]),
        ("a/thumbs", ["a/b.jpg", "a/b.thumb.jpg", "thumbs/d.jpg"]),
        ("*.thumb.jpg", ["a/b.jpg", "a/thumbs/c.jpg", "thumbs/d.jpg"]),
        ("b.jpg", ["a/b.thumb.jpg", "a/thumbs/c.jpg", "thumbs/d.jpg"]),
        ("a/*", ["thumbs/d.jpg"]),
    ],
)
def test_globs_exclude_files_and_folders(tmp_path: Path, glob: str, left: list[str]) -> None:
    touch(tmp_path, "a/b.jpg", "a/b.thumb.jpg", "a/thumbs/c.jpg", "thumbs/d.jpg")
    assert names(tmp_path, exclude=(glob,)) == left


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    pictures, elsewhere = tmp_path / "pictures", tmp_path / "elsewhere"
    touch(pictures, "z/one.jpg")
    touch(elsewhere, "two.jpg")
    (pictures / "a").symlink_to("z")
    (pictures / "z" / "up").symlink_to(pictures)
    (pictures / "there").symlink_to(elsewhere)
    (pictures / "there again").symlink_to(elsewhere)
    (pictures / "self.jpg").symlink_to("self.jpg")
    (pictures / "file.jpg").symlink_to("z/one.jpg")
    assert names(pictures) == ["file.jpg", "self.jpg", "there/two.jpg", "z/one.jpg"]


def test_names_in_odd_encodings_survive(tmp_path: Path) -> None:
    raw = b"caf\xe9 \xff.jpg"
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + raw)).write_bytes(
            encoded(white(), format="PNG")
        )
    except OSError:
        pytest.skip("this file system wants valid names")
    (image,) = find_images([tmp_path])
    assert os.fsencode(image.name) == raw
    assert read_picture(image.path, 100).width == 40


def white() -> Image.Image:
    return Image.new("L", (40, 30), 255)


def test_what_is_no_folder_of_images_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "file.jpg", "empty/notes.txt")
    with pytest.raises(UsageError, match=r"missing cannot be read .* give a folder"):
        find_images([tmp_path / "missing"])
    with pytest.raises(UsageError, match=f"is a file: give its folder {tmp_path} instead"):
        find_images([tmp_path / "file.jpg"])
    with pytest.raises(BovwError, match=r"no image in .*empty: give a folder with .jpg"):
        find_images([tmp_path, tmp_path / "empty"])
    with pytest.raises(BovwError, match="apart from what is excluded"):
        find_images([tmp_path], ["*.jpg"])


def test_two_folders_are_joined_unless_they_share_a_name(tmp_path: Path) -> None:
    touch(tmp_path, "a/one.jpg", "b/two.jpg", "c/one.jpg")
    assert names(tmp_path / "b", tmp_path / "a") == ["one.jpg", "two.jpg"]
    with pytest.raises(UsageError, match=f"/a and .*/c both hold one.jpg: .* folder {tmp_path} "):
        find_images([tmp_path / "a", tmp_path / "c"])


def test_an_unreadable_folder_is_reported_and_passed_over(tmp_path: Path, monkeypatch) -> None:
    touch(tmp_path, "locked/a.jpg", "open/b.jpg")
    scandir = os.scandir

    def refusing(path: str):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    errors: list[OSError] = []
    assert [i.name for i in find_images([tmp_path], on_error=errors.append)] == ["open/b.jpg"]
    assert [error.filename for error in errors] == [str(tmp_path / "locked")]
    assert names(tmp_path) == ["open/b.jpg"]


# decoding


@pytest.mark.parametrize("kind", SAVED_AS)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_every_format_gives_the_picture(tmp_path: Path, kind: str, mode: str) -> None:
    image = Image.fromarray(scene()).convert(mode)
    picture = read_image(tmp_path, image, **SAVED_AS[kind])
    assert picture.pixels.dtype == np.uint8
    assert (picture.width, picture.height, picture.scale) == (80, 60, 1.0)
    assert_close(picture.pixels, scene(), 3)


def assert_close(pixels: np.ndarray, expected: np.ndarray, most: float) -> None:
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(float) - expected).max() <= most


def test_wide_integers_are_rescaled_not_clipped(tmp_path: Path) -> None:
    wide = scene().astype(np.uint16) * 257
    for kind in ("PNG", "TIFF"):
        assert_close(read_image(tmp_path, Image.fromarray(wide), format=kind).pixels, scene(), 0)
    big_endian = Image.frombytes("I;16B", (80, 60), wide.astype(">u2").tobytes())
    assert_close(read_image(tmp_path, big_endian, format="TIFF").pixels, scene(), 0)
    small = Image.fromarray(wide.astype(np.int32))
    assert_close(read_image(tmp_path, small, format="TIFF").pixels, scene(), 0)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_what_is_wider_is_stretched_over_its_own_range(tmp_path: Path, kind: type) -> None:
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
    cases = [palette, Image.new("RGB", (40, 30)), Image.new("L", (40, 30))]
    for image, clear in zip(cases, [0, (0, 0, 0), 0], strict=True):
        pixels = read_image(tmp_path, image, format="PNG", transparency=clear).pixels
        assert (pixels[:, :20] == 255).all()
    assert (read_image(tmp_path, palette, format="PNG", transparency=0).pixels[:, 20:] == 90).all()


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


INVERSE = {
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


# refusing


def png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(header))
    small = encoded(white(), format="PNG")
    return small[:8] + struct.pack(">I", 13) + header + checksum + small[33:]


JPEG = encoded(Image.fromarray(detailed(200, 300)), format="JPEG")
PNG = encoded(Image.fromarray(detailed(200, 300)), format="PNG")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "^empty file$"),
        (b"this is a text, not a picture\n" * 100, "^not a readable JPEG, PNG"),
        (b"\0" * 10_000, "^not a readable JPEG, PNG"),
        (b"\xff\xd8\xff", "^not a readable JPEG, PNG"),
        (encoded(white(), format="GIF"), "^not a readable JPEG, PNG"),
        (JPEG[:-2000], "^cannot be decoded: .*truncated"),
        (PNG[:-2000], "^cannot be decoded: .*truncated"),
        (PNG[:3000] + b"spoilt" + PNG[3006:], "^cannot be decoded: "),
        (png_header(0, 30), "^(too small|cannot be decoded|not a readable)"),
        (png_header(40_000, 40_000), "^too large: more than 250 megapixels$"),
        (png_header(20_000, 13_000), "^too large: more than 250 megapixels$"),
        (encoded(Image.new("L", (300, 15)), format="PNG"), "^too small: 300 x 15 pixels"),
    ],
)
def test_what_is_no_usable_picture_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason) as refusal:
        read_bytes(tmp_path, data)
    assert str(tmp_path) not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_large_pictures_below_the_limit_pass_pillows_own(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert read_image(tmp_path, white(), format="PNG").width == 40
    assert Image.MAX_IMAGE_PIXELS == 100


def test_what_is_no_file_is_refused_without_opening_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")  # relative, for a socket's path may have 107 bytes only
        for name in ("fifo.jpg", "folder.jpg", "socket.jpg"):
            for reader in (sha256, lambda path: read_picture(path, 100)):
                with pytest.raises(ImageError, match=r"^not a regular file$"):
                    reader(tmp_path / name)


def test_what_cannot_be_read_is_refused(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "image.png"
    for reader in (sha256, lambda path: read_picture(path, 100)):
        with pytest.raises(ImageError, match=r"^cannot be read: No such file or directory$"):
            reader(path)
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    with pytest.raises(ImageError, match=r"^cannot be read: "):
        read_picture(tmp_path / "loop.jpg", 100)
    path.write_bytes(PNG)

    def locked(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", locked)
    with pytest.raises(ImageError, match=r"^cannot be read: Permission denied$"):
        read_picture(path, 100)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "MemoryError"),
        (struct.error("unpack\nrequires"), "unpack"),
        (OSError(5, "Input/output error", "name"), "Input/output error"),
        (KeyError("tag"), "'tag'"),
    ],
)
def test_whatever_pillow_raises_is_told_in_a_line(
    tmp_path: Path, monkeypatch, error: Exception, reason: str
) -> None:
    def failing(*_: object, **__: object) -> None:
        warnings.warn("Pillow is worried", stacklevel=1)
        raise error

    monkeypatch.setattr(decode, "Image", SimpleNamespace(**vars(Image)))
    monkeypatch.setattr(decode.Image, "open", failing)
    with pytest.raises(ImageError) as refusal:
        read_bytes(tmp_path, PNG)
    assert str(refusal.value) == f"cannot be decoded: {reason}"


@pytest.mark.parametrize("kind", SAVED_AS)
def test_damaged_files_give_a_picture_or_a_reason(tmp_path: Path, kind: str) -> None:
    chance = random.Random(kind)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    options = SAVED_AS[kind] | ({} if kind == "bmp" else {"exif": exif})
    data = encoded(Image.fromarray(detailed(48, 64)).convert("RGB"), **options)
    for i in range(40):
        picture_or_reason(tmp_path, data[: len(data) * i // 40])
    for i in range(200):
        end = len(data) if i % 2 else min(len(data), 200)  # half of them in the header
        damaged = bytearray(data)
        damaged[chance.randrange(end)] ^= 1 << chance.randrange(8)
        picture_or_reason(tmp_path, bytes(damaged))


def picture_or_reason(tmp_path: Path, data: bytes) -> None:
    try:
        picture = read_bytes(tmp_path, data, 40)
    except ImageError as error:
        assert 0 < len(str(error)) < 300
    else:
        assert max(picture.pixels.shape) <= 40
        assert picture.pixels.dtype == np.uint8


# regions and checksums


def test_a_region_is_clipped_to_the_image() -> None:
    assert check_region(Box(1, 2, 30, 40), 100, 50) == Box(1, 2, 30, 40)
    assert check_region(Box(-5, -5, 200, float("inf")), 100, 50) == Box(0, 0, 100, 50)


@pytest.mark.parametrize(
    "region", [(5, 5, 5, 9), (9, 5, 5, 9), (100, 0, 120, 9), (-9, 0, 0, 9), (0, 0, 9, float("nan"))]
)
def test_a_region_without_image_is_refused(region: tuple[float, ...]) -> None:
    with pytest.raises(QueryError, match=r"the region .* holds nothing .* within its 100 x 50$"):
        check_region(Box(*region), 100, 50)


@given(st.tuples(*[st.floats(-1e3, 1e3) for _ in range(4)]))
def test_a_region_lies_inside_or_is_refused(region: tuple[float, ...]) -> None:
    try:
        box = check_region(Box(*region), 300, 200)
    except QueryError:
        return
    assert 0 <= box.x1 < box.x2 <= 300
    assert 0 <= box.y1 < box.y2 <= 200


def test_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(PNG)
    assert sha256(path) == hashlib.sha256(PNG).hexdigest()
