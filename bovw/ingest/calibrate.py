"""Joins the stages for a calibration: asks an index for mirrored images of its own."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from bovw.compute.processes import map_processes
from bovw.errors import ImageError, QueryError
from bovw.features import describer_of
from bovw.images import read_picture
from bovw.index import Decoys, Index, commit_all, edit_index, postings_of
from bovw.ingest.opened import opened
from bovw.ingest.run import Run
from bovw.options import FeatureOptions
from bovw.records import Box, Features, WordQuery
from bovw.search import LocalQuestion, Searcher
from bovw.verification import Calibration, judge

# One mirror image of 250 matches as well as this by chance. Others do because what they show is
# symmetric, or because the collection has it mirrored, too.
SYMMETRIC = 3.0


class Asked(NamedTuple):
    """The meaning of a decoy's best agreement, None without one, and the images it was tried on."""

    best: float | None
    verified: int


def calibrate_index(folder: Path, run: Run = Run()) -> Decoys:
    """Measure how much chance gives in an index, and keep that in it.

    Mirrored images are asked as decoys: they match nothing but by chance. Symmetric things match
    their mirror images, though. So a decoy is not tried on its own image and its relatives, and it
    does not count if it matches too well.

    run  how the images are read, and how many: `run.options.sample`, chosen at random, but always
         the same. `on_skip` hears of each image that can no longer be read

    Raises FormatError if there is no index.
    """
    with edit_index(folder) as writers:
        index = Index.open(folder)
        live = np.flatnonzero(index.statistics.live)
        chosen = np.random.default_rng(0).permutation(live)[: run.options.sample].tolist()
        results = map_processes(partial(_ask, folder, index.meta["digest"]), chosen, run.processes)
        found: list[Asked] = []
        with run.progress(results, len(chosen), "Calibrating") as answers:
            for image, answer in zip(chosen, answers, strict=True):
                if isinstance(answer, Asked):
                    found.append(answer)
                else:
                    run.on_skip(index.names[image], str(answer))
        found = [one for one in found if one.best is None or one.best < SYMMETRIC]
        meanings = [one.best for one in found if one.best is not None]
        verified = round(sum(one.verified for one in found) / max(len(found), 1))
        decoys = Decoys.of(meanings, len(found), verified, len(live))
        commit_all(folder, writers, decoys=decoys)
    return decoys


def is_outgrown(index: Index) -> bool:
    """Tell whether an index was never calibrated, or has doubled since."""
    return index.decoys is None or len(index) >= 2 * max(index.decoys.images, 1)


def _ask(folder: Path, digest: str, image: int) -> Asked | ImageError | QueryError:
    """Ask an index for the mirror image of one of its images."""
    cv2.setNumThreads(1)
    searcher = opened(folder, digest)
    try:
        features = _describe_mirrored(searcher.index.path(image), searcher.feature_options)
        query = searcher.word_query(features, Box(0, 0, features.width, features.height))
    except (ImageError, QueryError) as error:
        return error
    question = LocalQuestion(searcher.index, query, searcher.options)
    candidates = question.rank(searcher.options.rerank).images
    others = candidates[~np.isin(candidates, [image, *_relatives(searcher, image)])]
    meanings = [one.evidence.meaning for one in question.verify(others)]
    return Asked(max(meanings, default=None), len(others))


def _describe_mirrored(path: Path, options: FeatureOptions) -> Features:
    picture = read_picture(path, options.max_size)
    pixels = np.ascontiguousarray(picture.pixels[:, ::-1])
    return describer_of(options).describe(replace(picture, pixels=pixels))


def _relatives(searcher: Searcher, image: int) -> list[int]:
    """Return the images that rank no lower than the last one that an indexed image matches.

    Its words are those in the index.
    """
    index = searcher.index
    [(segment, number, postings)] = postings_of(index.segments, np.array([image], np.int32))
    if not len(postings):
        return []
    width, height = index.sizes[image].tolist()
    keypoints = segment.keypoints(postings, number).astype(np.float32)
    query = WordQuery(keypoints, segment.words(postings), Box(0, 0, width, height))
    question = LocalQuestion(index, query, searcher.options)
    candidates = question.rank(searcher.options.rerank).images
    judged = judge(
        question.verify(candidates),
        Calibration(),
        len(candidates),
        searcher.options.max_false_alarms,
    )
    matching = [one.found.image for one in judged if one.confirmed]
    last = np.flatnonzero(np.isin(candidates, matching)).max(initial=-1)
    related: list[int] = candidates[: last + 1].tolist()
    return related
