"""Runs on a cluster worker: turns a batch of images into one segment."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import current_process
from pathlib import Path

from bovw import __version__
from bovw.compute.isolation import Failure, IsolatedPool
from bovw.errors import BovwError
from bovw.images import ImageFile
from bovw.index import ImageRow, SegmentBuilder, StoredSegment
from bovw.ingest.encode import Described, describe_file, encode, skipped_row
from bovw.options import FeatureOptions
from bovw.records import Words

# Most images in a segment that a worker writes.
CHUNK = 50


@dataclass(frozen=True)
class SegmentResult:
    """Images that were read: a segment of those that can be used, and rows of all.

    segment  None if no image can be used
    usable   rows in the segment's order
    skipped  rows of the others
    """

    segment: StoredSegment | None
    usable: list[ImageRow]
    skipped: list[ImageRow]


@dataclass(frozen=True)
class WorkerConfig:
    """The settings of a worker.

    vocabulary, incoming  folders on a file system that all workers see
    limit                 seconds that one image may take
    """

    options: FeatureOptions
    vocabulary: Path
    incoming: Path
    words: int
    bits: int
    limit: float


def write_segment(config: WorkerConfig, images: Sequence[ImageFile]) -> SegmentResult:
    """Read images and write a segment of them; only an image that crashes or hangs is skipped."""
    pool = _encoders(config.options, config.vocabulary, config.limit)
    builder = SegmentBuilder(config.words, config.bits)
    usable, skipped = [], []
    for image in images:
        answer = pool.run(image)
        one, words = (skipped_row(answer), None) if isinstance(answer, Failure) else answer
        if one.features and words:
            builder.add(one.features, words.ids[:, 0], words.signatures[:, 0])
            usable.append(one.row)
        else:
            skipped.append(one.row)
    if not usable:
        return SegmentResult(None, usable, skipped)
    segment = builder.segment()
    # A new name, never one that a lost worker began.
    folder = config.incoming / uuid.uuid4().hex
    return SegmentResult(StoredSegment(folder, segment.save(folder), len(segment)), usable, skipped)


def describe_images(
    options: FeatureOptions, limit: float, images: Sequence[ImageFile]
) -> list[Described]:
    """Describe images; only an image that crashes or hangs is skipped."""
    pool = _describers(options, limit)
    answers = (pool.run(image) for image in images)
    return [skipped_row(answer) if isinstance(answer, Failure) else answer for answer in answers]


def check_handshakes(answers: Sequence[tuple[str, str, bool]], folder: Path) -> None:
    """Raise BovwError unless every worker's `handshake` fits this machine's."""
    own = handshake(folder)
    for answer in answers:
        for name, theirs, ours in zip(("bovw", "Python"), answer, own, strict=False):
            if theirs != ours:
                raise BovwError(
                    f"a worker has {name} {theirs}, but this machine has {ours}: install the same "
                    "version on all"
                )
        if not answer[2]:
            raise BovwError(
                f"a worker does not see {folder}: put the index and the images on a file system "
                "that all machines have at the same path"
            )


def handshake(folder: Path) -> tuple[str, str, bool]:
    """Return this worker's versions of bovw and Python, and whether it sees a folder."""
    return __version__, f"{sys.version_info.major}.{sys.version_info.minor}", folder.is_dir()


@lru_cache(maxsize=1)
def _encoders(
    options: FeatureOptions, vocabulary: Path, limit: float
) -> IsolatedPool[ImageFile | Described, tuple[Described, Words | None]]:
    """Keep a process with the vocabulary between tasks; it ends with this process."""
    _allow_children()
    return IsolatedPool(partial(encode, options=options, vocabulary=vocabulary), 1, limit)


@lru_cache(maxsize=1)
def _describers(options: FeatureOptions, limit: float) -> IsolatedPool[ImageFile, Described]:
    _allow_children()
    return IsolatedPool(partial(describe_file, options=options), 1, limit)


def _allow_children() -> None:
    """Let this process have children, which Python denies to daemons such as Dask's workers.

    Python does so to leave no children behind. The pool's children end when its pipe closes.
    """
    current_process().daemon = False
