"""Draws the results of the other scripts into `docs/images`.

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
    drawn = {
        "growth": draw_growth,
        "query": draw_query,
        "size": draw_size,
        "scale": draw_scale,
        "trust": draw_trust,
    }
    for name, draw in drawn.items():
        path = HERE / "results" / f"{name}.json"
        if path.is_file():
            draw(json.loads(path.read_text(encoding="utf-8")))
            plt.tight_layout()
            plt.savefig(IMAGES / f"{name}.png", dpi=110)
            plt.close()
            print(IMAGES / f"{name}.png")


def draw_growth(result: dict[str, Any]) -> None:
    """Draw every quantity against the number of images, on logarithmic axes."""
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
    """Draw accuracy against kilobytes per image: mAP, or R@1 where only one image is right."""
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


def draw_scale(result: dict[str, Any]) -> None:
    """Draw the forecast against the number of images: seconds per query, hours to build."""
    sizes = result["sizes"]
    images = [size["images"] for size in sizes]
    _, (asked, built) = plt.subplots(1, 2, figsize=(10, 4))
    for features, style in zip(
        sorted({row["features"] for row in result["validation"]}), "x+", strict=True
    ):
        rows = [row for row in result["validation"] if row["features"] == features]
        few = [row["images"] for row in rows]
        label = f"one core, {features:,.0f} features, measured after SIFT"
        asked.loglog(few, [row["p50"] for row in rows], f"k{style}", label=label)
        asked.loglog(few, [row["predicted p50"] for row in rows], "k:")
    one = [size["one core"]["p50"] for size in sizes[:3]]
    asked.loglog(images[:3], one, "o-", label="one core, all in memory")
    for number, straggling in enumerate(sizes[0]["spread"], 1):
        spread = [size["spread"][straggling] for size in sizes]
        for percentile, style in (("p50", "o-"), ("p95", "o--")):
            values = [found["whole"][percentile] for found in spread]
            label = f"nodes for 1 s, {percentile}, straggling {straggling}"
            asked.loglog(images, values, style, color=f"C{number}", label=label)
    for workers in sizes[0]["spread"]["0.2"]["hours"]:
        hours = [size["spread"]["0.2"]["hours"][workers] for size in sizes]
        built.loglog(images, hours, "o-", label=f"{int(workers):,} workers")
    asked.set(xlabel="images", ylabel="seconds a query", ylim=(0.02, 5))
    built.set(xlabel="images", ylabel="hours to build, straggling 0.2")
    for ax in (asked, built):
        ax.grid(alpha=0.3)
        ax.legend(fontsize=7, loc="lower right" if ax is asked else "upper left")


def draw_trust(result: dict[str, Any]) -> None:
    """Draw false alarms against the rate that was asked for, and how often probabilities hold."""
    _, (alarms, reliable) = plt.subplots(1, 2, figsize=(11, 4.6))
    for number, (kind, measured) in enumerate(result["alarms"].items()):
        rates = [rate for rate in measured["rates"] if rate["measured"]]
        # Kinds are moved apart a little, so that their intervals can be told from each other.
        asked = [rate["asked"] * 1.06 ** (number - 2) for rate in rates]
        values = [rate["measured"] for rate in rates]
        below = [value - rate["interval"][0] for value, rate in zip(values, rates, strict=True)]
        above = [rate["interval"][1] - value for value, rate in zip(values, rates, strict=True)]
        label = f"{kind}: {measured['asked']} queries"
        alarms.errorbar(asked, values, [below, above], fmt="o-", label=label, capsize=2, lw=1)
    line = [1e-3, 1.0]
    alarms.plot(line, line, "k", lw=1)
    alarms.fill_between(line, [x / 2 for x in line], [x * 2 for x in line], color="k", alpha=0.08)
    alarms.set(xscale="log", yscale="log", xlabel="false alarms per query, asked for",
               ylabel="measured", ylim=(3e-4, 2))  # fmt: skip
    said, true, counts = zip(*result["reliability"]["all"]["diagram"], strict=True)
    reliable.plot([0, 1], [0, 1], "k", lw=1)
    reliable.scatter(said, true, [10 + 60 * count / max(counts) for count in counts])
    reliable.set(xlabel="probability, said", ylabel="share that is right")
    for ax in (alarms, reliable):
        ax.grid(alpha=0.3)
    alarms.legend(fontsize=7)


if __name__ == "__main__":
    main()
