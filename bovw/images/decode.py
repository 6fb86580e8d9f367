"""Stage 1: decode images upright and grey, and reject unusable ones."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from bovw.errors import ImageError
from bovw.images.find import first_line, opened
from bovw.images.mending import LONGEST, mend
from bovw.images.pages import choose_page, silence_libtiff
from bovw.images.values import DARK, eight_bits, unpack_lower, unpacks_upper, values_of
from bovw.records import Bytes, Picture

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
MAX_PIXELS = 250_000_000
MIN_SIDE = 16

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

    The content decides the format. The largest page of a TIFF counts. Raises ImageError with the
    reason, without the file's name. An image of more than `max_pixels` is rejected before it is
    decoded.
    """
    with opened(path) as file:
        return decode_file(file, max_size, colours, max_pixels)


def decode_file(
    file: BinaryIO, max_size: int, colours: bool = False, max_pixels: int = MAX_PIXELS
) -> Picture:
    """Decode an open file as `read_picture` does."""
    decode = partial(_decode, mode="RGB" if colours else "L", max_size=max_size, most=max_pixels)
    with _quiet_pillow(), _refusing(max_pixels):
        if _size(file) == 0:
            raise ImageError("empty file")
        return _finish(_decode_or_mend(file, decode), max_size)


def reduce_image(image: Image.Image, max_size: int, max_pixels: int = MAX_PIXELS) -> Picture:
    """Make a picture of Pillow's image, upright by its EXIF; raises ImageError."""
    with _quiet_pillow(), _refusing(max_pixels):
        _check_size(*image.size, max_pixels)
        pixels = values_of(image, "L")
        return _finish(_Decoded(pixels, *image.size, _orientation(image), ""), max_size)


@contextmanager
def _refusing(max_pixels: int) -> Iterator[None]:
    """Turn whatever decoding raises into an ImageError."""
    try:
        yield
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError("not a readable JPEG, PNG, WebP, TIFF or BMP image") from None
    except Image.DecompressionBombError:
        raise _too_large(max_pixels) from None
    except Exception as error:  # Pillow's plugins raise nearly anything on malformed data
        raise ImageError(f"cannot be decoded: {first_line(error)}") from error


def _size(file: BinaryIO) -> int:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def reduce_pixels(pixels: Bytes, max_size: int) -> Picture:
    """Make a picture of pixels in memory: uint8 [h, w] grey, or [h, w, 3] red, green and blue.

    Raises ImageError for any other shape or type, or if a side is too small.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)):
        raise ImageError("pixels must be uint8 of shape [h, w] or [h, w, 3]")
    pixels = np.ascontiguousarray(pixels)  # OpenCV takes no reversed view
    grey: Bytes = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.ndim == 3 else pixels
    height, width = grey.shape
    _check_size(width, height)
    small = np.ascontiguousarray(_shrink(grey, max_size))
    return Picture(small, max(width, height) / max(small.shape), width, height)


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings and replace its limit, which phones' 200 megapixels exceed."""
    silence_libtiff()
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


class _Decoded(NamedTuple):
    """What a file holds: values as they are stored, and the size of the whole, not upright."""

    pixels: Bytes
    width: int
    height: int
    orientation: int
    remark: str


def _decode_or_mend(file: BinaryIO, decode: Callable[[BinaryIO], _Decoded]) -> _Decoded:
    """Decode a file, if need be without what is damaged beside the picture."""
    try:
        return decode(file)
    except ImageError:
        raise
    except Exception:
        if _size(file) > LONGEST:
            raise
        mended = mend(file.read())
        if not mended:
            raise
        with suppress(Exception):
            first, *others = [decode(BytesIO(version)) for version in mended.versions]
            if all(np.array_equal(first.pixels, other.pixels) for other in others):
                return first._replace(remark=mended.remark)
        raise


def _decode(file: BinaryIO, mode: str, max_size: int, most: int) -> _Decoded:
    with Image.open(file, formats=FORMATS) as image:
        page, remark = choose_page(image) if image.format == "TIFF" else (0, "")
        width, height = image.size
        # Putting it on white takes twice the memory of decoding anything else.
        _check_size(width, height, most // (2 if image.has_transparency_data else 1))
        # JPEG: libjpeg decodes at the smallest fraction of the size that is large enough, and luma
        # only if grey is wanted.
        drafted = image.draft(mode, _fit(width, height, max_size))
        deep = unpacks_upper(image)
        pixels = values_of(image, mode)
        # After decoding: Pillow turns TIFF itself, and updates its size and orientation.
        orientation = _orientation(image)
        if not drafted:
            width, height = image.size
    if deep and pixels.max() <= DARK:
        pixels = _deep_colours(file, page, mode)
    return _Decoded(pixels, width, height, orientation, remark)


def _deep_colours(file: BinaryIO, page: int, mode: str) -> Bytes:
    """Return the values of 16-bit colours so dark that their upper bytes hold little of them."""
    halves = []
    for unpack in (unpacks_upper, unpack_lower):
        file.seek(0)
        with Image.open(file, formats=FORMATS) as image:
            image.seek(page)
            unpack(image)
            halves.append(np.asarray(image).astype(np.uint16))
    return values_of(Image.fromarray(eight_bits(halves[0] * 256 + halves[1])), mode)


def _finish(decoded: _Decoded, max_size: int) -> Picture:
    """Reduce what was decoded, and turn it upright."""
    pixels, width, height, orientation, remark = decoded
    pixels = _TURNS[orientation](_shrink(pixels, max_size))
    if orientation >= 5:  # turned by a quarter
        width, height = height, width
    scale = max(width, height) / max(pixels.shape[:2])
    return Picture(np.ascontiguousarray(pixels), scale, width, height, remark)


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


def _orientation(image: Image.Image) -> int:
    try:
        orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a photograph with broken EXIF is still a photograph
        return 1
    return orientation if orientation in _TURNS else 1
