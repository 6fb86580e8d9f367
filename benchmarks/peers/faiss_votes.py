"""Votes of the nearest descriptors, found by faiss."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import faiss
import numpy as np

from bovw.compute.threads import available_jobs
from peers.database import Asked, Database, Method, each

FAISS_INDEX, FAISS_SAMPLE, FAISS_LISTS, FAISS_NEIGHBOURS = "IVF4096,PQ32", 200_000, 16, 5


def faiss_votes(database: Database) -> Iterator[Method]:
    faiss.omp_set_num_threads(available_jobs())  # bovw sets its own threads
    start = time.perf_counter()
    index = faiss.index_factory(128, FAISS_INDEX)
    index.train(database.sample(FAISS_SAMPLE))
    empty = faiss.serialize_index(index).nbytes
    for number, features in enumerate(database.features):
        owners = np.full(len(features), number, np.int64)
        index.add_with_ids(features.descriptors.astype(np.float32), owners)
    index.nprobe = FAISS_LISTS
    seconds = time.perf_counter() - start
    count = len(database.names)

    def find(query: Asked) -> list[str]:
        descriptors = query.features.descriptors.astype(np.float32)
        distances, images = index.search(descriptors, FAISS_NEIGHBOURS + 1)
        margins, images = (distances[:, -1:] - distances)[:, :-1], images[:, :-1]
        pairs = np.arange(len(images))[:, None] * count + images
        # The nearest neighbours come first, and np.unique keeps the first per feature and image.
        _, first = np.unique(pairs, return_index=True)
        return database.best(np.bincount(images.flat[first], margins.flat[first], count))

    size = (faiss.serialize_index(index).nbytes - empty) / count
    yield Method(f"faiss, {FAISS_INDEX}", partial(each, find), size, seconds)
