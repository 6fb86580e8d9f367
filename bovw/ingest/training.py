"""Joins the stages for a vocabulary: images are described until there is enough to train on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial

import numpy as np

from bovw.cluster.engines import Cluster
from bovw.compute.isolation import Casualty, guarded
from bovw.compute.parallel import Progress, sensible_jobs, silent
from bovw.errors import BovwError
from bovw.images.find import ImageFile
from bovw.index.catalog import ImageRow
from bovw.ingest.encode import Described, describe_file, lost
from bovw.ingest.worker import CHUNK, describe_images
from bovw.options import FeatureOptions, IngestOptions, VocabularyOptions
from bovw.vocab import Vocabulary

# Descriptors for each word of a vocabulary that is fitted to a collection.
FITTING = 16

OnSkip = Callable[[str, str], object]


def sample(
    images: Sequence[ImageFile],
    features: FeatureOptions,
    options: VocabularyOptions,
    jobs: int,
    progress: Progress = silent,
    limit: float = IngestOptions.limit,
    cluster: Cluster | None = None,
) -> dict[str, Described]:
    """Describe images in random order until there are `options.max_descriptors` features, by name.

    Skipped ones are among them, also those that took more than `limit` seconds.
    """
    order = np.random.default_rng(options.seed).permutation(len(images))
    shuffled = [images[i] for i in order]
    described: Generator[Described | Casualty[ImageFile], None, None]
    if cluster:
        described = _described_on(cluster, features, shuffled, limit)
    else:
        described = guarded(partial(describe_file, options=features), shuffled, jobs, limit)
    taken: dict[str, Described] = {}
    total = 0
    with closing(described), progress(described, len(images), "Reading images to train on") as each:
        for answer in each:
            one = lost(answer) if isinstance(answer, Casualty) else answer
            taken[one.row.name] = one
            total += len(one.features or ())
            if total >= options.max_descriptors:
                break
    return taken


def train_on(
    described: Iterable[Described],
    options: VocabularyOptions,
    fit: bool,
    jobs: int,
    cluster: Cluster | None = None,
) -> Vocabulary:
    """Train a vocabulary on images already described, in name order.

    fit  lower the number of words to the largest power of two with FITTING descriptors for each

    Raises BovwError where there is not one descriptor.
    """
    usable = sorted((d for d in described if d.features), key=lambda d: d.row.name)
    if not usable:
        raise BovwError("no image has features to train on: give a folder with other images")
    descriptors = np.concatenate([d.features.descriptors for d in usable if d.features])
    descriptors = descriptors[: options.max_descriptors]
    if fit:
        fitting = 1 << max(0, (len(descriptors) // FITTING).bit_length() - 1)
        options = VocabularyOptions(**{**asdict(options), "words": min(options.words, fitting)})
    digests = [int(d.row.sha256[:16], 16) for d in usable if d.row.sha256]
    known = np.array(digests, np.uint64)
    return Vocabulary.train(descriptors, options, known, jobs, cluster)


def training_bytes(options: VocabularyOptions) -> int:
    """Return about how much memory training takes.

    A descriptor has 128 bytes, twice while they are gathered, its place and word, and its share of
    a cell's working copy; a word has its centre, its sum and its place in a cell.
    """
    return 600 * options.max_descriptors + 3500 * options.words


def build_vocabulary(
    images: Sequence[ImageFile],
    features: FeatureOptions = FeatureOptions(),
    options: VocabularyOptions = VocabularyOptions(),
    jobs: int | None = None,
    progress: Progress = silent,
    on_skip: OnSkip | None = None,
    cluster: Cluster | None = None,
) -> Vocabulary:
    """Train a vocabulary on images as `find_images` lists them.

    on_skip  is told the name of each image that cannot be used, and the reason
    cluster  whose workers describe the images and train; None for `jobs` processes here
    """
    jobs = sensible_jobs(jobs)
    described = sample(images, features, options, jobs, progress, cluster=cluster)
    for one in described.values():
        report(one.row, on_skip)
    return train_on(described.values(), options, fit=False, jobs=jobs, cluster=cluster)


def report(row: ImageRow, on_skip: OnSkip | None) -> None:
    """Tell why an image was skipped, if it was."""
    if row.reason and on_skip:
        on_skip(row.name, row.reason)


def _described_on(
    cluster: Cluster, features: FeatureOptions, images: Sequence[ImageFile], limit: float
) -> Generator[Described, None, None]:
    here = [replace(image, path=image.path.absolute()) for image in images]
    chunks = [here[i : i + CHUNK] for i in range(0, len(here), CHUNK)]
    for described in cluster.map(partial(describe_images, features, limit), chunks):
        yield from described
