"""Stage 1: the kinds of pictures that a library's user may give."""

from __future__ import annotations

from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from bovw.errors import UsageError
from bovw.images.decode import decode_file, read_picture, reduce_image, reduce_pixels
from bovw.records import Bytes, Picture

# A path; a file's content, as bytes or as an open binary file; a PIL image; pixels uint8 [h, w]
# grey or [h, w, 3] red, green and blue.
ImageSource = str | PathLike[str] | bytes | IO[bytes] | Image.Image | Bytes


def picture_of(source: ImageSource, max_size: int, max_pixels: int) -> Picture:
    """Return a picture, its longest side reduced to `max_size` pixels at most.

    Raises ImageError if it cannot be used, UsageError for what is no ImageSource.
    """
    if isinstance(source, str | PathLike):
        return read_picture(Path(source), max_size, max_pixels=max_pixels)
    if isinstance(source, np.ndarray):
        return reduce_pixels(source, max_size)
    if isinstance(source, Image.Image):
        return reduce_image(source, max_size, max_pixels)
    content = source.read() if hasattr(source, "read") else source
    if not isinstance(content, bytes | bytearray | memoryview):
        raise UsageError(
            f"a picture is a path, bytes, a binary file, a PIL image or a NumPy array, and not "
            f"{type(source).__name__}"
        )
    return decode_file(BytesIO(content), max_size, max_pixels=max_pixels)
