"""Pictures that were drawn, in files of every format."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from bovw.images.decode import read_picture
from bovw.records import Picture

SAVED_AS: dict[str, dict[str, Any]] = {
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
    return np.asarray(cv2.GaussianBlur(picture, (5, 5), 0), np.uint8)


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
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA))


def encoded(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def read_bytes(tmp_path: Path, data: bytes, max_size: int = 1024) -> Picture:
    path = tmp_path / "image.jpg"
    path.write_bytes(data)
    return read_picture(path, max_size)


def read_image(tmp_path: Path, image: Image.Image, **options: Any) -> Picture:
    return read_bytes(tmp_path, encoded(image, **options))


def white() -> Image.Image:
    return Image.new("L", (40, 30), 255)


def assert_close(pixels: np.ndarray, expected: np.ndarray, most: float) -> None:
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(float) - expected).max() <= most


JPEG = encoded(Image.fromarray(detailed(200, 300)), format="JPEG")

PNG = encoded(Image.fromarray(detailed(200, 300)), format="PNG")
