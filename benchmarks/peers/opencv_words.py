"""OpenCV's bag of words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import cv2
import numpy as np

from bovw.records import Features, Floats
from peers.database import Asked, Database, Method, each

OPENCV_WORDS, OPENCV_SAMPLE, OPENCV_ROUNDS = 2000, 50_000, 10


def opencv(database: Database) -> Iterator[Method]:
    # OpenCV 5 moved its bag of words to the contributed modules.
    home = cv2 if hasattr(cv2, "BOWKMeansTrainer") else cv2.xfeatures2d
    start = time.perf_counter()
    cv2.setRNGSeed(0)
    end = (cv2.TERM_CRITERIA_MAX_ITER, OPENCV_ROUNDS, 0)
    trainer = home.BOWKMeansTrainer(OPENCV_WORDS, end, 1, cv2.KMEANS_PP_CENTERS)
    matcher = cv2.FlannBasedMatcher()
    matcher.add([trainer.cluster(database.sample(OPENCV_SAMPLE))])
    matcher.train()

    def histogram(features: Features) -> Floats:
        words = [match.trainIdx for match in matcher.match(features.descriptors.astype(np.float32))]
        counts = np.bincount(words, minlength=OPENCV_WORDS).astype(np.float32)
        return counts / np.float32(np.linalg.norm(counts))

    histograms = np.stack([histogram(features) for features in database.features])
    seconds = time.perf_counter() - start

    def find(query: Asked) -> list[str]:
        return database.best(histograms @ histogram(query.features))

    yield Method(f"OpenCV, {OPENCV_WORDS:,} words", partial(each, find), 4 * OPENCV_WORDS, seconds)
