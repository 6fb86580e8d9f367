"""Compares bovw with other ways to find images: same pictures, same features, same run.

    python benchmarks/peers IMAGES TRUTH.json [TRUTH.json...] [--index INDEX] [--brute N]
        [--only PEER...]

All truths must be about the same images. All peers get the features of bovw's describer, with
RootSIFT descriptors, and are used as their documentation says:

bovw    its methods, on INDEX or on a new index with defaults
colmap  the program's vocabulary tree with its defaults (3.8): 65,536 words, 64-bit signatures, 5
        words per query feature; then with its own verification, vote and verify, of the best 100.
        Its k-means is slow, so it trains on 300 random images for 5 rounds, not on all for 11
opencv  the bag of words of its tutorials: cv2.BOWKMeansTrainer, 2,000 words from 50,000 features.
        BOWImgDescriptorExtractor takes no descriptors in Python, so its work is done here: a
        histogram of the nearest words, found by FLANN. Histograms are compared by cosine
faiss   descriptors in IVF4096,PQ32, 16 lists visited. Each feature's 5 neighbours vote with how
        much nearer they are than the sixth, once per image (local naive Bayes nearest neighbour)
brute   N random queries of every truth are matched with every image: nearest descriptor, ratio to
        the second nearest below 0.8, one to one. Images rank by matches, or by the inliers of
        cv2.findHomography (USAC_MAGSAC, 5 pixels)

VISE has no Python package and ASMK's own package needs a compiler, so bovw's ASMK* stands for it.
mAP is the official one, and a region keeps the keypoints inside it. A query's time is the median
with features given; each program uses its own default number of threads. Build time starts at the
features, for bovw at the image files. Bytes count only what grows with the number of images.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

# The folder above has `machine`, and this folder as a package.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from machine import write_result

from bovw.evaluation.datasets import load
from bovw.search import Searcher
from peers.bovw_methods import bovw
from peers.brute_force import brute
from peers.colmap_tree import colmap
from peers.database import Database, Method, describe, draw, prepare
from peers.faiss_votes import faiss_votes
from peers.opencv_words import opencv
from peers.report import as_markdown, figures

PEERS: dict[str, Callable[[Database], Iterator[Method]]] = {
    "bovw": bovw,
    "colmap": colmap,
    "opencv": opencv,
    "faiss": faiss_votes,
    "brute": brute,
}


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


if __name__ == "__main__":
    main()
