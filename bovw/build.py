"""Joins the stages for a collection: find, describe, train a vocabulary, index."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import cv2
import numpy as np

from bovw.errors import BovwError, FormatError, ImageError
from bovw.features import describe
from bovw.images import ImageFile, read_picture, sha256
from bovw.index import Index, check_replaceable
from bovw.index.catalog import ImageRow
from bovw.options import FeatureOptions, VocabularyOptions
from bovw.parallel import Progress, in_order, sensible_jobs, silent
from bovw.records import Features, Words
from bovw.vocab import Vocabulary
from bovw.vocab.store import damaged_files

# Descriptors for each word of a vocabulary that is fitted to a collection.
FITTING = 16
# Images described between looks at whether they are enough to train on.
SAMPLE_BATCH = 64

NO_DESCRIPTORS = np.empty((0, 128), np.uint8)

OnSkip = Callable[[str, str], object]


@dataclass(frozen=True)
class Described:
    """One image on its way into an index: its catalog row, and its features unless skipped."""

    row: ImageRow
    features: Features | None


def describe_file(image: ImageFile, options: FeatureOptions) -> Described:
    """Read and describe one file; a file that cannot be used becomes a skipped row."""
    cv2.setNumThreads(1)
    folder = str(image.path.absolute())[: -len(image.name)]
    size = mtime = digest = None
    width = height = 0
    try:
        digest = sha256(image.path)
        status = image.path.stat()
        size, mtime = status.st_size, status.st_mtime_ns
        picture = read_picture(image.path, options.max_size)
        width, height = picture.width, picture.height
        features = describe(picture, options)
        if not len(features):
            raise ImageError("no features: nothing in it stands out")
    except (ImageError, OSError) as error:
        row = ImageRow(
            image.name, folder, size, mtime, digest, width, height, 0, "skipped", str(error)
        )
        return Described(row, None)
    row = ImageRow(image.name, folder, size, mtime, digest, width, height, len(features), "ok")
    return Described(row, features)


def sample(
    images: Sequence[ImageFile],
    features: FeatureOptions,
    options: VocabularyOptions,
    jobs: int,
    progress: Progress = silent,
) -> dict[str, Described]:
    """Describe images in random order until there are `options.max_descriptors` features, by name.

    Skipped ones are among them.
    """
    order = np.random.default_rng(options.seed).permutation(len(images))
    taken: dict[str, Described] = {}

    def described() -> Iterator[Described]:
        total = 0
        for start in range(0, len(order), SAMPLE_BATCH):
            if total >= options.max_descriptors:
                return
            batch = [images[i] for i in order[start : start + SAMPLE_BATCH]]
            for one in in_order(partial(describe_file, options=features), batch, jobs):
                taken[one.row.name] = one
                total += len(one.features or ())
                yield one

    with progress(described(), len(images), "Reading images to train on") as results:
        for _ in results:
            pass
    return taken


def train_on(
    described: Iterable[Described], options: VocabularyOptions, fit: bool, jobs: int
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
    return Vocabulary.train(descriptors, options, np.array(digests, np.uint64), jobs)


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
) -> Vocabulary:
    """Train a vocabulary on images as `find_images` lists them.

    on_skip  is told the name of each image that cannot be used, and the reason
    """
    jobs = sensible_jobs(jobs)
    described = sample(images, features, options, jobs, progress)
    for one in described.values():
        _report(one, on_skip)
    return train_on(described.values(), options, fit=False, jobs=jobs)


def build_index(
    images: Sequence[ImageFile],
    folder: Path,
    vocabulary: Vocabulary | None = None,
    features: FeatureOptions = FeatureOptions(),
    options: VocabularyOptions = VocabularyOptions(),
    jobs: int | None = None,
    progress: Progress = silent,
    on_skip: OnSkip | None = None,
) -> Index:
    """Index images as `find_images` lists them; an index in `folder` is replaced at the end.

    vocabulary  None to train one of a fitting size on the same images, by `options`
    on_skip     is told the name of each image that cannot be used, and the reason

    Raises BovwError where not one image can be used.
    """
    check_replaceable(Path(folder))
    jobs = sensible_jobs(jobs)
    known: dict[str, Described] = {}
    if vocabulary is None:
        known = sample(images, features, options, jobs, progress)
        if not any(one.features for one in known.values()):
            for one in known.values():
                _report(one, on_skip)
        vocabulary = train_on(known.values(), options, fit=True, jobs=jobs)
    writer = Index.create(
        folder, len(vocabulary.words), vocabulary.bits, vocabulary.fingerprint, asdict(features)
    )
    _save_copy(vocabulary, writer.vocabulary_folder)
    items = (known.pop(image.name, image) for image in images)
    encode = partial(_encode, options=features, vocabulary=writer.vocabulary_folder)
    indexed = 0
    with progress(in_order(encode, items, jobs), len(images), "Indexing") as results:
        for one, words in results:
            _report(one, on_skip)
            if one.features and words:
                writer.add(one.row, one.features, words)
                indexed += 1
            else:
                writer.skip(one.row)
    if not indexed:
        writer.abandon()
        raise BovwError("not one of the images can be used: nothing was indexed")
    writer.commit()
    return Index.open(folder)


def _encode(
    item: ImageFile | Described, options: FeatureOptions, vocabulary: Path
) -> tuple[Described, Words | None]:
    """Describe an image unless that is done, and find one word a feature."""
    one = item if isinstance(item, Described) else describe_file(item, options)
    if not one.features:
        return one, None
    words = _loaded(vocabulary).assign(one.features)
    # Descriptors are large, and nobody asks for them from here on.
    return replace(one, features=replace(one.features, descriptors=NO_DESCRIPTORS)), words


@lru_cache(maxsize=1)
def _loaded(folder: Path) -> Vocabulary:
    """Load a vocabulary once a process."""
    return Vocabulary.load(folder)


def _save_copy(vocabulary: Vocabulary, folder: Path) -> None:
    """Save an index's copy of its vocabulary, unless it is there and whole."""
    try:
        if not damaged_files(folder):
            return
    except FormatError:
        shutil.rmtree(folder, ignore_errors=True)
    vocabulary.save(folder)


def _report(one: Described, on_skip: OnSkip | None) -> None:
    if one.row.reason and on_skip:
        on_skip(one.row.name, one.row.reason)
