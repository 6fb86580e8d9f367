"""Headers of giant and empty pictures, with almost no data after them."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

Made = Iterator[tuple[str, bytes]]


def declared(contents: list[tuple[str, bytes]], source: Path, rng: random.Random) -> Made:
    """Yield headers of giant and empty pictures, with almost no data after them."""
    sides = (0, 1, 65_535, 100_000, 2**31 - 1, 2**32 - 1)
    sizes = [(w, 480) for w in sides] + [(s, s) for s in sides] + [(15_000, 15_000)]
    for number, (width, height) in enumerate(sizes):
        for bits in (8, 16):
            yield f"declared_{bits}_{number}.png", png_header(width, height, bits)
        yield f"declared_{number}.tif", tiff_header(width, height)
        yield f"declared_{number}.bmp", bmp_header(width, height)
        yield f"declared_{number}.webp", webp_header(width, height)
        jpeg = bytearray(next(content for suffix, content in contents if suffix == ".jpg"))
        frame = jpeg.index(b"\xff\xc0")
        jpeg[frame + 5 : frame + 9] = struct.pack(">HH", height % 65_536, width % 65_536)
        yield f"declared_{number}.jpg", bytes(jpeg)


def png_header(width: int, height: int, bits: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(100_000))
    parts = chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff_header(width: int, height: int) -> bytes:
    values = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 200, 277: 1, 278: height,
              279: 1000}  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, v) for tag, v in values.items())
    head = b"II*\0" + struct.pack("<IH", 8, len(values)) + entries + bytes(4)
    return head.ljust(200, b"\0") + bytes(1000)


def bmp_header(width: int, height: int) -> bytes:
    sides = struct.pack("<II", width, height)
    information = struct.pack("<I", 40) + sides + struct.pack("<HHIIiiII", 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 1054, 0, 0, 54) + information + bytes(1000)


def webp_header(width: int, height: int) -> bytes:
    sides = struct.pack("<I", (width - 1) % 2**24)[:3] + struct.pack("<I", (height - 1) % 2**24)[:3]
    body = b"WEBPVP8X" + struct.pack("<II", 10, 0) + sides + b"VP8 " + struct.pack("<I", 1000)
    return b"RIFF" + struct.pack("<I", len(body) + 1000) + body + bytes(1000)
