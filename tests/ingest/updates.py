"""Updates of an index, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bovw.images.find import ImageFile, find_images
from bovw.index import Index
from bovw.index.rows import ImageRow
from bovw.ingest.build import build_index
from bovw.ingest.changes import ChangeSet
from bovw.ingest.run import Recipe, Run
from bovw.options import FeatureOptions, IngestOptions, SearchOptions
from bovw.search.searcher import Searcher
from bovw.vocab import Vocabulary
from tests.queries import search

FEW = FeatureOptions(max_size=300, max_features=150)


class Updates:
    """Updates an index of the photos, and remembers what was planned."""

    def __init__(self, photos: Path, vocabulary: Vocabulary) -> None:
        self.photos, self.vocabulary = photos, vocabulary
        self.folder = photos.parent / "index"
        self.plans: list[ChangeSet] = []
        self.told: dict[str, str] = {}

    def __call__(
        self,
        images: Sequence[ImageFile] | None = None,
        recipe: Recipe | None = None,
        ingest: IngestOptions = IngestOptions(),
        may_vanish: Callable[[ImageRow], bool] = lambda row: True,
    ) -> Index:
        found = find_images([self.photos]) if images is None else images
        made_with = recipe or Recipe(self.vocabulary, features=FEW)
        self.told.clear()
        run = Run(jobs=1, on_skip=self.told.__setitem__, options=ingest)
        on_changes = self.plans.append
        return build_index(found, self.folder, made_with, run, may_vanish, on_changes)

    @property
    def counts(self) -> dict[str, int]:
        return {kind: count for kind, count in self.plans[-1].counts().items() if count}


def answers(index: Index, queries: list[Path]) -> list[list[tuple[object, ...]]]:
    """Return every hit of every query, to the last bit."""
    found: list[list[tuple[object, ...]]] = []
    for scoring in ("tfidf", "hamming", "asmk"):
        searcher = Searcher(index, SearchOptions(scoring=scoring))
        for query in queries:
            hits = search(searcher, query)
            found.append([(hit.name, hit.path, hit.score, hit.inliers) for hit in hits])
    return found


def spoil(path: Path) -> None:
    """Flip the last bit of a file."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
