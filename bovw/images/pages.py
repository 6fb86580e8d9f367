"""Stage 1: the pages of a TIFF."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from functools import cache

from PIL import Image

# Pages that are looked at.
MOST = 1000
# The tag that says what a page is for (TIFF 6.0, NewSubfileType), and its bits.
_PURPOSE, _REDUCED, _MASK = 254, 1, 4


def choose_page(image: Image.Image) -> tuple[int, str]:
    """Turn a TIFF to its largest page, the first of several.

    Returns the page's number, and a remark if others are left out that are no smaller copies.
    """
    best, most, full = 0, 0, 0
    for number in range(MOST):
        try:
            image.seek(number)
        except Exception:  # the end, or a page that Pillow does not understand
            break
        purpose = getattr(image, "tag_v2", {}).get(_PURPOSE, 0)
        purpose = purpose if isinstance(purpose, int) else 0
        if purpose & _MASK:
            continue
        full += not purpose & _REDUCED
        width, height = image.size
        if width * height > most:
            best, most = number, width * height
    image.seek(best)
    return best, f"the largest of its {full:,} pages is used" if full > 1 else ""


@cache
def silence_libtiff() -> None:
    """Keep libtiff from printing what it thinks of a file: Pillow raises errors anyway."""
    with suppress(AttributeError, OSError):  # where Pillow was built in another way
        from PIL import _imaging

        set_handler = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
        set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
        set_handler(None)
