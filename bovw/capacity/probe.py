"""Measures the costs of a forecast, on some of the user's pictures and on an index.

Seconds are processor time of all threads together, so other work and waiting for the disk do not
count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import process_time
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from bovw.capacity.forecast import RERANK, WORDS, Costs
from bovw.compute.threads import available_jobs
from bovw.errors import BovwError
from bovw.images import ImageFile
from bovw.index import Index
from bovw.ingest.encode import describe_file
from bovw.options import FeatureOptions
from bovw.records import Box, Doubles, Features
from bovw.search import LocalQuestion, Searcher

R = TypeVar("R")

# Pictures to measure, and seconds after which no further one is.
PICTURES, SECONDS = 40, 20.0
# Of these, pictures to query an index with.
QUERIES = 10
# From this many postings on, a list's length decides its cost, not its start.
LONG = 200
# Files that grow with the features, and with the words; all others grow with the images.
BY_FEATURE = ("signatures.npy", "positions.npy", "frames.npy", "gaps.npy")
BY_WORD = ("offsets.npy", "places.npy", "weights.npy")


def measure(images: Sequence[ImageFile], index: Index | None = None) -> Costs:
    """Measure costs in less than a minute; the others keep their defaults.

    images  pictures to sample, or none for those of the index

    Raises BovwError if pictures were given and none of those tried can be used.
    """
    costs = of_index(index) if index else Costs()
    given = images or (held(index) if index else [])
    options = Searcher(index).feature_options if index else FeatureOptions()
    described, seconds = of_pictures(given, options)
    if images and not described:
        raise BovwError("none of the pictures tried can be used: give another folder")
    if described:
        counts = [len(features) for features in described]
        kept = costs.features if index else float(np.mean(counts))
        costs = replace(costs, describe=seconds, asked=float(np.median(counts)), features=kept)
    return of_queries(costs, described[:QUERIES], index) if index and described else costs


def of_index(index: Index) -> Costs:
    """Return the costs that an index's files show: lengths of lists, and bytes.

    Raises BovwError if it holds no features.
    """
    lengths = sum(np.diff(segment.offsets) for segment in index.segments)
    if not len(index) or np.sum(lengths) < 2:
        raise BovwError(f"the index in {index.folder} holds too little to measure: give another")
    postings = float(np.sum(lengths))
    sizes = {"feature": 0, "word": 0, "image": 0}
    for name, size in index.bytes().items():
        file = Path(name).name
        kind = "feature" if file in BY_FEATURE else "word" if file in BY_WORD else "image"
        sizes[kind] += size
    words = int(index.meta["words"])
    return replace(
        Costs(),
        features=index.features / len(index),
        words=words,
        skew=skew(np.asarray(lengths, np.float64)),
        feature_bytes=sizes["feature"] / postings,
        image_bytes=sizes["image"] / len(index),
        word_bytes=sizes["word"] / words / len(index.segments),
        vocabulary_bytes=float(sum(f.stat().st_size for f in index.vocabulary_folder.iterdir())),
    )


def skew(lengths: Doubles) -> float:
    """Return the mean length of the list that a posting is in, as a multiple of the mean list's.

    lengths  float64 [words]: postings of each word, 2 or more in all

    The sum of the words' squared shares, times the words, less what chance adds in a small index.
    Queries with features distributed like the index's read lists of this length.
    """
    total = lengths.sum()
    pairs = (lengths * (lengths - 1)).sum() / (total * (total - 1))
    return float(pairs * len(lengths))


def held(index: Index) -> list[ImageFile]:
    """Return the pictures that an index holds, at their paths of that time."""
    rows = [row for row in index.images() if row.status == "ok"]
    return [ImageFile(row.name, Path(row.folder + row.name)) for row in rows]


def of_pictures(
    images: Sequence[ImageFile], options: FeatureOptions
) -> tuple[list[Features], float]:
    """Return the features of some of the pictures, and the mean seconds of one.

    Skips pictures that cannot be used.
    """
    order = np.random.default_rng(0).permutation(len(images))[: PICTURES + 1]
    described: list[Features] = []
    seconds: list[float] = []
    for i in order.tolist():
        one, taken = timed(partial(describe_file, images[i], options))
        if one.features:
            described.append(one.features)
            seconds.append(taken)
        if sum(seconds) > SECONDS:
            break
    # The first one also loads libraries.
    return described, float(np.mean(seconds[1:] or seconds or [0.0]))


class Asked(NamedTuple):
    """The work of some queries, and the seconds of each part."""

    features: float
    lists: float
    postings: float
    candidates: float
    expanding: float
    assign: float
    lookup: float
    score: float
    match: float
    verify: float


def of_queries(costs: Costs, described: Sequence[Features], index: Index) -> Costs:
    """Query an index with described pictures; return `costs` with the measured ones.

    Short lists do not show what postings cost: that stays unchanged.
    """
    searcher = Searcher(index)
    lengths = np.append(sum(np.diff(segment.offsets) for segment in index.segments), 0)
    # The first one also loads kernels and pages of the index.
    asked = [ask(searcher, features, lengths) for features in (described[0], *described)][1:]
    total = Asked(*np.sum(asked, axis=0).tolist())
    costs = replace(
        costs,
        skew=total.postings / total.lists / lengths[:-1].mean(),
        assign=total.assign / total.features,
        lookup=total.lookup / total.features,
        expanding=total.expanding / len(asked),
    )
    if total.postings < LONG * len(index.segments) * total.lists:
        return costs
    candidate = (total.verify - total.match) / max(total.candidates - len(asked), 1)
    return replace(
        costs,
        posting=total.score / total.postings,
        match=max(total.match - len(asked) * candidate, 0.0) / total.postings,
        candidate=max(candidate, 0.0),
    )


def ask(searcher: Searcher, features: Features, lengths: npt.NDArray[np.int64]) -> Asked:
    """Run the parts of a search and time each one.

    lengths  int64 [words + 1]: how many postings each word has; the last is no word
    """
    jobs = available_jobs()
    _, assign = timed(lambda: searcher.vocabulary.assign(features, 1, jobs))
    _, lookup = timed(lambda: searcher.vocabulary.assign(features, WORDS, jobs))
    query = searcher.word_query(features, Box(0, 0, features.width, features.height))
    words = query.words
    question, score = timed(lambda: LocalQuestion(searcher.index, query, searcher.options))
    best = question.rank(RERANK).images
    _, match = timed(lambda: question.verify(best[:1]))
    verified, whole = timed(lambda: question.verify(best))
    expanding = min(len(verified), searcher.options.expand)
    postings = int(lengths[words.ids].sum())
    lists = float(words.ids.size)
    return Asked(
        len(features), lists, postings, len(best), expanding, assign, lookup, score, match, whole
    )


def timed(run: Callable[[], R]) -> tuple[R, float]:
    """Return an answer, and its seconds of processor time."""
    start = process_time()
    answer = run()
    return answer, process_time() - start
