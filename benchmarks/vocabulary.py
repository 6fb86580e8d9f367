"""Times vocabulary training, and measures the quantisation error.

    python benchmarks/vocabulary.py PHOTOS [--words N] [--descriptors N] [--peers] [--name NAME]

The error is the mean squared distance of a sample of the training descriptors (RootSIFT of norm
256) to their exact nearest words. With --peers, two other programs cluster the same descriptors
into as many words:

faiss    faiss.Kmeans, exact, from random descriptors, with as many rounds of Lloyd's algorithm
sklearn  MiniBatchKMeans from random descriptors, one epoch, as many descriptors in a batch as words
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
from machine import write_result
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits

from bovw.compute.threads import available_jobs
from bovw.images.find import find_images
from bovw.ingest.run import Run
from bovw.ingest.training import sample
from bovw.options import FeatureOptions, VocabularyOptions
from bovw.records import Bytes, Floats
from bovw.vocab import Vocabulary

# Number of descriptors for measuring the error.
SAMPLE = 50_000


def main() -> None:
    arguments = parse()
    options = VocabularyOptions(words=arguments.words, max_descriptors=arguments.descriptors)
    descriptors = find_descriptors(arguments.folder, options, arguments.jobs)
    trainers: dict[str, Callable[[Bytes, VocabularyOptions, int], Floats]] = {"bovw": train_bovw}
    if arguments.peers:
        trainers |= {"faiss": train_faiss, "sklearn": train_sklearn}
    rng = np.random.default_rng(0)
    sample = descriptors[rng.choice(len(descriptors), SAMPLE)].astype(np.float32)
    results = {}
    print(f"{len(descriptors):,} descriptors, {arguments.jobs} processes or threads")
    for name, train in trainers.items():
        start = time.perf_counter()
        words = train(descriptors, options, arguments.jobs)
        seconds = time.perf_counter() - start
        error = float(np.float64(faiss.knn(sample, words, 1)[0]).mean())
        results[name] = {"words": len(words), "seconds": seconds, "quantisation_error": error}
        print(
            f"{name:<8} {len(words):>7,} words in {seconds:7.1f} s, error {error:.1f}", flush=True
        )
    write_result(
        arguments.name,
        {"descriptors": len(descriptors), "processes": arguments.jobs, "trained": results},
    )


def train_bovw(descriptors: Bytes, options: VocabularyOptions, jobs: int) -> Floats:
    return Vocabulary.train(descriptors, options, jobs=jobs).words


def train_faiss(descriptors: Bytes, options: VocabularyOptions, jobs: int) -> Floats:
    faiss.omp_set_num_threads(jobs)
    clustering = faiss.Kmeans(
        descriptors.shape[1],
        options.words,
        niter=options.rounds,
        seed=options.seed,
        min_points_per_centroid=1,
        max_points_per_centroid=len(descriptors),
    )
    clustering.train(descriptors.astype(np.float32))
    words: Floats = clustering.centroids
    return words


def train_sklearn(descriptors: Bytes, options: VocabularyOptions, jobs: int) -> Floats:
    model = MiniBatchKMeans(
        options.words,
        init="random",
        n_init=1,
        batch_size=options.words,
        max_iter=1,
        compute_labels=False,
        random_state=options.seed,
    )
    with threadpool_limits(jobs):
        words: Floats = model.fit(descriptors.astype(np.float32)).cluster_centers_
    return words


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--words", type=int, default=65_536)
    parser.add_argument("--descriptors", type=int, default=2_000_000)
    parser.add_argument("--jobs", type=int, default=available_jobs(), help="processes")
    parser.add_argument("--peers", action="store_true", help="takes a quarter of an hour")
    parser.add_argument("--name", default="vocabulary", help="of the file in benchmarks/results")
    return parser.parse_args()


def find_descriptors(folder: Path, options: VocabularyOptions, jobs: int) -> Bytes:
    """Describe images in random order until there are enough descriptors: uint8 [n, 128]."""
    described = sample(find_images([folder]), FeatureOptions(), options, run=Run(jobs=jobs))
    parts = [one.features.descriptors for _, one in sorted(described.items()) if one.features]
    return np.concatenate(parts)[: options.max_descriptors]


if __name__ == "__main__":
    main()
