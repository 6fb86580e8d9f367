"""Stage 1: files whose picture is whole, though something beside it is damaged."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from typing import NamedTuple

PNG, JPEG, END = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\xff\xd9"
# Longest file that is mended, in bytes: it is read as a whole.
LONGEST = 2**29
# The chunks of a PNG that its picture needs, and those that change it.
_CRITICAL, _USEFUL = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}, {b"tRNS", b"eXIf"}
# What a decoder that still expects data would take for it, with all marks that it may look for.
_NOISE = b"".join(
    random.Random(mark).randbytes(40).replace(b"\xff", b"\xfe") + bytes([0xFF, 0xD0 + mark])
    for mark in range(8)
)


class Mended(NamedTuple):
    """What a file may have been: its picture is whole if all versions decode to the same one."""

    versions: tuple[bytes, ...]
    remark: str


def mend(data: bytes) -> Mended | None:
    """Return a file that cannot be decoded as it may have been; None if it is damaged otherwise.

    A JPEG whose picture is cut short is told from one that only lacks its end by what follows: a
    decoder that still expects data takes noise for it, and shows another picture.
    """
    if data.startswith(PNG):
        kept = PNG + b"".join(_needed_chunks(data))
        if kept == data:
            return None
        return Mended((kept,), "text or a profile in it is damaged or too large, and left out")
    if data.startswith(JPEG) and not data.endswith(END):
        data = data.removesuffix(b"\xff")
        return Mended((data + END, data + _NOISE + END), "its end is missing, the picture is whole")
    return None


def _needed_chunks(data: bytes) -> Iterator[bytes]:
    start = len(PNG)
    while start + 12 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4])
        kind, chunk = data[start + 4 : start + 8], data[start:end]
        whole = zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:])
        if kind in _CRITICAL or (kind in _USEFUL and whole):
            yield chunk
        start = end
