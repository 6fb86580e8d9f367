"""Joins the stages for a graph: searches the index with every indexed image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from bovw.compute.processes import map_processes
from bovw.errors import ImageError
from bovw.features import describer_of
from bovw.images import read_picture
from bovw.index import Graph, Index, commit_all, edit_index, shard_of
from bovw.ingest.opened import opened
from bovw.ingest.run import Run
from bovw.records import Box, Features, WordQuery, Words
from bovw.search import LocalQuestion
from bovw.verification import Verified, judge


@dataclass(frozen=True)
class Compared:
    """One image compared with all others.

    neighbours       their names and the evidence for them, best first
    features, words  to keep of the image; None to leave them as they are
    """

    neighbours: list[tuple[str, float]]
    features: Features | None = None
    words: Words | None = None


def link_images(folder: Path, run: Run = Run(), keep: int | None = None) -> Graph:
    """Find the confirmed neighbours of every indexed image, and keep them in the index.

    The images are read again: several words per feature find more neighbours than the one word in
    the index. One that cannot be read keeps the neighbours it has. Other writers are locked out
    meanwhile.

    run   how they are read; `on_skip` hears of each image that can no longer be read
    keep  features to keep of each image, those that confirmed a neighbour first (Turcot and Lowe,
          "Better matching with fewer features", ICCV workshops 2009); None for all

    Raises FormatError if there is no index.
    """
    with edit_index(folder) as writers:
        index = Index.open(folder)
        images = np.flatnonzero(index.statistics.live).tolist()
        found: dict[str, list[tuple[str, float]]] = {}
        results = map_processes(
            partial(_compare, folder, index.meta["digest"], keep), images, run.processes
        )
        with run.progress(results, len(images), "Linking") as answers:
            for image, answer in zip(images, answers, strict=True):
                name = index.names[image]
                if isinstance(answer, ImageError):
                    run.on_skip(name, str(answer))
                    found[name] = _known_neighbours(index, image)
                    continue
                found[name] = answer.neighbours
                if answer.features and answer.words:
                    writer = writers[shard_of(name, len(writers))]
                    row = replace(writer.rows[name], features=len(answer.features))
                    writer.add(row, answer.features, answer.words)
        commit_all(folder, writers, graph=partial(_graph_of, found))
    graph = Index.open(folder).graph
    assert graph, "it was just committed"
    return graph


def _known_neighbours(index: Index, image: int) -> list[tuple[str, float]]:
    """Return the neighbours that an image has had so far, and the evidence for them."""
    known = index.graph.of_image(image) if index.graph else []
    live = index.statistics.live
    return [(index.names[other], evidence) for other, evidence in known if live[other]]


def _graph_of(found: dict[str, list[tuple[str, float]]], names: Sequence[str]) -> Graph:
    numbers = {name: number for number, name in enumerate(names)}
    own = (found.get(name, []) for name in names)
    return Graph.of([[(numbers[name], evidence) for name, evidence in one] for one in own])


def _compare(folder: Path, digest: str, keep: int | None, image: int) -> Compared | ImageError:
    """Find the confirmed neighbours of an indexed image."""
    cv2.setNumThreads(1)
    searcher = opened(folder, digest)
    index, options = searcher.index, searcher.feature_options
    try:
        picture = read_picture(index.path(image), options.max_size)
    except ImageError as error:
        return error
    features, order = describer_of(options).describe_candidates(picture)
    words = searcher.vocabulary.assign(features, searcher.options.words)
    query = WordQuery(features.keypoints, words, Box(0, 0, picture.width, picture.height))
    question = LocalQuestion(index, query, searcher.options)
    images = question.rank(None).images
    judged = judge(
        question.verify(images),
        searcher.calibration,
        len(images),
        searcher.options.max_false_alarms,
    )
    confirmed = [j.found for j in judged if j.confirmed and j.found.image != image]
    neighbours = [(index.names[v.image], v.evidence.weight) for v in confirmed]
    if keep is None:
        return Compared(neighbours)
    rows = choose_features(features, order, confirmed, keep)
    kept = replace(features.rows(rows), descriptors=features.descriptors[:0])
    return Compared(neighbours, kept, words.rows(rows))


def choose_features(
    features: Features,
    order: npt.NDArray[np.intp],
    confirmed: Sequence[Verified],
    keep: int,
) -> npt.NDArray[np.intp]:
    """Return the rows of at most `keep` features, ascending.

    Inliers of the most confirmed images are kept first, then the others in `order`.
    """
    inliers = np.zeros(len(features), np.int64)
    for one in confirmed:
        places = set(map(tuple, one.points[:, :2].tolist()))
        inliers += [tuple(place) in places for place in features.keypoints[:, :2].tolist()]
    best = order[np.argsort(-inliers[order], kind="stable")]
    return np.sort(best[:keep])
