"""The images of a page. Each is embedded once, even if it is shown several times."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from bovw.errors import ImageError
from bovw.images import read_picture
from bovw.records import Box, Bytes

# Stands in for an image that cannot be read.
BLANK = Box(0, 0, 400, 300)


@dataclass(frozen=True)
class Thumbnail:
    """An image on the page.

    id     of its symbol
    frame  of the upright original, in pixels; everything on it is drawn in them
    size   longest side in pixels, at most
    gone   why it cannot be shown, empty if it can
    """

    id: str
    frame: Box
    size: int
    image: str
    gone: str = ""

    @property
    def symbol(self) -> str:
        """The SVG symbol with the image."""
        x, y, width, height = self.frame
        return (
            f'<symbol id="{self.id}" viewBox="{x:g} {y:g} {width:g} {height:g}" '
            f'preserveAspectRatio="none">{self.image}</symbol>'
        )


@dataclass
class Album:
    """Thumbnails by path, made on demand.

    quality  of the JPEGs, 0 to 100
    """

    quality: int = 80
    _thumbnails: dict[str, Thumbnail] = field(default_factory=dict)

    def thumbnail(self, path: str | Path, size: int) -> Thumbnail:
        """Return an image whose longest side is `size` pixels or more."""
        kept = self._thumbnails.get(str(path))
        if kept is None or kept.size < size:
            number = kept.id if kept else f"p{len(self._thumbnails)}"
            kept = self._thumbnails[str(path)] = _read(Path(path), number, size, self.quality)
        return kept

    @property
    def symbols(self) -> str:
        """All images, to be placed on the page once."""
        held = "\n".join(thumbnail.symbol for thumbnail in self._thumbnails.values())
        return f'<svg class="album" width="0" height="0" aria-hidden="true">\n{held}\n</svg>'


def _read(path: Path, number: str, size: int, quality: int) -> Thumbnail:
    try:
        picture = read_picture(path, size, colours=True)
    except ImageError as error:
        blank = f'<rect class="blank" width="{BLANK.x2:g}" height="{BLANK.y2:g}"/>'
        return Thumbnail(number, BLANK, size, blank, str(error))
    frame = Box(0, 0, picture.width, picture.height)
    data = b64encode(_jpeg(picture.pixels, quality)).decode()
    image = (
        f'<image width="{frame.x2:g}" height="{frame.y2:g}" preserveAspectRatio="none" '
        f'href="data:image/jpeg;base64,{data}"/>'
    )
    return Thumbnail(number, frame, size, image)


def _jpeg(pixels: Bytes, quality: int) -> bytes:
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), settings)
    return bytes(encoded)
