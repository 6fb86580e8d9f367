"""Which files and regions are refused, and in which words."""

from __future__ import annotations

import os
import random
import socket
import struct
import warnings
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bovw.errors import ImageError, QueryError
from bovw.images import decode
from bovw.images.decode import read_picture
from bovw.images.find import sha256
from bovw.images.region import check_region
from bovw.records import Box
from tests.images.samples import (
    JPEG,
    ORIENTATION,
    PNG,
    SAVED_AS,
    detailed,
    encoded,
    read_bytes,
    read_image,
    white,
)

# refusing


def png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(header))
    small = encoded(white(), format="PNG")
    return small[:8] + struct.pack(">I", 13) + header + checksum + small[33:]


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


def test_large_pictures_below_the_limit_pass_pillows_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert read_image(tmp_path, white(), format="PNG").width == 40
    assert Image.MAX_IMAGE_PIXELS == 100


def test_what_is_no_file_is_refused_without_opening_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")  # relative, for a socket's path may have 107 bytes only
        for name in ("fifo.jpg", "folder.jpg", "socket.jpg"):
            for reader in (sha256, lambda path: read_picture(path, 100)):
                with pytest.raises(ImageError, match=r"^not a regular file$"):
                    reader(tmp_path / name)


def test_what_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def failing(*_: object, **__: object) -> None:
        warnings.warn("Pillow is worried", stacklevel=1)
        raise error

    monkeypatch.setattr(decode, "Image", SimpleNamespace(**vars(Image) | {"open": failing}))
    with pytest.raises(ImageError) as refusal:
        read_bytes(tmp_path, PNG)
    assert str(refusal.value) == f"cannot be decoded: {reason}"


@pytest.mark.slow
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
    with pytest.raises(
        QueryError, match=r"the region .* is empty or outside the image.* within its 100 x 50$"
    ):
        check_region(Box(*region), 100, 50)


@given(st.tuples(*[st.floats(-1e3, 1e3) for _ in range(4)]))
def test_a_region_lies_inside_or_is_refused(region: tuple[float, ...]) -> None:
    try:
        box = check_region(Box(*region), 300, 200)
    except QueryError:
        return
    assert 0 <= box.x1 < box.x2 <= 300
    assert 0 <= box.y1 < box.y2 <= 200
