"""Every setting with its unit and its measured default, one frozen dataclass a stage.

The command line takes its defaults from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from bovw.errors import NewerFormatError


@dataclass(frozen=True)
class FeatureOptions:
    """Stage 2, SIFT."""

    # Longest side in pixels that an image is reduced to before SIFT; smaller ones stay as they are.
    max_size: int = 1024
    # Features kept an image, spread over it, out of the 4,000 (or as many as asked for) with the
    # strongest response.
    max_features: int = 4000
    # OpenCV's contrast threshold: a sixth of its default finds 1.7 times the features, in the dark
    # and flat parts of a picture, where half of the matches between changed lights lie.
    contrast: float = 0.007
    # Whether features keep upright instead of turning with the picture: finds more where nothing is
    # ever turned by more than about 20 degrees, and next to nothing where it is.
    upright: bool = False

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Self:
        """Read the options that an index was made with.

        One that is missing came later, with a default that stands for what was done before. Raises
        NewerFormatError for one that is not known here.
        """
        for name in kept.keys() - cls.__dataclass_fields__.keys():
            raise NewerFormatError(
                f"the index was made with {name} {kept[name]}, which this bovw does not know: "
                "upgrade with `pip install -U bovw`"
            )
        return cls(**kept)


@dataclass(frozen=True)
class VocabularyOptions:
    """Stage 3, visual words."""

    # Visual words; fewer are made where there are not 8 descriptors for each.
    words: int = 65_536
    # Seed of every random choice.
    seed: int = 0
    # Descriptors to train on, which bounds the memory: about 0.5 KB each.
    max_descriptors: int = 2_000_000
    # Rounds of Lloyd's algorithm after two-level clustering.
    rounds: int = 2
    # Bits of a Hamming signature, a multiple of 64 up to 128.
    bits: int = 128


@dataclass(frozen=True)
class IngestOptions:
    """Stages 1 to 4, reading many images."""

    # Images between commits: what an interrupted run has to read again at most.
    batch: int = 500
    # Seconds that reading and describing one image may take; a large one takes two.
    limit: float = 60.0
    # Whether images that were skipped are tried again though they have not changed.
    retry: bool = False


@dataclass(frozen=True)
class SearchOptions:
    """Stages 5 and 6, ranking and verification."""

    # How postings are scored; see bovw.ranking.SCORINGS.
    scoring: str = "hamming"
    # Visual words in whose postings a query feature looks for matches.
    words: int = 5
    # Whether repeated structure is kept from voting many times over (Hamming embedding).
    burstiness: bool = True
    # Whether votes that agree about how far the picture is turned count more (Hamming embedding).
    consistency: bool = True
    # Farthest that the signatures of a match may lie apart, as a share of their bits. Unrelated
    # ones differ in half of their bits.
    matching_distance: float = 0.4
    # Distance at which a match counts 1/e, as a share of the bits.
    sigma: float = 0.2
    # Images verified, from the top of the ranking; 0 for none.
    rerank: int = 100
    # Verified images that the query is expanded with, best first; 0 for none.
    expand: int = 30
    # Whether an image's neighbours count, where the index is linked, once the query is expanded.
    augment: bool = True
    # Effective inliers, spread over as many places, that confirm an image.
    min_inliers: int = 4


@dataclass(frozen=True)
class ServeOptions:
    """The web page and the REST API."""

    # Searches that work at a time, and that wait for their turn; more are told to come again.
    working: int = 2
    waiting: int = 32
    # Bytes of a picture that is given.
    upload_bytes: int = 50_000_000
    # Seconds that a picture may take to come, and then to be read.
    limit: float = 20.0
    # Bytes kept on disk, of given pictures and of thumbnails each.
    cache_bytes: int = 1_000_000_000
