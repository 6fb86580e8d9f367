"""Damaged files, and files that never were valid pictures."""

from __future__ import annotations

import io
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faults.bench import Bench
from faults.headers import Made, declared

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
OTHER_SUFFIXES = {".txt": 3, ".gif": 2, ".heic": 1, ".jpg~": 1}
ORIENTATION = 0x0112


def bad_files(bench: Bench, folder: Path, wanted: int) -> None:
    """Write photographs damaged in many ways, and files that never were valid pictures."""
    rng = random.Random(1)
    sources = [bench.photos[sha] for sha in sorted(bench.photos)[:3]]
    contents = [one for path in sources[:2] for one in encodings(path)]
    written = 0
    for group in (declared, odd_pictures, wrong_suffixes, nothing_in_them):
        for name, content in group(contents, sources[0], rng):
            (folder / name).write_bytes(content)
            written += 1
    odd_places(folder, sources[2])
    while written < wanted:
        for suffix, content in contents:
            for how in (cut, flip, flip_header, scramble, splice):
                (folder / f"{how.__name__}_{written:04}{suffix}").write_bytes(how(content, rng))
                written += 1


def encodings(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield a picture in every format, with its suffix."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB").resize((320, 240))
    for suffix, options in (
        (".jpg", {"format": "JPEG", "quality": 90}),
        (".jpeg", {"format": "JPEG", "progressive": True}),
        (".png", {"format": "PNG"}),
        (".webp", {"format": "WEBP", "quality": 80}),
        (".WEBP", {"format": "WEBP", "lossless": True}),
        (".tif", {"format": "TIFF"}),
        (".tiff", {"format": "TIFF", "compression": "tiff_lzw"}),
        (".TIF", {"format": "TIFF", "compression": "jpeg"}),
        (".bmp", {"format": "BMP"}),
    ):
        yield suffix, saved(picture, **options)


def saved(picture: Image.Image, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, **options)
    return out.getvalue()


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(1, len(content))]


def flip(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 3, 30))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def flip_header(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 2, 4))):
        data[rng.randrange(4, min(200, len(data)))] = rng.randrange(256)
    return bytes(data)


def scramble(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content))
    return content[:start] + rng.randbytes(len(content) - start)


def splice(content: bytes, rng: random.Random) -> bytes:
    """Remove a piece, or repeat it."""
    start, length = rng.randrange(len(content)), rng.randrange(1, 2000)
    piece = content[start : start + length]
    return content[:start] + (2 * piece if rng.random() < 0.5 else b"") + content[start + length :]


def odd_pictures(contents: list[tuple[str, bytes]], source: Path, rng: random.Random) -> Made:
    """Yield pictures that are unusual but valid, or of unusual sizes."""
    with Image.open(source) as opened:
        picture = opened.convert("RGB").resize((320, 240))
    turned = [picture.rotate(angle) for angle in (0, 10, 20)]
    film = {"save_all": True, "append_images": turned[1:], "duration": 100}
    yield "animated.webp", saved(turned[0], format="WEBP", **film)
    yield "animated.png", saved(turned[0], format="PNG", **film)
    yield "pages.tif", saved(turned[0], format="TIFF", save_all=True, append_images=turned[1:])
    yield "cmyk.jpg", saved(picture.convert("CMYK"), format="JPEG")
    yield "cmyk.tif", saved(picture.convert("CMYK"), format="TIFF")
    grey = np.asarray(picture.convert("L"))
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    yield "deep.png", saved(deep, format="PNG")
    yield "deep.tif", saved(deep, format="TIFF")
    yield "deep_blank_8000.png", saved(Image.new("I;16", (8000, 8000)), format="PNG")
    yield "float.tif", saved(Image.fromarray(grey.astype(np.float32)), format="TIFF")
    yield "nan.tif", saved(Image.fromarray(np.full((99, 99), np.nan, np.float32)), format="TIFF")
    yield "one_bit.png", saved(picture.convert("1"), format="PNG")
    yield "one_bit.tif", saved(picture.convert("1"), format="TIFF", compression="group4")
    yield "grey_alpha.png", saved(picture.convert("LA"), format="PNG")
    palette = picture.quantize(16)
    yield "palette.png", saved(palette, format="PNG", transparency=3)
    yield "palettes.png", saved(palette, format="PNG", transparency=bytes(range(16)))
    yield "palette.bmp", saved(palette, format="BMP")
    for width, height in ((1, 1), (20_000, 2), (2, 20_000), (20_000, 20), (16, 16), (15, 400)):
        shape = Image.new("RGB", (width, height), "red")
        for suffix, kind in ((".png", "PNG"), (".bmp", "BMP"), (".tiff", "TIFF")):
            yield f"shape_{width}_{height}{suffix}", saved(shape, format=kind)
        if max(width, height) < 16_384:
            yield f"shape_{width}_{height}.webp", saved(shape, format="WEBP")
    for orientation in range(11):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        yield f"turned_{orientation}.jpg", saved(picture, format="JPEG", exif=exif)
        yield f"turned_{orientation}.png", saved(picture, format="PNG", exif=exif)
        yield f"turned_{orientation}.webp", saved(picture, format="WEBP", exif=exif)
        yield f"turned_{orientation}.tif", saved(picture, format="TIFF", exif=exif)
    yield "exif_broken.jpg", saved(picture, format="JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    yield "rubbish_behind.jpg", saved(picture, format="JPEG") + rng.randbytes(5000)


def wrong_suffixes(contents: list[tuple[str, bytes]], source: Path, rng: random.Random) -> Made:
    for suffix, content in contents[:9]:
        for other in SUFFIXES:
            yield f"was_{suffix[1:]}_{len(content)}{other}", content
    for number, (kind, count) in enumerate(OTHER_SUFFIXES.items()):
        for copy in range(count):
            yield f"other_{number}_{copy}{kind}", contents[0][1]
    yield ".hidden.jpg", contents[0][1]


def nothing_in_them(contents: list[tuple[str, bytes]], source: Path, rng: random.Random) -> Made:
    for suffix in SUFFIXES:
        magic = next((c for s, c in contents if s.lower() == suffix), contents[0][1])[:16]
        yield f"empty{suffix}", b""
        yield f"zeros{suffix}", bytes(5000)
        yield f"one_byte{suffix}", b"\xff"
        yield f"text{suffix}", b"Not a picture at all.\n" * 20
        for number in range(3):
            yield f"random_{number}{suffix}", rng.randbytes(rng.randrange(1, 20_000))
            yield f"begins_right_{number}{suffix}", magic + rng.randbytes(5000)


NAMES = (
    b"new\nline.jpg", b"return\r.jpg", b"tab\there.jpg", b"latin \xe9\xff.jpg", b"quote'\".jpg",
    b"-dash.jpg", b"--index.jpg", b"$(touch x).jpg", b"%s %n.jpg", b"*[glob]?.jpg", b" space .jpg",
    b"back\\slash.jpg", "\U0001f600\u200f\u0301.jpg".encode(), "line\u2028separator.jpg".encode(),
    b"esc\x1b[31m.jpg", b"e" * 251 + b".jpg", "\u00e9".encode() * 125 + b".jpg", b"CAPITAL.JPG",
    b"two..dots...jpg", b"del\x7f.jpg",
)  # fmt: skip


def odd_places(folder: Path, source: Path) -> None:
    """Write files with odd names, and things that look like files but are not."""
    for name in NAMES:
        shutil.copyfile(source, os.fsencode(folder) + b"/" + name)
    os.mkfifo(folder / "fifo.jpg")
    (folder / "broken_link.jpg").symlink_to("nowhere.jpg")
    (folder / "link_to_itself.jpg").symlink_to("link_to_itself.jpg")
    (folder / "one.jpg").symlink_to("other.jpg")
    (folder / "other.jpg").symlink_to("one.jpg")
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "link.jpg").symlink_to(source)
    inside = folder / "directory.jpg"
    inside.mkdir()
    shutil.copyfile(source, inside / "inside.jpg")
    (inside / "up").symlink_to("..")
    (folder / "empty_directory.png").mkdir()
    deep = folder.joinpath(*["d" * 200] * 15)
    deep.mkdir(parents=True)
    shutil.copyfile(source, deep / "deep.jpg")
    if os.geteuid():
        shutil.copyfile(source, folder / "no_permission.jpg")
        (folder / "no_permission.jpg").chmod(0)
