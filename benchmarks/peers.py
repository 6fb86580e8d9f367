"""Compares bovw with other ways to find images: same pictures, same features, same run.

    python benchmarks/peers.py IMAGES TRUTH.json [TRUTH.json...] [--index INDEX] [--brute N]
        [--only PEER...]

All truths are about the same images. Everybody gets the features of `bovw.features.sift`, their
descriptors turned into RootSIFT as bovw does inside, and is used as its documentation has it:

bovw    its methods, on the index given, or on one that is made with defaults
colmap  the program's vocabulary tree as it comes (3.8): 65,536 words, 64-bit signatures, 5 words a
        query feature; then with its own verification, vote and verify, of the best 100. Its
        k-means is slow: 300 random images and 5 rounds instead of all images and 11
opencv  the bag of words of its tutorials: cv2.BOWKMeansTrainer, 2,000 words from 50,000 features,
        and what BOWImgDescriptorExtractor, which takes no descriptors in Python, does with them:
        the nearest words' histogram, by FLANN; compared by cosine
faiss   descriptors in IVF4096,PQ32, 16 lists visited; a feature's 5 neighbours vote with how much
        nearer they are than the sixth, once an image (local naive Bayes nearest neighbour)
brute   N random queries of every truth are matched with every image: nearest descriptor, ratio to
        the second nearest below 0.8, one to one. Images rank by matches, or by the inliers of
        cv2.findHomography (USAC_MAGSAC, 5 pixels)

VISE has no Python package and ASMK's own needs a compiler: bovw's ASMK* stands for it. mAP is
official, and regions keep the keypoints inside. A query's time is the median with features given,
on the threads that each program takes by itself. Building begins at the features, bovw's at the
image files. Bytes leave out what does not grow with the images.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from statistics import fmean, median
from typing import Any

import cv2
import faiss
import numpy as np
import numpy.typing as npt
from machine import write_result

from bovw.cluster.engines import in_order
from bovw.compute.threads import available_jobs
from bovw.evaluation.database import check_database, database_files
from bovw.evaluation.datasets import Dataset, Judgement, load
from bovw.evaluation.metrics import average_precision, first_is_positive
from bovw.evaluation.run import describe_queries
from bovw.index import Index
from bovw.ingest.build import build_index
from bovw.ingest.encode import describe_file
from bovw.options import FeatureOptions, SearchOptions
from bovw.records import Box, Features, Floats
from bovw.search.searcher import Searcher

COLMAP_IMAGES, COLMAP_ROUNDS, COLMAP_VERIFIED = 300, 5, 100
OPENCV_WORDS, OPENCV_SAMPLE, OPENCV_ROUNDS = 2000, 50_000, 10
FAISS_INDEX, FAISS_SAMPLE, FAISS_LISTS, FAISS_NEIGHBOURS = "IVF4096,PQ32", 200_000, 16, 5
RATIO, TOLERANCE = 0.8, 5.0  # TOLERANCE in pixels
BOVW = {
    "bovw": SearchOptions(),
    "bovw, not expanded": SearchOptions(expand=0),
    "bovw, Hamming alone": SearchOptions(rerank=0, expand=0),
    "bovw, ASMK* alone": SearchOptions(scoring="asmk", rerank=0, expand=0),
    "bovw, TF-IDF alone": SearchOptions(scoring="tfidf", rerank=0, expand=0),
}
Answer = tuple[list[str], float]  # names, best first, of all images or the best; seconds
Numbers = npt.NDArray[Any]
Matches = tuple[Numbers, Numbers]  # features of a query, features of an image
Count = Callable[[Features, Features, Matches], int]


@dataclass(frozen=True)
class Database:
    """The images that have features, in name order, and bovw's index of them."""

    names: list[str]
    features: list[Features]
    index: Index
    index_seconds: float | None
    scratch: Path

    @property
    def count(self) -> int:
        """How many features there are."""
        return sum(len(features) for features in self.features)

    def sample(self, count: int) -> Floats:
        """Return random descriptors: RootSIFT, float32 [count, 128]."""
        chosen = np.sort(np.random.default_rng(0).permutation(self.count)[:count])
        return np.concatenate([f.descriptors for f in self.features])[chosen].astype(np.float32)

    def best(self, scores: Numbers) -> list[str]:
        """Return all names by descending score, ties by name."""
        return [self.names[i] for i in np.argsort(-scores, kind="stable")]


@dataclass(frozen=True, eq=False)
class Asked:
    """A query with its features."""

    dataset: str
    judgement: Judgement
    features: Features
    region: Box


@dataclass(frozen=True)
class Method:
    """One way to rank, ready to be asked; `slow` ones get a few queries only."""

    name: str
    rank: Callable[[Sequence[Asked]], Iterable[Answer]]
    bytes_per_image: float
    build_seconds: float | None
    slow: bool = False


def main() -> None:
    arguments = parse()
    datasets = [load(str(truth), arguments.images) for truth in arguments.truths]
    methods, answers, skipped = [], {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        database = prepare(datasets, arguments.images, arguments.index, Path(scratch))
        queries = describe(datasets, arguments.images, Searcher(database.index).feature_options)
        few = draw(queries, arguments.brute)
        for peer in arguments.only or PEERS:
            try:
                for method in PEERS[peer](database):
                    asked = few if method.slow else queries
                    ranked = zip(asked, method.rank(asked), strict=True)
                    answers[method.name] = dict(ranked)
                    methods.append(method)
                    print(f"{method.name}: done", file=sys.stderr)
            except ModuleNotFoundError as missing:
                skipped[peer] = str(missing)
    images = sorted(datasets[0].database)
    tables = {"all queries": queries, f"{arguments.brute} queries of each truth": few}
    results = {}
    for title, asked in tables.items():
        able = [method for method in methods if asked is few or not method.slow]
        results[title] = [figures(method, answers[method.name], asked, images) for method in able]
        print(as_markdown(title, results[title]) if able else "")
    for peer, reason in skipped.items():
        print(f"{peer} was skipped: {reason}")
    size = {"images": len(database.names), "features": database.count}
    write_result("peers", {**size, "skipped": skipped, "results": results})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("images", type=Path, metavar="IMAGES")
    parser.add_argument("truths", type=Path, nargs="+", metavar="TRUTH.json")
    parser.add_argument("--index", type=Path, help="default: made, with a vocabulary of its own")
    parser.add_argument("--brute", type=int, default=10, metavar="N", help="queries of each truth")
    parser.add_argument("--only", choices=PEERS, nargs="+", metavar="PEER", help=", ".join(PEERS))
    return parser.parse_args()


def describe(datasets: Iterable[Dataset], images: Path, options: FeatureOptions) -> list[Asked]:
    """Return the queries that have features and positives."""
    return [
        Asked(dataset.name, judgement, one.features, one.region)
        for dataset in datasets
        for one in describe_queries(dataset, images, options, "keypoints")
        for judgement in one.query.judgements.values()
        if one.features and one.region and judgement.positives
    ]


def draw(queries: Sequence[Asked], count: int) -> list[Asked]:
    """Return `count` random queries of every data set, always the same."""
    drawn = []
    for dataset in dict.fromkeys(query.dataset for query in queries):
        candidates = [query for query in queries if query.dataset == dataset]
        drawn += Random(0).sample(candidates, min(count, len(candidates)))
    return drawn


def prepare(
    datasets: Sequence[Dataset], images: Path, index: Path | None, scratch: Path
) -> Database:
    """Describe the images, and index them with bovw where there is no index."""
    files = database_files(datasets[0], images)
    start = time.perf_counter()
    opened = Index.open(index) if index else build_index(files, scratch / "bovw")
    seconds = None if index else time.perf_counter() - start
    for dataset in datasets:
        check_database(dataset, opened)
    described = in_order(
        partial(describe_file, options=Searcher(opened).feature_options), files, available_jobs()
    )
    found = {one.row.name: one.features for one in described if one.features}
    names = sorted(found)
    return Database(names, [found[name] for name in names], opened, seconds, scratch)


def each(find: Callable[[Asked], list[str]], queries: Iterable[Asked]) -> Iterator[Answer]:
    """Answer one query after the other."""
    for query in queries:
        start = time.perf_counter()
        yield find(query), time.perf_counter() - start


def bovw(database: Database) -> Iterator[Method]:
    def find(searcher: Searcher, query: Asked) -> list[str]:
        return [hit.name for hit in searcher.search_features(query.features, query.region)]

    size = sum(database.index.bytes().values()) / len(database.index)
    for name, options in BOVW.items():
        rank = partial(each, partial(find, Searcher(database.index, options)))
        yield Method(name, rank, size, database.index_seconds)


def colmap(database: Database) -> Iterator[Method]:
    if not shutil.which("colmap"):
        raise ModuleNotFoundError("there is no colmap program: apt install colmap")
    names, folder = database.names, database.scratch
    plain: list[list[str]] = []  # without verification
    retrieve = "vocab_tree_retriever --database_image_list_path d.txt --vocab_tree_path"

    def run(words: str) -> str:
        line = ["colmap", *words.split(), "--database_path", "colmap.db"]
        return subprocess.run(line, cwd=folder, check=True, capture_output=True, text=True).stdout

    def rank(verified: int, queries: Sequence[Asked]) -> Iterator[Answer]:
        if not plain:
            add_to_colmap(folder, "q", [query.features for query in queries])
        limits = f"--num_images {verified or -1} --num_images_after_verification {verified}"
        output = run(f"{retrieve} tree --query_image_list_path q.txt {limits}")
        parts = re.split(r"Querying for image q(\d+) \[.*\] in ([\d.]+)s", output)[1:]
        for number, seconds, hits in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            found = [names[int(i)] for i in re.findall(r"image_name=d(\d+),", hits)]
            # Only the verified images are printed: the others follow as they were without.
            plain.extend([] if verified else [found])
            yield list(dict.fromkeys(found + plain[int(number)])), float(seconds)

    run("database_creator")
    add_to_colmap(folder, "d", database.features)
    start = time.perf_counter()
    sample = f"--max_num_images {min(COLMAP_IMAGES, len(names))}"
    run(f"vocab_tree_builder --vocab_tree_path empty --num_iterations {COLMAP_ROUNDS} {sample}")
    run(f"{retrieve} empty --output_index_path tree")
    seconds = time.perf_counter() - start
    size = ((folder / "tree").stat().st_size - (folder / "empty").stat().st_size) / len(names)
    yield Method("COLMAP, 65,536 words", partial(rank, 0), size, seconds)
    yield Method("COLMAP, verified", partial(rank, COLMAP_VERIFIED), size, seconds)


def add_to_colmap(folder: Path, kind: str, images: Iterable[Features]) -> None:
    """Put images, called by their kind and number, into COLMAP's database, and into a list."""
    sql = sqlite3.connect(folder / "colmap.db")
    sql.execute("INSERT OR IGNORE INTO cameras VALUES (1, 0, 1, 1, x'', 0)")
    names = []
    for number, features in enumerate(images):
        names.append(f"{kind}{number}")
        insert = "INSERT INTO images (name, camera_id) VALUES (?, 1)"
        row = sql.execute(insert, names[-1:]).lastrowid
        # COLMAP's origin is the corner of the first pixel, its scale a radius, and its own
        # RootSIFT twice as long as ours.
        x, y, size, angle = features.keypoints.T
        frames = np.column_stack([x + 0.5, y + 0.5, size / 2, np.deg2rad(angle)])
        doubled = np.minimum(2 * features.descriptors.astype(np.float32), 255).astype(np.uint8)
        for table, array in {"keypoints": frames, "descriptors": doubled}.items():
            insert = f"INSERT INTO {table} (image_id, rows, cols, data) VALUES (?, ?, ?, ?)"
            sql.execute(insert, [row, *array.shape, array.tobytes()])
    sql.commit()
    sql.close()
    (folder / f"{kind}.txt").write_text("\n".join(names), "utf-8")


def opencv(database: Database) -> Iterator[Method]:
    # OpenCV 5 has moved its bag of words to the contributed modules.
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


def faiss_votes(database: Database) -> Iterator[Method]:
    faiss.omp_set_num_threads(available_jobs())  # bovw sets what it needs itself
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
        # Neighbours come nearest first, and unique keeps the first of a feature and image.
        _, first = np.unique(pairs, return_index=True)
        return database.best(np.bincount(images.flat[first], margins.flat[first], count))

    size = (faiss.serialize_index(index).nbytes - empty) / count
    yield Method(f"faiss, {FAISS_INDEX}", partial(each, find), size, seconds)


def brute(database: Database) -> Iterator[Method]:
    descriptors = [features.descriptors.astype(np.float32) for features in database.features]
    kept: dict[Asked, tuple[list[Matches], float]] = {}

    def rank(count: Count, queries: Iterable[Asked]) -> Iterator[Answer]:
        for query in queries:
            start = time.perf_counter()
            if query not in kept:
                asked = query.features.descriptors.astype(np.float32)
                matches = [match(asked, image) for image in descriptors]
                kept[query] = matches, time.perf_counter() - start
            # What the matches took counts for both methods.
            matches, seconds = kept[query]
            start = time.perf_counter()
            pairs = zip(database.features, matches, strict=True)
            names = database.best(np.array([count(query.features, *pair) for pair in pairs]))
            yield names, seconds + time.perf_counter() - start

    features = database.count / len(database.names)
    by_matches = partial(rank, lambda query, image, matches: len(matches[0]))
    yield Method("brute force, ratio test", by_matches, 128 * features, 0, slow=True)
    # With two numbers for a position.
    yield Method("brute force, homography", partial(rank, inliers), 136 * features, 0, slow=True)


def match(query: Floats, image: Floats) -> Matches:
    """Return the features of a query that pass the ratio test, and what they match in an image.

    A feature of the image keeps its nearest match only: without that, homographies which carry the
    whole query onto one point have the most inliers.
    """
    own, rows = (query * query).sum(1), np.arange(len(query))
    distances = (-2 * query) @ image.T
    distances += (image * image).sum(1)
    nearest = distances.argmin(1)
    first = distances[rows, nearest] + own
    distances[rows, nearest] = np.inf
    passed = np.flatnonzero(first < RATIO**2 * (distances.min(1) + own))
    passed = passed[np.argsort(first[passed], kind="stable")]
    matched, best = np.unique(nearest[passed], return_index=True)
    return passed[best], matched


def inliers(query: Features, image: Features, matches: Matches) -> int:
    if len(matches[0]) < 4:
        return 0
    ends = query.keypoints[matches[0], :2], image.keypoints[matches[1], :2]
    _, mask = cv2.findHomography(*ends, cv2.USAC_MAGSAC, TOLERANCE)
    return 0 if mask is None else int(mask.sum())


PEERS: dict[str, Callable[[Database], Iterator[Method]]] = {
    "bovw": bovw,
    "colmap": colmap,
    "opencv": opencv,
    "faiss": faiss_votes,
    "brute": brute,
}


def figures(
    method: Method, answers: dict[Asked, Answer], queries: Sequence[Asked], images: Sequence[str]
) -> dict[str, Any]:
    """Return what a method measured on `queries`; images that it left out rank last, by name."""
    found: dict[str, Any] = {}
    for dataset in dict.fromkeys(query.dataset for query in queries):
        judged = [
            (list(dict.fromkeys([*answers[query][0], *images])), query.judgement)
            for query in queries
            if query.dataset == dataset
        ]
        found[dataset] = {
            "queries": len(judged),
            "map": fmean(average_precision(r, j.positives, j.junk) for r, j in judged),
            "recall_at_1": fmean(first_is_positive(r, j.positives, j.junk) for r, j in judged),
        }
    return {
        "method": method.name,
        "datasets": found,
        "milliseconds": 1e3 * median(answers[query][1] for query in queries),
        "bytes_per_image": method.bytes_per_image,
        "build_seconds": method.build_seconds,
    }


def as_markdown(title: str, rows: Sequence[dict[str, Any]]) -> str:
    datasets = [f"{name} ({d['queries']})" for name, d in rows[0]["datasets"].items()]
    headings = [title, *datasets, "ms a query", "kB an image", "s to build"]
    lines = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    for row in rows:
        cells = [f"{d['map']:.3f}, {d['recall_at_1']:.3f}" for d in row["datasets"].values()]
        seconds = row["build_seconds"]
        cells += [f"{row['milliseconds']:,.0f}", f"{row['bytes_per_image'] / 1000:.1f}"]
        cells += ["given" if seconds is None else f"{seconds:,.0f}"]
        lines.append(f"| {' | '.join([row['method'], *cells])} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
