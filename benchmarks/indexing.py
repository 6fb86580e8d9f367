"""Times indexing: images a second, as a share of the speed of decoding and SIFT alone.

    python benchmarks/indexing.py PHOTOS [--vocab VOCAB] [--limit N] [--rounds 3]

Each round times three runs over the same images, with the same options and number of processes. The
order changes from round to round:

bovw  `bovw.ingest.build.build_index`: from image files to a committed index, vocabulary given
bare  a plain loop of cv2.imread and SIFT
kept  the same loop in processes that keep freed memory, as bovw's do

The results are medians over the rounds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from machine import write_result

from bovw.compute.memory import keep_freed_memory
from bovw.compute.threads import available_jobs
from bovw.images.find import ImageFile, find_images
from bovw.ingest.build import build_index
from bovw.ingest.run import Recipe, Run
from bovw.ingest.training import build_vocabulary
from bovw.options import FeatureOptions
from bovw.vocab import Vocabulary

GOAL = 0.85
OPTIONS = FeatureOptions()


def main() -> None:
    arguments = parse()
    images = spread(find_images([arguments.folder]), arguments.limit)
    vocabulary = load_or_train(arguments.vocab, images, arguments.jobs)
    # Separate processes: the memory settings of joblib's processes must not help these.
    spawn = get_context("spawn")
    bare = ProcessPoolExecutor(arguments.jobs, spawn)
    kept = ProcessPoolExecutor(arguments.jobs, spawn, initializer=keep_freed_memory)
    runs: dict[str, Callable[[list[ImageFile]], int]] = {
        "bare": partial(run_bare, bare),
        "kept": partial(run_bare, kept),
        "bovw": partial(run_bovw, vocabulary, arguments.jobs),
    }
    # Starts the processes, and compiles or loads the kernels; not timed.
    for run in runs.values():
        run(images[: 4 * arguments.jobs])
    rounds = []
    print("seconds " + "".join(f"{name:>8}" for name in runs))
    for number in range(arguments.rounds):
        seconds = {}
        for name in turned(list(runs), number):
            start = time.perf_counter()
            features = runs[name](images)
            seconds[name] = time.perf_counter() - start
        rounds.append(seconds)
        print(f"round {number + 1:>2}" + "".join(f"{seconds[name]:>8.2f}" for name in runs))
    shares = {n: median(r[n] / r["bovw"] for r in rounds) for n in ("bare", "kept")}
    print(f"of bare decode and SIFT: {shares['bare']:.3f} (goal: at least {GOAL}), "
          f"with its freed memory kept: {shares['kept']:.3f}; {len(images)} images, "
          f"{features:,} features, {arguments.jobs} processes")  # fmt: skip
    write_result(
        "indexing",
        {
            "share_of_bare": shares["bare"],
            "share_of_bare_with_memory_kept": shares["kept"],
            "goal": GOAL,
            "seconds": rounds,
            "images": len(images),
            "features": features,
            "words": len(vocabulary.words),
            "processes": arguments.jobs,
        },
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--vocab", type=Path, help="default: trained on the images, not timed")
    parser.add_argument("--limit", type=int, help="number of images, evenly spread over all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=available_jobs(), help="processes")
    return parser.parse_args()


def spread(images: list[ImageFile], limit: int | None) -> list[ImageFile]:
    """Return `limit` images, evenly spaced, so that every folder has its share."""
    count = min(limit or len(images), len(images))
    return [images[i] for i in np.linspace(0, len(images) - 1, count).astype(int)]


def load_or_train(folder: Path | None, images: list[ImageFile], jobs: int) -> Vocabulary:
    return (
        Vocabulary.load(folder) if folder else build_vocabulary(images, OPTIONS, run=Run(jobs=jobs))
    )


def turned(names: list[str], by: int) -> list[str]:
    """Return the names, starting with another one each round."""
    first = by % len(names)
    return names[first:] + names[:first]


def run_bovw(vocabulary: Vocabulary, jobs: int, images: list[ImageFile]) -> int:
    """Index into a new folder; return the number of features."""
    with tempfile.TemporaryDirectory() as folder:
        return build_index(
            images, Path(folder) / "index", Recipe(vocabulary, features=OPTIONS), Run(jobs=jobs)
        ).features


def run_bare(processes: ProcessPoolExecutor, images: list[ImageFile]) -> int:
    """Compute the features and drop them; return their number."""
    return sum(processes.map(describe_bare, [str(image.path) for image in images]))


def describe_bare(path: str) -> int:
    cv2.setNumThreads(1)
    pixels = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    factor = OPTIONS.max_size / max(pixels.shape)
    if factor < 1:
        pixels = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    sift = cv2.SIFT_create(nfeatures=OPTIONS.max_features, contrastThreshold=OPTIONS.contrast)
    points, _ = sift.detectAndCompute(pixels, None)
    return len(points)


if __name__ == "__main__":
    main()
