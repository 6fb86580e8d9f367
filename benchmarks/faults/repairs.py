"""Also in part 4: repairs damaged indexes with the commands that the messages suggest."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from bovw.index import Index
from bovw.index.catalog import read_meta
from bovw.options import SearchOptions
from bovw.search.searcher import Searcher
from faults.bench import SMALL, Bench, Rows, rows_of
from faults.commands import bovw, in_process
from faults.corruption import Damage, inflict
from faults.counts import Counts


def repairs(bench: Bench, folder: Path, work: list[Damage], rows: Rows, notes: list[str]) -> Counts:
    """Repair a sample of the damage as the messages suggest, and compare the answers."""
    whole = answers_of(bench, folder / "index", rows)
    counts = Counter[str](dict.fromkeys(
        ("damages", "by --repair and index", "by index --vocab", "by a new index",
         "not_brought_back"), 0))  # fmt: skip
    for number, damage in enumerate(work):
        counts["damages"] += 1
        index = folder / "repaired" / str(number) / "index"
        shutil.copytree(folder / "index", index)
        inflict(damage, index)
        how, said = bring_back(bench, folder / "photos", index)
        counts[how] += 1
        if not same_again(bench, index, folder / "index", rows, whole):
            counts["not_brought_back"] += 1
            notes.append(f"not brought back: {damage}: {how}: {said.strip()[-300:]}")
        shutil.rmtree(index.parent)
    return dict(counts)


def same_again(
    bench: Bench, index: Path, model: Path, rows: Rows, whole: dict[str, list[Any]]
) -> bool:
    """Tell whether an index is valid, and has the same content and answers as before."""
    if in_process("check", "--index", index)[0] or in_process("list", "--index", index)[0]:
        return False
    same_options = read_meta(index)["options"] == read_meta(model)["options"]
    return same_options and rows_of(index) == rows and answers_of(bench, index, rows) == whole


def answers_of(bench: Bench, index: Path, rows: Rows) -> dict[str, list[Any]]:
    """Search an index for all its pictures, without links, because a repair drops them."""
    searcher = Searcher(Index.open(index), SearchOptions(augment=False))
    answers = {}
    for name, sha in rows.items():
        hits = searcher.search_features(*bench.query(searcher, sha), 5)
        answers[name] = [[h.rank, h.name, h.inliers, float(f"{h.score:.4g}")] for h in hits]
    return answers


def bring_back(bench: Bench, photos: Path, index: Path) -> tuple[str, str]:
    """Repair an index as a user would; return what helped, and the output of the repair."""
    repaired = bovw("check", "--repair", "--index", index)
    said = repaired.stdout + repaired.stderr
    if repaired.returncode == 0 and bovw("index", photos, "--index", index).returncode == 0:
        return "by --repair and index", said
    again = bovw("index", photos, "--index", index, "--vocab", bench.vocab, *SMALL)
    if again.returncode == 0:
        bovw("check", "--repair", "--index", index)
        return "by index --vocab", said
    shutil.rmtree(index)
    bovw("index", photos, "--index", index, "--vocab", bench.vocab, *SMALL)
    return "by a new index", said
