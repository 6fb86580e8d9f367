"""Every setting with its unit and its measured default, one frozen dataclass per stage.

The command line takes its defaults from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from bovw.errors import FormatError, NewerFormatError


@dataclass(frozen=True)
class FeatureOptions:
    """Stage 2, SIFT."""

    # Larger images are reduced to this longest side, in pixels, before SIFT.
    max_size: int = 1024
    # Features kept per image, spread over it. They are chosen from the 4,000 with the strongest
    # response, or from this many if that is more.
    max_features: int = 4000
    # OpenCV's contrast threshold. A sixth of its default finds 1.7 times the features. The others
    # lie in dark and flat parts of a picture, like half of the matches between changed lights.
    contrast: float = 0.007
    # Whether features stay upright instead of turning with the picture. This finds more if pictures
    # are turned by at most about 20 degrees, and next to nothing otherwise.
    upright: bool = False

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Self:
        """Read the options that an index was made with.

        A missing option is newer than the index; its default means what was done before. Raises
        NewerFormatError for an unknown option, FormatError for a value that no image was described
        with.
        """
        for name in kept.keys() - cls.__dataclass_fields__.keys():
            raise NewerFormatError(
                f"the index was made with {name} {kept[name]}, which this bovw does not know: "
                "upgrade with `pip install -U bovw`"
            )
        options = cls(**kept)
        numbers = type(options.max_size) is type(options.max_features) is int
        possible = numbers and type(options.upright) is bool
        if not possible or not (
            0 < options.max_size <= 2**16
            and 0 < options.max_features <= 2**24
            and 0 <= options.contrast < 1
        ):
            raise FormatError(
                f"the index was made with {options}, which no bovw does: do not use it"
            )
        return options


@dataclass(frozen=True)
class VocabularyOptions:
    """Stage 3, visual words."""

    # Visual words, at most one for every 8 descriptors.
    words: int = 65_536
    # Seed of every random choice.
    seed: int = 0
    # Most descriptors to train on. Each takes about 0.5 KB of memory.
    max_descriptors: int = 2_000_000
    # Rounds of Lloyd's algorithm after two-level clustering.
    rounds: int = 2
    # Bits of a Hamming signature, a multiple of 64 up to 128.
    bits: int = 128


@dataclass(frozen=True)
class IngestOptions:
    """Stages 1 to 4, reading many images."""

    # Images between commits. An interrupted run reads at most this many again.
    batch: int = 500
    # Seconds that reading and describing one image may take; a large one takes two.
    limit: float = 60.0
    # Whether to retry skipped images that have not changed.
    retry: bool = False
    # Images that are asked, mirrored, to measure how much chance gives in an index.
    sample: int = 200


@dataclass(frozen=True)
class SearchOptions:
    """Stages 5 and 6, ranking and verification."""

    # How postings are scored; see bovw.ranking.SCORINGS.
    scoring: str = "hamming"
    # Nearest visual words of a query feature whose postings are searched.
    words: int = 5
    # Whether to limit the votes of repeated structure, burstiness (Hamming embedding).
    burstiness: bool = True
    # Whether votes that agree about the picture's turn count more (Hamming embedding).
    consistency: bool = True
    # Greatest Hamming distance of a match, as a share of the bits. Unrelated signatures differ in
    # half of their bits.
    matching_distance: float = 0.4
    # Distance at which a match counts 1/e, as a share of the bits.
    sigma: float = 0.2
    # Images verified, from the top of the ranking; 0 for none.
    rerank: int = 100
    # Verified images used for query expansion, best first; 0 for none.
    expand: int = 30
    # Whether database-side augmentation follows query expansion, if the index is linked.
    augment: bool = True
    # A hit is confirmed if a query without a match has at most this many hits as good, on average.
    max_false_alarms: float = 0.01
    # Whether doubtful images are read again and compared by whole descriptors.
    second_look: bool = False


@dataclass(frozen=True)
class ServeOptions:
    """The web page and the REST API."""

    # Searches that run at a time, and searches that wait. Others are asked to retry later.
    working: int = 2
    waiting: int = 32
    # Most bytes of an uploaded picture.
    upload_bytes: int = 50_000_000
    # Seconds that a picture's upload may take, and then its reading.
    limit: float = 20.0
    # Most bytes kept on disk, for uploads and for thumbnails each.
    cache_bytes: int = 1_000_000_000
