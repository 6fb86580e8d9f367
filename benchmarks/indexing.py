"""Times indexing: how much longer does it take than reading the images and SIFT alone.

    python benchmarks/indexing.py PHOTOS [--vocab VOCAB] [--limit N] [--rounds 3]

Each round times, one after the other in alternating order, `bovw.build.build_index` (decode to
committed index, vocabulary given) and a bare loop of cv2.imread and SIFT over the same images, with
the same options and number of processes. The answer is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import joblib
import numpy as np
from machine import write_result

from bovw.build import build_index, build_vocabulary
from bovw.images import ImageFile, find_images
from bovw.options import FeatureOptions
from bovw.parallel import available_jobs
from bovw.vocab import Vocabulary

GOAL = 1.4
OPTIONS = FeatureOptions()


def main() -> None:
    arguments = parse()
    images = spread(find_images([arguments.folder]), arguments.limit)
    vocabulary = load_or_train(arguments.vocab, images, arguments.jobs)
    runs: dict[str, Callable[[list[ImageFile]], int]] = {
        "bare": lambda some: run_bare(some, arguments.jobs),
        "bovw": lambda some: run_bovw(some, vocabulary, arguments.jobs),
    }
    # Starts the processes, and compiles or loads the kernels.
    for run in runs.values():
        run(images[: 4 * arguments.jobs])
    features = 0
    rounds = []
    print(f"{'round':>5} {'bare s':>8} {'bovw s':>8} {'ratio':>6}")
    for number in range(arguments.rounds):
        seconds = {}
        for name in sorted(runs, reverse=number % 2 == 1):
            start = time.perf_counter()
            features = runs[name](images)
            seconds[name] = time.perf_counter() - start
        rounds.append({**seconds, "ratio": seconds["bovw"] / seconds["bare"]})
        print(f"{number + 1:>5} {seconds['bare']:>8.2f} {seconds['bovw']:>8.2f} "
              f"{rounds[-1]['ratio']:>6.3f}")  # fmt: skip
    ratio = median(r["ratio"] for r in rounds)
    print(f"median ratio {ratio:.3f} (goal: at most {GOAL}), {len(images)} images, "
          f"{features:,} features, {arguments.jobs} processes")  # fmt: skip
    write_result(
        "indexing",
        {
            "ratio": ratio,
            "goal": GOAL,
            "rounds": rounds,
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
    parser.add_argument("--limit", type=int, help="number of images, spread over all of them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=available_jobs(), help="processes")
    return parser.parse_args()


def spread(images: list[ImageFile], limit: int | None) -> list[ImageFile]:
    """Return `limit` images at even distances, so that every folder has its share."""
    count = min(limit or len(images), len(images))
    return [images[i] for i in np.linspace(0, len(images) - 1, count).astype(int)]


def load_or_train(folder: Path | None, images: list[ImageFile], jobs: int) -> Vocabulary:
    return Vocabulary.load(folder) if folder else build_vocabulary(images, OPTIONS, jobs=jobs)


def run_bovw(images: list[ImageFile], vocabulary: Vocabulary, jobs: int) -> int:
    """Index into a new folder; return the number of features."""
    with tempfile.TemporaryDirectory() as folder:
        return build_index(images, Path(folder) / "index", vocabulary, OPTIONS, jobs=jobs).features


def run_bare(images: list[ImageFile], jobs: int) -> int:
    """Find the features and forget them; return their number."""
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        counts = joblib.Parallel(n_jobs=jobs)(
            joblib.delayed(describe_bare)(str(image.path)) for image in images
        )
    return sum(counts)


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
