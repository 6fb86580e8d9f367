"""Times training: how long does a vocabulary take, and how near are its words to the descriptors.

    python benchmarks/vocabulary.py PHOTOS [--words 65536] [--descriptors 1500000]

The features are found first and not timed. The quantisation error is the mean squared distance of
the training descriptors, RootSIFT of norm 256, to their words.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from machine import write_result

from bovw.build import sample
from bovw.images import find_images
from bovw.options import FeatureOptions, VocabularyOptions
from bovw.parallel import available_jobs
from bovw.records import Bytes
from bovw.vocab import Vocabulary
from bovw.vocab.train import quantisation_error


def main() -> None:
    arguments = parse()
    options = VocabularyOptions(words=arguments.words, max_descriptors=arguments.descriptors)
    descriptors = find_descriptors(arguments.folder, options, arguments.jobs)
    start = time.perf_counter()
    vocabulary = Vocabulary.train(descriptors, options, jobs=arguments.jobs)
    seconds = time.perf_counter() - start
    error = quantisation_error(descriptors, vocabulary.words, arguments.jobs)
    print(f"{len(vocabulary.words):,} words from {len(descriptors):,} descriptors in "
          f"{seconds:.1f} s with {arguments.jobs} processes; "
          f"quantisation error {error:.1f}")  # fmt: skip
    write_result(
        "vocabulary",
        {
            "words": len(vocabulary.words),
            "descriptors": len(descriptors),
            "seconds": seconds,
            "quantisation_error": error,
            "processes": arguments.jobs,
        },
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--words", type=int, default=65_536)
    parser.add_argument("--descriptors", type=int, default=1_500_000)
    parser.add_argument("--jobs", type=int, default=available_jobs(), help="processes")
    return parser.parse_args()


def find_descriptors(folder: Path, options: VocabularyOptions, jobs: int) -> Bytes:
    """Describe images in random order until there are enough descriptors: uint8 [n, 128]."""
    described = sample(find_images([folder]), FeatureOptions(), options, jobs)
    parts = [one.features.descriptors for _, one in sorted(described.items()) if one.features]
    return np.concatenate(parts)[: options.max_descriptors]


if __name__ == "__main__":
    main()
