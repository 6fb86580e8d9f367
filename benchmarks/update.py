"""Times updates of a large collection in which little has changed.

    python benchmarks/update.py INDEX PHOTOS [--images 5000] [--scratch DIR]

INDEX holds the images below PHOTOS. They are repeated under new names until there are enough. Then
ten photographs are added, touched, moved and removed. Each time is the median of three, with the
libraries already loaded.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from statistics import median

import numpy as np
from machine import write_result

from bovw.images.find import find_images
from bovw.index import Index, IndexWriter
from bovw.index.segment import postings_of
from bovw.ingest.build import build_index
from bovw.records import Features
from bovw.vocab import Vocabulary

FEW = 10


def main() -> None:
    arguments = parse()
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        photos, folder = Path(scratch) / "photos", Path(scratch) / "index"
        photos.mkdir()
        names = enlarge(Index.open(arguments.index), arguments.images, photos, folder)
        shutil.copytree(
            Index.open(arguments.index).vocabulary_folder,
            next(folder.glob("vocabulary-*")),
            dirs_exist_ok=True,
        )
        fresh = [image.path for image in find_images([arguments.photos])][:FEW]
        Vocabulary.load(next(folder.glob("vocabulary-*")))
        report(arguments.images, photos, folder, names, fresh)


def report(images: int, photos: Path, folder: Path, names: list[str], fresh: list[Path]) -> None:
    rounds = iter(range(1_000))

    def add() -> None:
        number = next(rounds)
        for place, path in enumerate(fresh):
            shutil.copy(path, photos / f"new-{number}-{place}.jpg")

    def touch() -> None:
        for name in names[:FEW]:
            os.utime(photos / name)

    def move() -> None:
        number = next(rounds)
        for place, path in enumerate(sorted(photos.glob("new-*"))[:FEW]):
            path.rename(photos / f"new-moved-{number}-{place}.jpg")

    def remove() -> None:
        for path in sorted(photos.glob("new-*"))[:FEW]:
            path.unlink()

    seconds = {}
    changes: dict[str, Callable[[], object]] = {
        "nothing": lambda: None,
        f"{FEW} added": add,
        f"{FEW} touched": touch,
        f"{FEW} moved": move,
        f"{FEW} removed": remove,
    }
    print(f"{images:,} images")
    for name, change in changes.items():
        taken = []
        for _ in range(3):
            change()
            start = time.perf_counter()
            build_index(find_images([photos]), folder)
            taken.append(time.perf_counter() - start)
        seconds[name] = median(taken)
        print(f"{name:<12} {seconds[name]:6.2f} s", flush=True)
    segments = len(Index.open(folder).segments)
    write_result("update", {"images": images, "segments": segments, "seconds": seconds})


def enlarge(index: Index, images: int, photos: Path, folder: Path) -> list[str]:
    """Make an index of `images` images and the files that it lists; return their names."""
    live = np.flatnonzero(index.statistics.live).astype(np.int32)
    rows = {row.name: row for row in index.images()}
    meta = index.meta
    names = []
    with IndexWriter.create(
        folder, meta["words"], meta["bits"], meta["fingerprint"], meta["options"]
    ) as writer:
        writer.vocabulary_folder.mkdir()
        known = list(zip(live.tolist(), postings_of(index.segments, live), strict=True))
        for number, (image, (segment, own, postings)) in enumerate(cycle(known)):
            if number == images:
                break
            row = rows[index.names[image]]
            name = f"{number:06}.jpg"
            content = name.encode()
            (photos / name).write_bytes(content)
            status = (photos / name).stat()
            names.append(name)
            keypoints = segment.keypoints(postings, own).astype(np.float32)
            features = Features(keypoints, np.empty((0, 128), np.uint8), row.width, row.height)
            writer.add(
                replace(
                    row,
                    name=name,
                    folder=f"{photos.absolute()}{os.sep}",
                    size=status.st_size,
                    mtime=status.st_mtime_ns,
                    sha256=hashlib.sha256(content).hexdigest(),
                ),
                features,
                segment.words(postings),
            )
        writer.commit()
    return names


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("index", type=Path, metavar="INDEX")
    parser.add_argument("photos", type=Path, metavar="PHOTOS")
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--scratch", type=Path, help="needs room for the index")
    return parser.parse_args()


if __name__ == "__main__":
    main()
