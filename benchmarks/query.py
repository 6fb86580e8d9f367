"""Times the parts of a query: cold, in a new process, and warm, in one that has searched before.

    python benchmarks/query.py INDEX IMG [IMG...] [--images 5000] [--rounds 5]

INDEX is first grown to 5,000 images as in benchmarks/growth.py. In each round, and for every image,
a new process does what `bovw query` does and notes when each part ends. It then searches for the
next image, too: that is the warm query. `bovw query` itself is timed beside it. The results are
medians and 95th percentiles over rounds and images, with files in the cache and all cores in use.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from growth import build
from machine import write_result

from bovw.index import Index

GOALS = {"cold": 1.0, "warm": 0.06}
BOVW = str(Path(sysconfig.get_path("scripts")) / "bovw")

# Does the same as Searcher.search_features, but notes the time after each part.
PARTS = """
import json, sys, time
lap = time.perf_counter()
parts = [{}]
def done(name):
    global lap
    now = time.perf_counter()
    parts[-1][name] = parts[-1].get(name, 0) + now - lap
    lap = now
from pathlib import Path
import bovw.cli
from bovw.index import Index
from bovw.search import LocalQuestion, Searcher, describe_query, rank_images
from bovw.search.expansion import expand
from bovw.results.formats import WRITERS, Answer
done("imports")
searcher = Searcher(Index.open(sys.argv[1]))
done("open")
for image in sys.argv[2:]:
    described, region = describe_query(Path(image), options=searcher.feature_options)
    done("decode and SIFT")
    searcher.vocabulary.assigner
    done("open")
    query = searcher.word_query(described, region)
    done("words")
    question = LocalQuestion(searcher.index, query, searcher.options)
    ranking = question.rank(searcher.options.rerank)
    done("score")
    verified = question.verify(ranking.images)
    confirmed = [one for one in verified if one.confirmed]
    done("verify")
    best = verified[: searcher.options.expand]
    segments = searcher.index.segments
    scores = expand(question.all_scores, best, region, segments, question._score)
    done("expand")
    ranking = rank_images(searcher.index, scores, 20 + len(confirmed))
    hits = searcher._hits(ranking, question.scores(confirmed), confirmed, region)[:20]
    "".join(WRITERS["table"]([Answer(image, hits)]))
    done("answer")
    parts.append({})
print(json.dumps(parts[:-1]))
"""


def main() -> None:
    arguments = parse()
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        build(Index.open(arguments.index), index, arguments.images)
        ask(index, arguments.queries[:2])
        pairs = list(zip(arguments.queries, np.roll(arguments.queries, -1), strict=True))
        asked = [ask(index, pair) for _ in range(arguments.rounds) for pair in pairs]
    cold, warm = ([one[kind] for one in asked] for kind in (0, 1))
    parts = {"cold": summary(cold), "warm": summary(warm)}
    parts["cold"]["bovw query"] = spread([one[2]["bovw query"] for one in asked])
    print(f"{'':<20} {'cold p50':>9} {'p95':>6} {'warm p50':>9} {'p95':>6}  (seconds)")
    for name, (p50, p95) in parts["cold"].items():
        warm50, warm95 = parts["warm"].get(name, (float("nan"),) * 2)
        print(f"{name:<20} {p50:>9.3f} {p95:>6.3f} {warm50:>9.3f} {warm95:>6.3f}")
    print(f"goals beyond decode and SIFT: {GOALS['cold']} cold, {GOALS['warm']} warm unexpanded")
    write_result(
        "query", {"images": arguments.images, "rounds": arguments.rounds, "goals": GOALS, **parts}
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("index", type=Path, metavar="INDEX")
    parser.add_argument("queries", type=Path, nargs="+", metavar="IMG")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def ask(index: Path, images: Any) -> list[dict[str, float]]:
    """Return the seconds of the parts of a cold and a warm query, and of `bovw query`."""
    names = [str(image) for image in images]
    command = [sys.executable, "-c", PARTS, str(index), *names]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    cold, warm = json.loads(done.stdout.splitlines()[-1])
    start = time.perf_counter()
    subprocess.run(
        [BOVW, "query", names[0], "--index", str(index)], check=True, capture_output=True
    )
    return [cold, warm, {"bovw query": time.perf_counter() - start}]


def summary(asked: list[dict[str, float]]) -> dict[str, list[float]]:
    """Return the median and 95th percentile of every part, and of all parts after SIFT."""
    names = list(asked[0])
    values = {name: spread([one.get(name, 0.0) for one in asked]) for name in names}
    beyond = [sum(one.values()) - one["decode and SIFT"] for one in asked]
    expansion = [one["expand"] for one in asked]
    values["beyond SIFT"] = spread(beyond)
    values["and unexpanded"] = spread([b - e for b, e in zip(beyond, expansion, strict=True)])
    return values


def spread(seconds: list[float]) -> list[float]:
    return [float(np.percentile(seconds, share)) for share in (50, 95)]


if __name__ == "__main__":
    main()
