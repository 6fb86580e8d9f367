"""What all parts share: the photographs, a vocabulary and an index of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bovw.images import ImageFile
from bovw.index import Index
from bovw.ingest.build import build_index
from bovw.ingest.run import Recipe, Run
from bovw.ingest.training import build_vocabulary
from bovw.options import FeatureOptions, VocabularyOptions
from bovw.vocab import Vocabulary
from cluster_faults.nodes import Local

OPTIONS = FeatureOptions(max_size=400, max_features=300)
TAKEN, WORDS = 96, 1024


@dataclass(frozen=True)
class Given:
    """What all parts share: the index as one machine builds it, and an empty folder."""

    local: Local
    files: list[ImageFile]
    vocabulary: Vocabulary
    index: Index
    scratch: Path


def prepare(files: list[ImageFile], local: Local, scratch: Path) -> Given:
    words = VocabularyOptions(words=WORDS, rounds=1)
    vocabulary = build_vocabulary(files, OPTIONS, words, run=Run(jobs=2))
    build_index(files, scratch / "own", Recipe(vocabulary, features=OPTIONS), Run(jobs=2))
    return Given(local, files, vocabulary, Index.open(scratch / "own"), scratch)
