"""The server's work, without HTTP: search and comparison on an index that may change."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bovw.compute.threads import available_jobs
from bovw.errors import BovwError, ImageError, QueryError
from bovw.index import Index
from bovw.options import FeatureOptions, SearchOptions, ServeOptions
from bovw.records import Box, Features, Hit
from bovw.search import Searcher
from bovw.web.cache import FileCache
from bovw.web.decoder import Decoder

# Longest sides of displayed pictures in pixels.
THUMBNAIL, PICTURE = 320, 1600
# Pictures and regions whose features are kept for further searches, half a megabyte each.
DESCRIBED = 64


_Key = tuple[Path, str, Box | None, FeatureOptions]


class UnknownError(BovwError):
    """There is no such image, or it is no longer kept."""


@dataclass(frozen=True)
class Source:
    """A query picture: one of the index, or an uploaded one, whose name is None."""

    id: str
    name: str | None
    path: Path


@dataclass(frozen=True)
class Answer:
    """A search's hits, with its query and the seconds that it took.

    missing  shards that did not answer in time
    """

    source: Source
    features: Features
    index: Index
    hits: list[Hit]
    missing: list[str]
    describe_seconds: float
    search_seconds: float


@dataclass(frozen=True)
class Pair:
    """A query picture and an indexed image.

    image     its number in the searcher's index
    features  in the region
    region    in pixels of the query picture; all of it unless a request names one
    """

    searcher: Searcher
    image: int
    features: Features
    region: Box


class Engine:
    """Answers requests from any number of threads."""

    def __init__(
        self,
        folder: Path,
        cache: Path,
        options: ServeOptions = ServeOptions(),
        asking: Callable[[Index], Searcher] = Searcher,
    ) -> None:
        """Open the index in `folder`, and keep pictures and thumbnails below `cache`.

        asking  makes the searcher of an index, local or remote

        Raises FormatError if the index cannot be opened.
        """
        self.options = options
        self.given = FileCache(cache / "pictures", options.cache_bytes)
        self._shown = FileCache(cache / "thumbnails", options.cache_bytes)
        self._decoder = Decoder(available_jobs(), options.limit)
        self._described: OrderedDict[_Key, tuple[Features, Box]] = OrderedDict()
        self._lock = threading.Lock()
        self._asking = asking
        self._searcher = asking(Index.open(folder))

    def start(self) -> None:
        """Load what the first search would wait for."""
        self._decoder.start()
        _ = self._searcher.vocabulary

    def close(self) -> None:
        """End the processes."""
        self._decoder.close()

    def searcher(self, options: SearchOptions = SearchOptions()) -> Searcher:
        """Return a searcher of the index as it is now."""
        with self._lock:
            if self._searcher.index.outdated():
                self._searcher = self._asking(Index.open(self._searcher.index.folder))
            current = self._searcher
        return current.with_options(options)

    @property
    def index(self) -> Index:
        """The index as it is now."""
        return self.searcher().index

    def indexed(self, id: str, index: Index) -> int:
        """Return an image's number in an index by its id; raises UnknownError."""
        return self.named(name_of(id), index)

    def named(self, name: str, index: Index) -> int:
        """Return an image's number in an index by its name; raises UnknownError."""
        image = index.names.find(name)
        if image is None:
            raise UnknownError("the index has no such image: it may have been removed")
        return image

    def source(self, query: str | None, image: str | None, name: str | None) -> Source:
        """Return the query picture by exactly one of three: an id of either kind, or a name.

        Raises QueryError for none or several, UnknownError for one that is not there.
        """
        if [query, image, name].count(None) != 2:
            raise QueryError("give one of query, image and name to search with")
        if query is not None:
            path = self.given.find(query)
            if path is None:
                raise UnknownError("this picture is no longer kept: give it again")
            return Source(query, None, path)
        index = self.index
        number = self.named(name if name is not None else name_of(image or ""), index)
        return Source(id_of(index.names[number]), index.names[number], index.path(number))

    def describe(self, source: Source, region: Box | None = None) -> tuple[Features, Box]:
        """Return the features of a picture or a region of it, and the region in its pixels.

        Raises ImageError with the picture's name, QueryError for a region outside of it.
        """
        try:
            options = self._searcher.feature_options
            key = (source.path, _stamp(source.path, source.name), region, options)
            with self._lock:
                if key in self._described:
                    self._described.move_to_end(key)
                    return self._described[key]
            described = self._decoder.describe(source.path, region, options)
        except (ImageError, OSError) as error:
            raise _unreadable(source.name, error) from error
        with self._lock:
            self._described[key] = described
            while len(self._described) > DESCRIBED:
                self._described.popitem(last=False)
        return described

    def search(
        self, source: Source, region: Box | None, topk: int, options: SearchOptions
    ) -> Answer:
        """Search with a picture, or a part of it in its pixels."""
        start = time.perf_counter()
        features, box = self.describe(source, region)
        described = time.perf_counter()
        searcher = self.searcher(options)
        hits, missing = searcher.find(features, box, topk)
        seconds = described - start, time.perf_counter() - described
        return Answer(source, features, searcher.index, hits, missing, *seconds)

    def pair(self, source: Source, region: Box | None, image: str, options: SearchOptions) -> Pair:
        """Describe a picture to compare with an indexed image, given by its id."""
        searcher = self.searcher(options)
        number = self.indexed(image, searcher.index)
        return Pair(searcher, number, *self.describe(source, region))

    def show(self, source: Source, side: int) -> tuple[bytes, int, int]:
        """Return a picture as an upright JPEG of at most `side` pixels, and its own two sides."""
        path, name = source.path, source.name
        try:
            stamp = f"{_stamp(path, name)} {side} "
            key = hashlib.sha256(stamp.encode() + os.fsencode(path)).hexdigest()
            kept = self._shown.find(key)
            content = kept.read_bytes() if kept else b""
            if len(content) <= _SIDES.size:
                jpeg, width, height = self._decoder.shrink(path, side)
                content = _SIDES.pack(width, height) + jpeg
                self._shown.put(key, content)
        except (ImageError, OSError) as error:
            raise _unreadable(name, error) from error
        width, height = _SIDES.unpack_from(content)
        return content[_SIDES.size :], width, height


# A shown picture's own width and height, in front of its JPEG.
_SIDES = struct.Struct("<II")


def id_of(name: str) -> str:
    """Return an image's id for URLs, made of its name's bytes."""
    return base64.urlsafe_b64encode(os.fsencode(name)).decode().rstrip("=")


def name_of(id: str) -> str:
    """Return the name behind an id of `id_of`; raises UnknownError for anything else."""
    try:
        name = os.fsdecode(base64.b64decode(id + "=" * (-len(id) % 4), b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise UnknownError("this is no id of an image") from error
    if id_of(name) != id:
        raise UnknownError("this is no id of an image")
    return name


def shown(name: str) -> str:
    """Return a name as text, with U+FFFD for bytes that are not UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def _stamp(path: Path, name: str | None) -> str:
    """Return a text that changes with a file; an uploaded file is named by its content."""
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}" if name else "given"


def _unreadable(name: str | None, error: Exception) -> ImageError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return ImageError(f"{shown(name) if name else 'the picture'}: {reason}")
