"""Joins the stages for a vocabulary: describes images until there are enough to train on."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

import numpy as np

from bovw.compute.isolation import Failure, run_isolated
from bovw.compute.processes import Workers
from bovw.errors import BovwError
from bovw.images import ImageFile
from bovw.ingest.encode import Described, describe_file, skipped_row
from bovw.ingest.run import Run
from bovw.ingest.worker import CHUNK, describe_images
from bovw.options import FeatureOptions, VocabularyOptions
from bovw.vocab import Vocabulary

# Descriptors for each word of a vocabulary that is fitted to a collection.
FITTING = 16


def sample(
    images: Sequence[ImageFile], features: FeatureOptions, options: VocabularyOptions, run: Run
) -> dict[str, Described]:
    """Describe images in random order until there are `options.max_descriptors` features, by name.

    Skipped images are included, also those that took too long.
    """
    order = np.random.default_rng(options.seed).permutation(len(images))
    shuffled = [images[i] for i in order]
    limit = run.options.limit
    described: Generator[Described | Failure[ImageFile], None, None]
    if run.workers:
        described = _described_by(run.workers, features, shuffled, limit)
    else:
        describe = partial(describe_file, options=features)
        described = run_isolated(describe, shuffled, run.processes, limit)
    taken: dict[str, Described] = {}
    total = 0
    label = "Reading images to train on"
    with closing(described), run.progress(described, len(images), label) as each:
        for answer in each:
            one = skipped_row(answer) if isinstance(answer, Failure) else answer
            taken[one.row.name] = one
            total += len(one.features or ())
            if total >= options.max_descriptors:
                break
    return taken


def train_on(
    described: Iterable[Described], options: VocabularyOptions, fit: bool, run: Run
) -> Vocabulary:
    """Train a vocabulary on images already described, in name order.

    fit  lower the number of words to the largest power of two with FITTING descriptors for each

    Raises BovwError if there are no descriptors.
    """
    usable = sorted((d for d in described if d.features), key=lambda d: d.row.name)
    features = [d.features for d in usable if d.features]
    if not features:
        raise BovwError("no image has features to train on: give a folder with other images")
    descriptors = np.concatenate([one.descriptors for one in features])
    descriptors = descriptors[: options.max_descriptors]
    if fit:
        options = replace(options, words=min(options.words, fitting_words(len(descriptors))))
    digests = [int(d.row.sha256[:16], 16) for d in usable if d.row.sha256]
    known = np.array(digests, np.uint64)
    kind = features[0].kind
    return Vocabulary.train(descriptors, options, known, run.processes, run.workers, kind)


def fitting_words(descriptors: int) -> int:
    """Return the largest power of two with FITTING descriptors for each word, and at least 1."""
    return 1 << max(0, (descriptors // FITTING).bit_length() - 1)


def training_bytes(options: VocabularyOptions) -> int:
    """Return about how much memory training takes.

    A descriptor takes 128 bytes, twice while gathered, its place and word, and its share of a
    cell's working copy. A word takes its centre, its sum and its place in a cell.
    """
    return 600 * options.max_descriptors + 3500 * options.words


def build_vocabulary(
    images: Sequence[ImageFile],
    features: FeatureOptions = FeatureOptions(),
    options: VocabularyOptions = VocabularyOptions(),
    run: Run = Run(),
) -> Vocabulary:
    """Train a vocabulary on images as `find_images` lists them.

    Raises BovwError if none of them has features.
    """
    described = sample(images, features, options, run)
    for one in described.values():
        run.report(one.row)
    return train_on(described.values(), options, fit=False, run=run)


def _described_by(
    workers: Workers, features: FeatureOptions, images: Sequence[ImageFile], limit: float
) -> Generator[Described, None, None]:
    here = [replace(image, path=image.path.absolute()) for image in images]
    chunks = [here[i : i + CHUNK] for i in range(0, len(here), CHUNK)]
    for described in workers.map(partial(describe_images, features, limit), chunks):
        yield from described
