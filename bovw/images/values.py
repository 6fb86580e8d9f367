"""Stage 1: the 8-bit values of an opened image, whatever its file holds."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from bovw.records import Bytes

# Least difference of grey values of a picture that can be seen on its background.
FAINT = 24
# Values that a range is estimated from.
SAMPLE = 2**20
# Values that are rescaled at a time.
BLOCK = 2**20
# How far a range reaches beyond the middle 98 % of the values, as a share of these.
MARGIN = 0.25
# 16-bit integers that use at least this range are taken as they are.
ENOUGH = 2**14
# Upper bytes of 16-bit colours that use less than that.
DARK = ENOUGH // 256
# How Pillow unpacks the upper byte of 16-bit colours, and how it would unpack the lower one.
_LOWER = {"RGB;16B": "RGB;16L", "RGB;16L": "RGB;16B", "RGB;16N": "RGB;16B"}  # N: little-endian


def values_of(image: Image.Image, mode: str) -> Bytes:
    """Return an image's values: uint8 [h, w] for mode "L", [h, w, 3] for "RGB".

    Transparent images are laid over white, or over black if white hides them. If both do, their
    colours count without their transparency.
    """
    if image.mode == "LAB":
        # Pillow keeps a and b with their sign, OpenCV from 0 to 255.
        lab = np.asarray(image) ^ np.array([0, 128, 128], np.uint8)
        image = Image.fromarray(np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8))
    if image.mode[0] in "IF":
        image = Image.fromarray(eight_bits(np.asarray(image)))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        for colour in ("white", "black"):
            laid = Image.alpha_composite(Image.new("RGBA", image.size, colour), layer)
            values = np.asarray(laid.convert(mode))
            if int(values.max()) - int(values.min()) >= FAINT:
                return values
        image = layer.convert("RGB")
    # convert always copies, which costs a tenth of a JPEG's time.
    return np.asarray(image if image.mode == mode else image.convert(mode))


def unpacks_upper(image: Image.Image) -> bool:
    """Tell whether an image that is not yet loaded has 16-bit colours, and drops the lower byte."""
    tiles = getattr(image, "tile", [])
    return bool(tiles) and all(_rawmode(tile[3]) in _LOWER for tile in tiles)


def unpack_lower(image: Image.Image) -> None:
    """Have an image for which `unpacks_upper` is true drop the upper byte instead."""
    tiles = getattr(image, "tile", [])
    for number, tile in enumerate(tiles):
        lower = _LOWER[_rawmode(tile[3])]
        args = lower if isinstance(tile[3], str) else (lower, *tile[3][1:])
        # A plain tuple before Pillow 11.
        tiles[number] = tile._replace(args=args) if hasattr(tile, "_replace") else (*tile[:3], args)


def _rawmode(args: Any) -> Any:
    return args if isinstance(args, str) else args[0] if args else None


def eight_bits(values: npt.NDArray[np.generic]) -> Bytes:
    """Rescale wider values to 8 bits; what is not finite becomes the least or the greatest.

    16-bit integers are scaled by the range of their type if they use a quarter of it. Others, such
    as those of 8 to 12 bits in 16-bit files, are scaled by the range of what is there, without
    outliers: hot pixels, and marks of missing data.
    """
    low, high = _range(values.ravel()[:: max(1, values.size // SAMPLE)])
    if values.dtype.kind != "f":
        # No more contrast than that of a file of 8 bits.
        high = max(high, low + 255)
        if low >= 0 and high <= 65535 and high - low >= ENOUGH:
            low, high = 0.0, 65535.0
    # Some rows at a time: the steps between take many bytes a pixel.
    step = max(1, BLOCK // values.shape[1])
    return np.concatenate(
        [_scaled(values[row : row + step], low, high) for row in range(0, len(values), step)]
    )


def _scaled(values: npt.NDArray[np.generic], low: float, high: float) -> Bytes:
    scaled = values.astype(np.float64)
    scaled -= low
    scaled *= 255 / ((high - low) or 1.0)
    np.nan_to_num(scaled, copy=False, nan=0, posinf=255, neginf=0)
    np.clip(scaled, 0, 255, out=scaled)
    return np.rint(scaled, out=scaled).astype(np.uint8)


def _range(values: npt.NDArray[np.generic]) -> tuple[float, float]:
    """Return the least and the greatest value, without outliers."""
    known = values[np.isfinite(values)].astype(np.float64)
    if not known.size:
        return 0.0, 0.0
    least, most = known.min(), known.max()
    # Missing data is marked by one value outside of the others.
    inner = known[(known > least) & (known < most)]
    if not inner.size:
        return float(least), float(most)
    low, high = np.percentile(inner, (1, 99))
    margin = MARGIN * (high - low)
    return float(max(least, low - margin)), float(min(most, high + margin))
