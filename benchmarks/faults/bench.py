"""What all parts share: photographs, a vocabulary, and searches of an index."""

from __future__ import annotations

import hashlib
import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from bovw.images.decode import read_picture
from bovw.images.find import find_images
from bovw.index import Index
from bovw.index.catalog import read_meta
from bovw.options import FeatureOptions
from bovw.records import Box, Features
from bovw.search.query import describe_query
from bovw.search.searcher import Searcher
from faults.commands import bovw

SMALL = ["--max-size", "400", "--max-features", "300"]
OPTIONS = FeatureOptions(max_size=400, max_features=300)
POOL, WORDS = 64, 1024

Rows = dict[str, str]


@dataclass
class Bench:
    """Photographs by SHA-256, a vocabulary trained on them, and a folder to work in."""

    photos: dict[str, Path]
    vocab: Path
    scratch: Path
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    described: dict[str, tuple[Features, Box]] = field(default_factory=dict)

    def folder(self, name: str) -> Path:
        """Make an empty folder."""
        path = self.scratch / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def copy(self, sha: str, path: Path) -> None:
        """Put a photograph at a path."""
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.photos[sha], path)

    def query(self, searcher: Searcher, sha: str) -> tuple[Features, Box]:
        """Return a photograph's features as a query; they are computed only once."""
        if sha not in self.described:
            options = searcher.feature_options
            self.described[sha] = describe_query(self.photos[sha], options=options)
        return self.described[sha]

    def not_found(self, index: Path, rows: Rows) -> list[str]:
        """Return the names that a search for their own picture does not find first, confirmed."""
        searcher = Searcher(Index.open(index))
        missing = []
        for name, sha in rows.items():
            hits = searcher.search_features(*self.query(searcher, sha), 1)
            if not hits or hits[0].name != name or not hits[0].confirmed:
                missing.append(name)
        return missing


def prepare(source: Path, scratch: Path) -> Bench:
    """Reduce the photographs of a folder, and train a vocabulary on them."""
    pool = scratch / "pool"
    shutil.rmtree(pool, ignore_errors=True)
    pool.mkdir(parents=True)
    found = find_images([source])
    step = max(1, len(found) // POOL)
    photos: dict[str, Path] = {}
    for image in found[::step][:POOL]:
        pixels = read_picture(image.path, OPTIONS.max_size).pixels
        path = pool / f"{len(photos):03}.jpg"
        path.write_bytes(bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 92])[1]))
        photos.setdefault(sha_of(path), path)
    vocab = scratch / "vocab"
    if not vocab.is_dir():
        command = ["build-vocab", pool, "--out", vocab, "--words", WORDS, "--jobs", 2, "-q"]
        bovw(*command, *SMALL).check_returncode()
    return Bench(photos, vocab, scratch)


def sha_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rows_of(index: Path) -> Rows:
    """Return the SHA-256 of every image of an index, by name."""
    if not read_meta(index):
        return {}
    return {row.name: row.sha256 or "" for row in Index.open(index).images() if row.status == "ok"}
