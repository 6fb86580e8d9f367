"""Part 5: pictures of nothing but repetition, in an index with a few photographs."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bovw.demo.patterns import write_patterns
from bovw.images.find import find_images
from bovw.index import Index
from bovw.search.query import describe_query
from bovw.search.searcher import Searcher
from faults.commands import bovw
from faults.counts import Counts

PATTERNS, PHOTOGRAPHS = 100, 20
# Photographs that the general words are trained on.
TRAINED_ON = 200
# Seconds that training and indexing may take.
PATIENCE = 900


class Asked(NamedTuple):
    """What a picture costs as a query of an index that holds it, and what it finds.

    searching, all  processor seconds, of the search alone and with the description
    peak            MiB
    itself          whether it is confirmed itself
    others          kinds of others that are
    """

    name: str
    searching: float
    all: float
    peak: int
    itself: bool
    others: Counter[str]

    @property
    def kind(self) -> str:
        """What is repeated."""
        return kind_of(self.name)


def try_repetition(photos: Path, folder: Path) -> Counts:
    """Ask for all pictures of an index, with words of its own and with those of photographs."""
    found = [image.path for image in find_images([photos])]
    patterns = write_patterns(folder / "pictures" / "patterns", PATTERNS)
    own = copied(found, PHOTOGRAPHS, folder / "pictures" / "photographs")
    others = copied(found, TRAINED_ON, folder / "others")
    general = folder / "general"
    made = bovw("build-vocab", others[0].parent, "--out", general, "-q", patience=PATIENCE)
    made.check_returncode()
    counts: Counts = {"pictures": len(patterns), "photographs": len(own), "not_found": 0}
    for words, given in (("own words", ()), ("general words", ("--vocab", general))):
        command = ("index", folder / "pictures", "--index", folder / words, *given, "-q")
        bovw(*command, patience=PATIENCE).check_returncode()
        searcher = Searcher(Index.open(folder / words))
        # The first search also loads what is loaded only once.
        ask(searcher, own[0])
        asked = [ask(searcher, path) for path in [*own, *patterns]]
        counts["not_found"] += sum(not one.itself for one in asked)
        counts[words] = summary(asked)
    return counts


def copied(found: list[Path], count: int, folder: Path) -> list[Path]:
    """Copy so many of the pictures, evenly spread, into a folder."""
    folder.mkdir(parents=True)
    step = max(1, len(found) // count)
    paths = [folder / f"{n:03}{path.suffix}" for n, path in enumerate(found[::step][:count])]
    for path, to in zip(found[::step], paths, strict=False):
        shutil.copyfile(path, to)
    return paths


def ask(searcher: Searcher, path: Path) -> Asked:
    """Search for a picture, in this thread and its children."""
    # From here on, the process's peak is this query's.
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    start = time.process_time()
    features, region = describe_query(path, options=searcher.feature_options)
    described = time.process_time()
    hits = searcher.search_features(features, region)
    done = time.process_time()
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = int(status.split("VmHWM:")[1].split()[0]) // 1024
    name = f"{path.parent.name}/{path.name}"
    others = Counter(kind_of(hit.name) for hit in hits if hit.confirmed and hit.name != name)
    itself = any(hit.name == name and hit.confirmed for hit in hits)
    return Asked(name, done - described, done - start, peak, itself, others)


def kind_of(name: str) -> str:
    """Return what an image repeats; "photographs" for one that is none of them."""
    folder, file = name.split("/")
    return file.split("_")[0] if folder == "patterns" else folder


def summary(asked: list[Asked]) -> Counts:
    """Compare the drawn pictures with the photographs."""
    photographs = [one for one in asked if one.kind == "photographs"]
    drawn = [one for one in asked if one.kind != "photographs"]
    searching = max(one.searching for one in photographs)
    whole = max(one.all for one in photographs)
    kinds = {one.kind: [other for other in drawn if other.kind == one.kind] for one in drawn}
    return {
        "seconds of a photograph": median(photographs, "all"),
        "seconds of the slowest photograph": round(whole, 2),
        "its search alone": round(searching, 2),
        "MiB of a photograph": median(photographs, "peak"),
        "seconds of a drawn picture": median(drawn, "all"),
        "of the slowest": round(max(one.all for one in drawn), 2),
        "its search alone, the slowest": round(max(one.searching for one in drawn), 2),
        "MiB of a drawn picture, the most": max(one.peak for one in drawn),
        "over twice the slowest photograph": sum(one.all > 2 * whole for one in drawn),
        "in searching alone": sum(one.searching > 2 * searching for one in drawn),
        "photographs confirmed for drawn ones": sum(one.others["photographs"] for one in drawn),
        "drawn ones confirmed for photographs": sum(one.others.total() for one in photographs),
        **{kind: of_kind(kind, own) for kind, own in kinds.items()},
    }


def of_kind(kind: str, asked: list[Asked]) -> dict[str, Any]:
    """Return what pictures of a kind cost, and how many others each of them confirms."""
    return {
        "queries": len(asked),
        "seconds": median(asked, "all"),
        "others of its kind confirmed": sum(one.others[kind] for one in asked),
        "others of other kinds": sum(one.others.total() - one.others[kind] for one in asked),
    }


def median(asked: list[Asked], field: str) -> float:
    return round(float(np.median([getattr(one, field) for one in asked])), 2)
