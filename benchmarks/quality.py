"""Measures retrieval: how well are images found, by TF-IDF alone and with verification.

    python benchmarks/quality.py IMAGES TRUTH.json [TRUTH.json...] [--index INDEX]

Runs `bovw eval TRUTH --images IMAGES --rerank N` with N = 0 and 100 for every truth, all on one
index: the one given, or the one that `bovw eval` makes and keeps in the current folder. The table
gives mAP with its 95 % bootstrap interval, and R@1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from machine import typed, write_result

RERANKS = (0, 100)
HEADINGS = ("truth", "queries", "verified", "mAP", "95 %", "R@1")


def main() -> None:
    arguments = parse()
    runs = [evaluate(truth, arguments, n) for truth in arguments.truths for n in RERANKS]
    cells = [HEADINGS, *(row(run) for run in runs)]
    print(as_text(cells))
    print(as_markdown(cells))
    write_result("quality", {"runs": runs})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("images", type=Path, metavar="IMAGES")
    parser.add_argument("truths", type=Path, nargs="+", metavar="TRUTH.json")
    parser.add_argument("--index", type=Path)
    return parser.parse_args()


def evaluate(truth: Path, arguments: argparse.Namespace, rerank: int) -> dict[str, Any]:
    """Return what `bovw eval` reports of one truth, with the command line that made it."""
    words = ["eval", str(truth), "--images", str(arguments.images), "--rerank", str(rerank)]
    words += ["--index", str(arguments.index)] if arguments.index else []
    words += ["--format", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "bovw", *words], check=True, stdout=subprocess.PIPE, text=True
    )
    report: dict[str, Any] = json.loads(done.stdout)
    report["queries"] = len(report["queries"])
    report["settings"]["index"] = Path(report["settings"]["index"]).name
    return {"command": typed(["bovw", *words]), **report}


def row(run: dict[str, Any]) -> tuple[str, ...]:
    low, high = run["interval"]
    return (
        run["dataset"],
        str(run["queries"]),
        str(run["settings"]["rerank"]),
        f"{run['map']:.4f}",
        f"{low:.3f} to {high:.3f}",
        f"{run['recall_at_1']:.4f}",
    )


def as_text(cells: list[tuple[str, ...]]) -> str:
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEADINGS))]
    lines = (
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in cells
    )
    return "\n".join(lines) + "\n"


def as_markdown(cells: list[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(line)} |" for line in cells]
    lines.insert(1, "|" + "---|" * len(HEADINGS))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
