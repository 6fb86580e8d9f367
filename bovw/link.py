"""Joins the stages for a graph: every indexed image asks for all others."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import cv2
import numpy as np

from bovw.errors import FormatError, ImageError
from bovw.features import describe_query
from bovw.index import Index, IndexWriter
from bovw.index.graph import Graph
from bovw.parallel import Progress, in_order, sensible_jobs, silent
from bovw.search import Searcher

Neighbours = list[tuple[int, float]]


def link_images(
    folder: Path,
    jobs: int | None = None,
    progress: Progress = silent,
    on_skip: Callable[[str, str], object] | None = None,
) -> Graph:
    """Find the confirmed neighbours of every indexed image, and keep them in the index.

    The images are read again: looking for each feature in several words finds more neighbours than
    the one word that the index keeps of it.

    on_skip  is told the name of each image that cannot be read any more, and the reason

    Raises FormatError where there is no index, or where it changes meanwhile.
    """
    index = Index.open(folder)
    images = np.flatnonzero(index.statistics.live).tolist()
    compare = partial(_neighbours, folder)
    found: list[Neighbours] = [[] for _ in index.names]
    results = in_order(compare, images, sensible_jobs(jobs))
    with progress(results, len(images), "Linking") as answers:
        for image, answer in zip(images, answers, strict=True):
            if not isinstance(answer, ImageError):
                found[image] = answer
            elif on_skip:
                on_skip(index.names[image], str(answer))
    graph = Graph.of(found)
    with IndexWriter.open(folder) as writer:
        if writer.meta["names"] != index.meta["names"]:
            raise FormatError(f"the images of {folder} changed meanwhile: link them again")
        writer.put_graph(graph)
        writer.commit()
    return graph


def _neighbours(folder: Path, image: int) -> Neighbours | ImageError:
    """Return the images that geometry confirms to show what an indexed one shows, best first."""
    cv2.setNumThreads(1)
    searcher = _searcher(folder)
    try:
        features, region = describe_query(
            searcher.index.path(image), options=searcher.feature_options
        )
    except ImageError as error:
        return error
    words = searcher.vocabulary.assign(features, searcher.options.words)
    ranking = searcher.rank(searcher.score(words))
    verified = searcher.verify(features.keypoints, words, region, ranking)
    return [(v.image, v.evidence) for v in verified if v.confirmed and v.image != image]


@lru_cache(maxsize=1)
def _searcher(folder: Path) -> Searcher:
    """Open an index once a process."""
    return Searcher(Index.open(folder))
