"""Measures accuracy against index size, with fewer features and shorter signatures.

    python benchmarks/size.py IMAGES TRUTH.json [TRUTH.json...] --vocab VOCAB
        [--features 200 400 800 1600 4000] [--bits 64 128]

Indexes the images once for every number of features and bits, always with the words of one
vocabulary of 128 bits. Then evaluates every truth on each index with default settings. Kilobytes
per image cover the whole index except the vocabulary.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from machine import write_result

from bovw.images.find import find_images
from bovw.ingest.build import build_index
from bovw.ingest.run import Recipe
from bovw.options import FeatureOptions
from bovw.vocab import Vocabulary


def main() -> None:
    arguments = parse()
    whole = Vocabulary.load(arguments.vocab)
    points = []
    print(f"{'features':>8} {'bits':>4} {'kB per image':>11}  mAP, R@1")
    for features in arguments.features:
        for bits in arguments.bits:
            vocabulary = replace(whole, projection=whole.projection[:bits])
            point = measure(arguments.images, arguments.truths, vocabulary, features)
            points.append({"max_features": features, "bits": bits, **point})
            figures = "  ".join(f"{e['map']:.3f}, {e['recall_at_1']:.3f}" for e in point["found"])
            print(f"{features:>8} {bits:>4} {point['kilobytes']:>11.1f}  {figures}", flush=True)
    write_result("size", {"points": points})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("images", type=Path, metavar="IMAGES")
    parser.add_argument("truths", type=Path, nargs="+", metavar="TRUTH.json")
    parser.add_argument("--vocab", type=Path, required=True)
    parser.add_argument("--features", type=int, nargs="+", default=[200, 400, 800, 1600, 4000])
    parser.add_argument("--bits", type=int, nargs="+", default=[64, 128])
    return parser.parse_args()


def measure(
    images: Path, truths: list[Path], vocabulary: Vocabulary, features: int
) -> dict[str, Any]:
    """Index the images with at most `features` features each; return size and accuracy."""
    with tempfile.TemporaryDirectory() as folder:
        index = build_index(
            find_images([images / "db"]),
            Path(folder) / "index",
            Recipe(vocabulary, features=FeatureOptions(max_features=features)),
        )
        kilobytes = sum(index.bytes().values()) / len(index) / 1000
        return {
            "kilobytes": kilobytes,
            "features": index.features / len(index),
            "found": [evaluate(truth, images, index.folder) for truth in truths],
        }


def evaluate(truth: Path, images: Path, index: Path) -> dict[str, Any]:
    command = ["eval", str(truth), "--images", str(images), "--index", str(index)]
    done = subprocess.run(
        [sys.executable, "-m", "bovw", *command, "--format", "json"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    report = json.loads(done.stdout)
    return {name: report[name] for name in ("dataset", "map", "recall_at_1")}


if __name__ == "__main__":
    main()
