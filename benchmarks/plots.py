"""Draws what the other scripts measured, into `docs/images`.

python benchmarks/plots.py
"""

from __future__ import annotations

import json
from typing import Any

import matplotlib as mpl
from machine import HERE

mpl.use("Agg")
from matplotlib import pyplot as plt

IMAGES = HERE.parent / "docs" / "images"
COVERED = ("imports", "open", "decode and SIFT", "words", "score", "verify", "expand", "answer")


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    for name, draw in (("growth", draw_growth), ("query", draw_query), ("size", draw_size)):
        path = HERE / "results" / f"{name}.json"
        if path.is_file():
            draw(json.loads(path.read_text(encoding="utf-8")))
            plt.tight_layout()
            plt.savefig(IMAGES / f"{name}.png", dpi=110)
            plt.close()
            print(IMAGES / f"{name}.png")


def draw_growth(result: dict[str, Any]) -> None:
    """Draw every quantity against the number of images, on log axes."""
    panels = {
        "seconds": {"build": "write and commit", "open": "open", "p50": "query, p50"},
        "megabytes": {"own_megabytes": "own memory", "mapped_megabytes": "mapped", "bytes": "disk"},
    }
    images = [size["images"] for size in result["sizes"]]
    _, axes = plt.subplots(1, 2, figsize=(10, 4))
    for ax, (unit, quantities) in zip(axes, panels.items(), strict=True):
        for name, label in quantities.items():
            values = [size[name] / (1e6 if name == "bytes" else 1) for size in result["sizes"]]
            fitted = f"{label}: N^{result['exponents'][name]:.2f}"
            ax.loglog(images, values, "o-", label=fitted)
        ax.set(xlabel="images", ylabel=unit)
        ax.grid(alpha=0.3)
        ax.legend()


def draw_query(result: dict[str, Any]) -> None:
    """Draw the median parts of a cold and of a warm query, one after the other."""
    _, ax = plt.subplots(figsize=(10, 2.4))
    for kind in ("warm", "cold"):
        left = 0.0
        for number, name in enumerate(COVERED):
            seconds = result[kind].get(name, [0.0])[0]
            label = name if kind == "cold" else None
            ax.barh(kind, seconds, left=left, color=f"C{number}", label=label)
            left += seconds
    ax.set(xlabel=f"seconds, {result['images']:,} images")
    ax.legend(ncols=len(COVERED), loc="lower center", bbox_to_anchor=(0.5, 1), fontsize=8)


def draw_size(result: dict[str, Any]) -> None:
    """Draw what is found against kilobytes an image: mAP, or R@1 where one image is right."""
    _, ax = plt.subplots(figsize=(7, 4))
    for number, first in enumerate(result["points"][0]["found"]):
        kind = "map" if "paris" in first["dataset"] else "recall_at_1"
        for bits, style in ((64, "o--"), (128, "o-")):
            points = sorted(
                (point["kilobytes"], point["found"][number][kind])
                for point in result["points"]
                if point["bits"] == bits
            )
            name = "mAP" if kind == "map" else "R@1"
            label = f"{first['dataset']}, {name}, {bits} bits"
            ax.plot(*zip(*points, strict=True), style, color=f"C{number}", label=label)
    ax.set(xlabel="kilobytes an image")
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)


if __name__ == "__main__":
    main()
