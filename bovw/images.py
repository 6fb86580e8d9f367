"""Stage 1: find the images, decode them upright and grey, and refuse what cannot be used."""

from __future__ import annotations

import hashlib
import os
import stat
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import BufferedReader
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from bovw.errors import BovwError, ImageError, QueryError, UsageError
from bovw.records import Box, Bytes

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
MAX_PIXELS = 250_000_000
MIN_SIDE = 16
OnError = Callable[[OSError], object]
OnOther = Callable[[str], object]

_TOO_LARGE = f"too large: more than {MAX_PIXELS // 10**6} megapixels"

# What makes a picture upright, by its EXIF orientation.
_TURNS: dict[int, Callable[[Bytes], Bytes]] = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.T,
    6: lambda p: p.T[:, ::-1],
    7: lambda p: p.T[::-1, ::-1],
    8: lambda p: p.T[::-1],
}


@dataclass(frozen=True)
class ImageFile:
    """An image on disk; `name` is its path below the folder given, with forward slashes."""

    name: str
    path: Path

    @property
    def folder(self) -> str:
        """The folder given, absolute, up to where the name begins."""
        return str(self.path.absolute())[: -len(self.name)]


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    pixels  uint8 [h, w], grey and upright
    scale   pixels of the upright original per pixel of `pixels`, 1 or more; pixel centres are at
            whole numbers, so that x in the original is (x + 0.5) * scale - 0.5
    width, height  of the upright original in pixels
    """

    pixels: Bytes
    scale: float
    width: int
    height: int


def find_images(
    folders: Sequence[Path],
    exclude: Sequence[str] = (),
    on_error: OnError | None = None,
    on_other: OnOther | None = None,
) -> list[ImageFile]:
    """Return the images at any depth below `folders`, sorted by name.

    Hidden files and folders are skipped, links are followed, and each real folder is visited once.
    A glob of `exclude` drops the files and folders whose name it matches, whole or from any folder
    down: "thumbs", "thumbs/*", "*.thumb.jpg". `on_error` is told of sub-folders that cannot be
    read, `on_other` the names of files whose suffix is not one of SUFFIXES. Raises UsageError for
    what is no folder and for two images of one name, BovwError for a folder without images.
    """
    found: dict[str, ImageFile] = {}
    origin: dict[str, Path] = {}
    for folder in folders:
        for image in _images_below(folder, exclude, on_error, on_other):
            if image.name in found:
                raise _same_name(origin[image.name], folder, image.name)
            found[image.name], origin[image.name] = image, folder
    return [found[name] for name in sorted(found)]


def read_picture(path: Path, max_size: int) -> Picture:
    """Decode an image upright and grey, its longest side reduced to `max_size` pixels at most.

    The format is told by the content. Raises ImageError with the reason, without the file's name.
    """
    with _opened(path) as file, _quiet_pillow():
        if os.fstat(file.fileno()).st_size == 0:
            raise ImageError("empty file")
        try:
            return _decode(file, max_size)
        except ImageError:
            raise
        except UnidentifiedImageError:
            raise ImageError("not a readable JPEG, PNG, WebP, TIFF or BMP image") from None
        except Image.DecompressionBombError:
            raise ImageError(_TOO_LARGE) from None
        except Exception as error:  # Pillow's plugins raise nearly anything on malformed data
            raise ImageError(f"cannot be decoded: {_first_line(error)}") from error


def reduce_pixels(pixels: Bytes, max_size: int) -> Picture:
    """Make a picture of pixels in memory: uint8 [h, w] grey or [h, w, 3] in OpenCV's BGR.

    Raises ImageError where their shape or type is another, or a side is too small.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)):
        raise ImageError("pixels must be uint8 of shape [h, w] or [h, w, 3]")
    grey: Bytes = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY) if pixels.ndim == 3 else pixels
    height, width = grey.shape
    _check_size(width, height)
    small = np.ascontiguousarray(_shrink(grey, max_size))
    return Picture(small, max(width, height) / max(small.shape), width, height)


def check_region(region: Box, width: int, height: int) -> Box:
    """Return `region` clipped to an image of width x height; QueryError if nothing is left."""
    x1, y1, x2, y2 = region
    clipped = Box(max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
    if _is_empty(region) or _is_empty(clipped):  # the first is for NaN, which clipping loses
        raise QueryError(
            f"the region {x1:g},{y1:g},{x2:g},{y2:g} holds nothing of the image: give left,top,"
            f"right,bottom in pixels within its {width} x {height}"
        )
    return clipped


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal; ImageError if it cannot be read."""
    with _opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_and_time(path: Path) -> tuple[int | None, int | None]:
    """Return a file's bytes and its time of change in nanoseconds; None where it has none."""
    try:
        status = path.stat()
    except OSError:
        return None, None
    return status.st_size, status.st_mtime_ns


def _images_below(
    folder: Path, exclude: Sequence[str], on_error: OnError | None, on_other: OnOther | None
) -> list[ImageFile]:
    _check_folder(folder)
    images = []
    for name in _names_below(folder, exclude, on_error):
        if name.lower().endswith(SUFFIXES):
            images.append(ImageFile(name, folder / name))
        elif on_other:
            on_other(name)
    if not images:
        but = ", apart from what is excluded" if exclude else ""
        raise BovwError(f"no image in {folder}{but}: give a folder with {' '.join(SUFFIXES)} files")
    return images


def _check_folder(folder: Path) -> None:
    try:
        mode = folder.stat().st_mode
    except OSError as error:
        reason = error.strerror
        raise UsageError(f"{folder} cannot be read ({reason}): give a folder of images") from error
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{folder} is a file: give its folder {folder.absolute().parent} instead")


def _names_below(folder: Path, exclude: Sequence[str], on_error: OnError | None) -> Iterator[str]:
    """Yield the files' names; linked folders come last, so that real paths give the names."""
    seen: set[str] = set()
    linked = deque([folder])
    while linked:
        for at, folders, files in os.walk(linked.popleft(), onerror=on_error):
            here, real = Path(at), os.path.realpath(at)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            prefix = "" if here == folder else here.relative_to(folder).as_posix() + "/"
            folders[:] = sorted(f for f in folders if _wanted(prefix + f, exclude))
            linked.extend(here / f for f in folders if (here / f).is_symlink())
            yield from (prefix + f for f in files if _wanted(prefix + f, exclude))


def _wanted(name: str, exclude: Sequence[str]) -> bool:
    """Tell whether a file or folder, whose parents are wanted, is neither hidden nor excluded."""
    parts = name.split("/")
    tails = ["/".join(parts[i:]) for i in range(len(parts))]
    return not parts[-1].startswith(".") and not any(
        fnmatchcase(tail, glob.rstrip("/")) for glob in exclude for tail in tails
    )


def _same_name(first: Path, second: Path, name: str) -> UsageError:
    parent = os.path.commonpath([first.absolute(), second.absolute()])
    return UsageError(
        f"{first} and {second} both hold {name}: give their common parent folder {parent} instead"
    )


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # before opening: a FIFO would wait for a writer
            raise ImageError("not a regular file")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise ImageError(f"cannot be read: {_first_line(error)}") from error


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


def _decode(file: BufferedReader, max_size: int) -> Picture:
    with Image.open(file, formats=FORMATS) as image:
        width, height = image.size
        _check_size(width, height)
        # JPEG: libjpeg decodes luma alone, at a fraction of the size that is no less than wanted.
        drafted = image.draft("L", _fit(width, height, max_size))
        pixels = _grey(image)
        # After decoding, because Pillow turns TIFF itself, its size and orientation included.
        orientation = _orientation(image)
        if not drafted:
            width, height = image.size
    pixels = _TURNS[orientation](_shrink(pixels, max_size))
    if orientation >= 5:  # turned by a quarter
        width, height = height, width
    scale = max(width, height) / max(pixels.shape)
    return Picture(np.ascontiguousarray(pixels), scale, width, height)


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(_TOO_LARGE)
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"too small: {width} x {height} pixels, a side of {MIN_SIDE} is needed")


def _fit(width: int, height: int, max_size: int) -> tuple[int, int]:
    """Return the size with the longest side reduced to `max_size` at most, fractions dropped."""
    longest = max(width, height)
    goal = min(longest, max_size)
    return max(1, width * goal // longest), max(1, height * goal // longest)


def _shrink(pixels: Bytes, max_size: int) -> Bytes:
    longest = max(pixels.shape)
    if longest <= max_size:
        return pixels
    height, width = (max(1, round(side * max_size / longest)) for side in pixels.shape)
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _grey(image: Image.Image) -> Bytes:
    if image.mode[0] in "IF":
        return _eight_bits(np.asarray(image))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    # A copy costs a JPEG a tenth of its time, and convert always makes one.
    return np.asarray(image if image.mode == "L" else image.convert("L"))


def _eight_bits(values: npt.NDArray[np.generic]) -> Bytes:
    """Rescale 16-bit integers by their type's range, anything wider by its own finite one."""
    grey = values.astype(np.float64)
    finite = grey[np.isfinite(grey)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    if values.dtype.kind != "f" and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    grey = np.nan_to_num(grey, nan=low, posinf=high, neginf=low)
    return np.rint((grey - low) * (255 / ((high - low) or 1.0))).astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    try:
        orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a photograph with broken EXIF is still a photograph
        return 1
    return orientation if orientation in _TURNS else 1


def _is_empty(box: Box) -> bool:
    return not (box.x1 < box.x2 and box.y1 < box.y2)


def _first_line(error: Exception) -> str:
    strerror = error.strerror if isinstance(error, OSError) else None
    return (strerror or str(error).strip() or type(error).__name__).splitlines()[0]
