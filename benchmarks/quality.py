"""Measures retrieval quality of every method, from TF-IDF to the default.

    python benchmarks/quality.py IMAGES TRUTH.json [TRUTH.json...] [--index INDEX] [--name quality]

Runs `bovw eval TRUTH --images IMAGES --ablation` for every truth, all on the same index: INDEX, or
the one that `bovw eval` creates and keeps in the current folder. The table shows mAP and R@1, and
the median search time on the last truth.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from machine import typed, write_result


def main() -> None:
    arguments = parse()
    runs = [evaluate(truth, arguments) for truth in arguments.truths]
    print(as_markdown(runs))
    write_result(arguments.name, {"runs": runs})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("images", type=Path, metavar="IMAGES")
    parser.add_argument("truths", type=Path, nargs="+", metavar="TRUTH.json")
    parser.add_argument("--index", type=Path)
    parser.add_argument("--name", default="quality", help="of the file in benchmarks/results")
    return parser.parse_args()


def evaluate(truth: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the report of `bovw eval` on one truth, and its command line."""
    words = ["eval", str(truth), "--images", str(arguments.images), "--ablation"]
    words += ["--index", str(arguments.index)] if arguments.index else []
    words += ["--format", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "bovw", *words], check=True, stdout=subprocess.PIPE, text=True
    )
    return {"command": typed(["bovw", *words]), **json.loads(done.stdout)}


def as_markdown(runs: list[dict[str, Any]]) -> str:
    headings = ["method", *(run["dataset"] for run in runs), "ms per query"]
    lines = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    for number, rung in enumerate(runs[-1]["rungs"]):
        rungs = [run["rungs"][number] for run in runs]
        cells = [f"{r['map']:.3f}, {r['recall_at_1']:.3f}" for r in rungs]
        cells = [rung["method"], *cells, f"{rung['milliseconds']:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
