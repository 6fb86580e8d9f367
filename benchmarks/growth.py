"""Measures how cost grows with the size of the collection, up to a million images.

    python benchmarks/growth.py INDEX IMG [IMG...] --scratch DIR [--images 1000 10000 100000]

A collection starts with the index's own images. The rest are made from them: each copies the
features of a random image, with its scales, angles and repeated words. Its words are replaced by
others, drawn by how often the index has them, and its signatures by those of other features. So
lists are as long and as skewed as in a real collection of that size, but no made image matches a
query.

For each size, the script writes an index, opens it and searches it for every IMG, in separate
processes on one core. It measures seconds to write and commit (features given), to open, and to
answer (after SIFT); megabytes of memory that the process owns and that are mapped from files; and
bytes on disk. Each exponent is fitted to the sizes from 10,000 images on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from machine import write_result

from bovw.index import Index, IndexWriter
from bovw.index.rows import ImageRow
from bovw.index.segment import Segment, postings_of
from bovw.records import Features, Words
from bovw.vocab import Vocabulary

QUANTITIES = ("build", "open", "p50", "p95", "own_megabytes", "mapped_megabytes", "bytes")

# Runs in a new process: prints the measurements of opening and searching.
ASK = """
import json, os, sys, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from pathlib import Path
import numpy as np
from bovw.index import Index
from bovw.search import Searcher, describe_query
start = time.perf_counter()
index = Index.open(sys.argv[1])
opened = time.perf_counter() - start
searcher = Searcher(index)
searcher.vocabulary.assigner
asked = [describe_query(Path(image), options=searcher.feature_options) for image in sys.argv[2:]]
def seconds(described):
    start = time.perf_counter()
    searcher.search_features(*described, 20)
    return time.perf_counter() - start
# The first round loads the index into the system's file cache, as far as it fits.
times = [[seconds(one) for one in asked] for _ in range(3)][1:]
status = dict(line.split(":") for line in open("/proc/self/status").read().splitlines())
kilobytes = {name: int(status[name].split()[0]) for name in ("RssAnon", "RssFile")}
print(json.dumps({
    "open": opened,
    "p50": float(np.median(times)),
    "p95": float(np.percentile(times, 95)),
    "own_megabytes": kilobytes["RssAnon"] / 1000,
    "mapped_megabytes": kilobytes["RssFile"] / 1000,
}))
"""


def main() -> None:
    arguments = parse()
    index = Index.open(arguments.index)
    sizes = []
    print(f"{'images':>9} " + " ".join(f"{name:>16}" for name in QUANTITIES))
    for images in arguments.images:
        folder = arguments.scratch / str(images)
        seconds = build(index, folder, images)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        command = [sys.executable, "-c", ASK, str(folder), *map(str, arguments.queries)]
        asked = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        sizes.append({"images": images, "build": seconds, "bytes": size, **asked})
        print(
            f"{images:>9,} " + " ".join(f"{sizes[-1][n]:>16,.3f}" for n in QUANTITIES), flush=True
        )
        shutil.rmtree(folder)
    exponents = {name: exponent(sizes, name) for name in QUANTITIES}
    print(f"{'exponent':>9} " + " ".join(f"{exponents[n]:>16.2f}" for n in QUANTITIES))
    write_result(
        "growth",
        {
            "features_an_image": index.features / len(index),
            "bits": index.meta["bits"],
            "queries": len(arguments.queries),
            "sizes": sizes,
            "exponents": exponents,
        },
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("index", type=Path, metavar="INDEX")
    parser.add_argument("queries", type=Path, nargs="+", metavar="IMG")
    parser.add_argument("--scratch", type=Path, required=True, help="needs room for the largest")
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 10_000, 100_000])
    return parser.parse_args()


def build(index: Index, folder: Path, images: int) -> float:
    """Write an index of `images` images; return the seconds spent in its writer."""
    vocabulary = Vocabulary.load(index.vocabulary_folder)
    meta = index.meta
    seconds = 0.0
    with IndexWriter.create(
        folder, meta["words"], meta["bits"], meta["fingerprint"], meta["options"]
    ) as writer:
        vocabulary.save(writer.vocabulary_folder)
        for number, (features, words) in enumerate(drawn(index, images)):
            name = f"{number // 1000:04}/{number:07}.jpg"
            row = ImageRow(name, "/photographs/", features=len(features))
            start = time.perf_counter()
            writer.add(row, features, words)
            seconds += time.perf_counter() - start
        start = time.perf_counter()
        writer.commit()
        return seconds + time.perf_counter() - start


def drawn(index: Index, images: int) -> Iterator[tuple[Features, Words]]:
    """Yield the index's own images, then images made from them."""
    rng = np.random.default_rng(0)
    live = np.flatnonzero(index.statistics.live).astype(np.int32)
    own = [image_of(*one) for one in postings_of(index.segments, live)]
    yield from own[:images]
    counts = np.bincount(np.concatenate([words.ids[:, 0] for _, words in own]))
    shares = np.cumsum(counts / counts.sum())
    signatures = np.concatenate([words.signatures for _, words in own])
    for _ in range(images - len(own)):
        features, words = own[rng.integers(len(own))]
        _, group = np.unique(words.ids[:, 0], return_inverse=True)
        others = np.searchsorted(shares, rng.random(group.max() + 1)).astype(np.int32)
        ids = np.minimum(others, len(counts) - 1)[group]
        strange = signatures[rng.integers(len(signatures), size=len(group))]
        yield features, Words(ids[:, None], strange, words.angles)


def image_of(segment: Segment, image: int, postings: Any) -> tuple[Features, Words]:
    """Return an indexed image's features, without descriptors, and their words."""
    width, height = segment.sizes[image].tolist()
    keypoints = segment.keypoints(postings, image).astype(np.float32)
    none = np.empty((len(postings), 0), np.uint8)
    return Features(keypoints, none, width, height), segment.words(postings)


def exponent(sizes: list[dict[str, Any]], name: str) -> float:
    """Fit the power of the number of images by which a quantity grows."""
    large = [size for size in sizes if size["images"] >= 10_000] or sizes
    if len(large) < 2:
        return float("nan")
    images, values = (np.log([size[key] for size in large]) for key in ("images", name))
    return float(np.polyfit(images, values, 1)[0])


if __name__ == "__main__":
    main()
