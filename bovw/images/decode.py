"""Stage 1: decode images upright and grey, and reject unusable ones."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from bovw.errors import ImageError
from bovw.images.find import first_line, opened
from bovw.records import Bytes, Picture

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
MAX_PIXELS = 250_000_000
MIN_SIDE = 16
# Values that are rescaled at a time.
BLOCK = 1_000_000

# The turn that makes a picture upright, by EXIF orientation.
_TURNS: dict[int, Callable[[Bytes], Bytes]] = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: p.swapaxes(0, 1)[:, ::-1],
    7: lambda p: p.swapaxes(0, 1)[::-1, ::-1],
    8: lambda p: p.swapaxes(0, 1)[::-1],
}


def read_picture(
    path: Path, max_size: int, colours: bool = False, max_pixels: int = MAX_PIXELS
) -> Picture:
    """Decode an image upright, its longest side reduced to `max_size` pixels at most.

    The content decides the format. Raises ImageError with the reason, without the file's name. An
    image of more than `max_pixels` is rejected before it is decoded.
    """
    with opened(path) as file, _quiet_pillow():
        if os.fstat(file.fileno()).st_size == 0:
            raise ImageError("empty file")
        try:
            return _decode(file, max_size, "RGB" if colours else "L", max_pixels)
        except ImageError:
            raise
        except UnidentifiedImageError:
            raise ImageError("not a readable JPEG, PNG, WebP, TIFF or BMP image") from None
        except Image.DecompressionBombError:
            raise _too_large(max_pixels) from None
        except Exception as error:  # Pillow's plugins raise nearly anything on malformed data
            raise ImageError(f"cannot be decoded: {first_line(error)}") from error


def reduce_pixels(pixels: Bytes, max_size: int) -> Picture:
    """Make a picture of pixels in memory: uint8 [h, w] grey or [h, w, 3] in OpenCV's BGR.

    Raises ImageError for any other shape or type, or if a side is too small.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)):
        raise ImageError("pixels must be uint8 of shape [h, w] or [h, w, 3]")
    grey: Bytes = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY) if pixels.ndim == 3 else pixels
    height, width = grey.shape
    _check_size(width, height)
    small = np.ascontiguousarray(_shrink(grey, max_size))
    return Picture(small, max(width, height) / max(small.shape), width, height)


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings and replace its limit, which phones' 200 megapixels exceed."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _decode(file: BufferedReader, max_size: int, mode: str, max_pixels: int) -> Picture:
    with Image.open(file, formats=FORMATS) as image:
        width, height = image.size
        # Putting it on white takes twice the memory of decoding anything else.
        _check_size(width, height, max_pixels // (2 if image.has_transparency_data else 1))
        # JPEG: libjpeg decodes at the smallest fraction of the size that is large enough, and luma
        # only if grey is wanted.
        drafted = image.draft(mode, _fit(width, height, max_size))
        pixels = _values(image, mode)
        # After decoding: Pillow turns TIFF itself, and updates its size and orientation.
        orientation = _orientation(image)
        if not drafted:
            width, height = image.size
    pixels = _TURNS[orientation](_shrink(pixels, max_size))
    if orientation >= 5:  # turned by a quarter
        width, height = height, width
    scale = max(width, height) / max(pixels.shape[:2])
    return Picture(np.ascontiguousarray(pixels), scale, width, height)


def _check_size(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    if width * height > max_pixels:
        raise _too_large(max_pixels)
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"too small: {width} x {height} pixels, a side of {MIN_SIDE} is needed")


def _too_large(max_pixels: int) -> ImageError:
    return ImageError(f"too large: more than {max_pixels // 10**6} megapixels")


def _fit(width: int, height: int, max_size: int) -> tuple[int, int]:
    """Return the size with the longest side reduced to `max_size` at most, fractions dropped."""
    longest = max(width, height)
    goal = min(longest, max_size)
    return max(1, width * goal // longest), max(1, height * goal // longest)


def _shrink(pixels: Bytes, max_size: int) -> Bytes:
    longest = max(pixels.shape[:2])
    if longest <= max_size:
        return pixels
    height, width = (max(1, round(side * max_size / longest)) for side in pixels.shape[:2])
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _values(image: Image.Image, mode: str) -> Bytes:
    if image.mode[0] in "IF":
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    # convert always copies, which costs a tenth of a JPEG's time.
    return np.asarray(image if image.mode == mode else image.convert(mode))


def _eight_bits(values: npt.NDArray[np.generic]) -> Bytes:
    """Rescale 16-bit integers by their type's range, and wider values by their own finite range."""
    # Some rows at a time: the steps between take forty bytes a pixel.
    step = max(1, BLOCK // values.shape[1])
    blocks = [values[row : row + step] for row in range(0, len(values), step)]
    ranges = [found for block in blocks if (found := _finite_range(block))]
    low = min((low for low, _ in ranges), default=0.0)
    high = max((high for _, high in ranges), default=0.0)
    if values.dtype.kind != "f" and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    return np.concatenate([_scaled(block, low, high) for block in blocks])


def _finite_range(values: npt.NDArray[np.generic]) -> tuple[float, float] | None:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else None


def _scaled(values: npt.NDArray[np.generic], low: float, high: float) -> Bytes:
    grey = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
    return np.rint((grey - low) * (255 / ((high - low) or 1.0))).astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    try:
        orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a photograph with broken EXIF is still a photograph
        return 1
    return orientation if orientation in _TURNS else 1
