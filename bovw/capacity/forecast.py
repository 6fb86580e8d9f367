"""Forecast of what a collection takes: disk, memory, hours, seconds a query, nodes.

Arithmetic on measured costs; docs/scale.md has the formulas and their limits.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from statistics import NormalDist
from typing import Any

from bovw.errors import BovwError
from bovw.index import SEGMENT_FEATURES
from bovw.options import IngestOptions, SearchOptions
from bovw.search import MOST_POSTINGS

WORDS, RERANK, BATCH = SearchOptions().words, SearchOptions().rerank, IngestOptions().batch

# Assumed, not measured. A query and its answers travel along a tree. Seconds of one level there and
# back: it sends 0.4 MB of words to each of 16 nodes over 10 Gbit/s.
HOP, FAN_OUT = 0.007, 16
# Standard deviation of the logarithm of a node's time for the same work. The slowest node decides.
STRAGGLING = 0.2
# Limits of `enough_nodes`: seconds for half of the queries, and the most nodes to try.
SOON, MOST_NODES = 1.0, 100_000


@dataclass(frozen=True)
class Costs:
    """Costs of an image, a feature, a posting and a query, in bytes and in seconds of one core.

    The defaults were measured on 1,201 photographs, one core of an AMD EPYC (docs/performance.md).
    """

    # Features kept per image; features of a median query, which keeps all of them.
    features: float = 2510.0
    asked: float = 4000.0
    # Visual words; length of the lists that queries read, as a multiple of the mean list's.
    words: int = 65_536
    skew: float = 1.38
    # Bytes of a feature; of an image's other data, such as its row in the catalog; of a word in
    # each segment; of the vocabulary.
    feature_bytes: float = 23.02
    image_bytes: float = 310.0
    word_bytes: float = 20.0
    vocabulary_bytes: float = 8.8e6
    # Decoding an image and SIFT; then, per feature, one word and a signature, and writing both.
    describe: float = 0.105
    assign: float = 12e-6
    write: float = 0.5e-6
    # Every commit rewrites names and weights: seconds for each image of the index.
    commit: float = 5e-6
    # Five words and signatures for each feature of a query.
    lookup: float = 25e-6
    # Scoring a posting; searching a posting for matches with a candidate.
    posting: float = 5.9e-9
    match: float = 2.1e-9
    # Verification of one candidate, without that search.
    candidate: float = 0.55e-3
    # Each scoring of a query: per image of the index, and per segment.
    image: float = 70e-9
    segment: float = 0.3e-3
    # Images that a query is expanded with.
    expanding: float = 4.0
    # Memory of a searching process, and of an image in it; memory of a describing process.
    asking_bytes: float = 0.25e9
    scored_bytes: float = 200.0
    describing_bytes: float = 0.5e9

    @property
    def yours(self) -> list[str]:
        """The names of the costs that were measured or given, not left at their defaults."""
        return [field.name for field in fields(self) if getattr(self, field.name) != field.default]


@dataclass(frozen=True)
class Query:
    """A query of median size.

    words     visual words to search for each feature
    expanded  whether query expansion is used
    parts     seconds of each part; on many nodes, the slowest node's
    """

    words: int
    expanded: bool
    parts: dict[str, float]

    @property
    def seconds(self) -> float:
        """The seconds of all parts."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class Needs:
    """Needs of each of `nodes` nodes for its share of a collection.

    disk      bytes of its part of the index; quick answers need it in the system's file cache
    asking    bytes of memory of a process that answers
    building  bytes of memory of the processes that build
    hours     to build on all nodes at once, with a given vocabulary
    """

    nodes: int
    disk: float
    asking: float
    building: float
    hours: float
    query: Query

    def fits(self, memory: float) -> bool:
        """Tell whether the answering process and its index fit a node's `memory` in bytes."""
        return self.asking + self.disk <= memory

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, with the query's seconds."""
        return {**asdict(self), "seconds": self.query.seconds}


def needs(costs: Costs, images: int, nodes: int = 1, jobs: int = 1) -> Needs:
    """Predict what a collection takes on `nodes` nodes of `jobs` cores, with today's code."""
    held = images / nodes
    return Needs(
        nodes,
        disk(costs, held),
        costs.asking_bytes + held * costs.scored_bytes,
        costs.asking_bytes + jobs * costs.describing_bytes,
        hours(costs, held, jobs),
        query(costs, images, nodes),
    )


def disk(costs: Costs, images: float) -> float:
    """Return the bytes of an index."""
    segments = max(1, images * costs.features / SEGMENT_FEATURES)
    own = images * (costs.features * costs.feature_bytes + costs.image_bytes)
    return own + segments * costs.words * costs.word_bytes + costs.vocabulary_bytes


def hours(costs: Costs, images: float, jobs: int) -> float:
    """Return the hours that `jobs` processes take to index images on one machine.

    All processes describe and one writes; they wait while it commits.
    """
    feature = costs.assign + costs.write
    work = images * (costs.describe + costs.features * feature) / jobs
    commits = images / BATCH
    return (work + commits * images / 2 * costs.commit) / 3600


def query(
    costs: Costs,
    images: int,
    nodes: int = 1,
    bounded: bool = True,
    straggling: float = STRAGGLING,
) -> Query:
    """Predict a query on an index spread over `nodes` nodes.

    bounded     whether a node reads at most MOST_POSTINGS, as a search does: then a query may
                use fewer words, and is not expanded if a node holds more postings
    straggling  see `straggler`
    """
    held = images / nodes
    length = costs.skew * held * costs.features / costs.words
    affordable = int(MOST_POSTINGS // (costs.asked * length)) if bounded else WORDS
    words = max(1, min(WORDS, affordable))
    expanded = not bounded or held * costs.features <= MOST_POSTINGS
    postings = words * costs.asked * length
    # The fixed cost of a scoring: adding up every image's votes, and starting every segment.
    once = held * (costs.image + costs.features / SEGMENT_FEATURES * costs.segment)
    again = costs.expanding * (costs.features * length * costs.posting + once)
    slowest = straggler(nodes, straggling)
    return Query(
        words,
        expanded,
        {
            "decode and SIFT": costs.describe,
            "nearest words": costs.asked * costs.lookup,
            "scoring": slowest * (postings * costs.posting + once),
            "verification": slowest * (postings * costs.match + RERANK / nodes * costs.candidate),
            "expansion": slowest * again if expanded else 0.0,
            "network": (2 + expanded) * levels(nodes) * HOP,
        },
    )


def straggler(nodes: int, straggling: float = STRAGGLING) -> float:
    """Return the median of the slowest node's time, as a multiple of a node's median time."""
    return math.exp(straggling * NormalDist().inv_cdf(0.5 ** (1 / nodes)))


def levels(nodes: int) -> int:
    """Return the levels of the tree that a query goes down to reach all nodes."""
    count = 0
    while FAN_OUT**count < nodes:
        count += 1
    return count


def enough_nodes(costs: Costs, images: int, memory: float) -> int:
    """Return the fewest nodes that answer well; see `answers_well`.

    Raises BovwError if no number of nodes does.
    """
    for nodes in range(1, MOST_NODES + 1):
        if answers_well(costs, images, nodes, memory):
            return nodes
    raise BovwError(
        f"not even {MOST_NODES:,} nodes of {memory / 1e9:.3g} GB answer half of the queries within "
        f"{SOON:g} s: give fewer --images or --features, more --memory, or --nodes"
    )


def answers_well(costs: Costs, images: int, nodes: int, memory: float) -> bool:
    """Tell whether a query takes less than SOON with all words, and never waits for the disk.

    memory  bytes of a node
    """
    found = needs(costs, images, nodes)
    return found.query.words == WORDS and found.query.seconds < SOON and found.fits(memory)
