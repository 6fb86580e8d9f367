"""Data sets of tiny images, and their judgements."""

from __future__ import annotations

from pathlib import Path

from bovw.evaluation.datasets import Dataset, Judgement

OXFORD = ("keble_000001", "keble_000002", "keble_000003", "oxford_000004", "oxford_000005")


def draw(root: Path, *names: str) -> Path:
    """Put an empty file where each image would be: loading a data set opens none."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def write_text(folder: Path, query: str, good: str, ok: str, junk: str, topic: str) -> None:
    folder.mkdir(exist_ok=True)
    texts = {"query": query, "good": good, "ok": ok, "junk": junk}
    for label, text in texts.items():
        (folder / f"{topic}_{label}.txt").write_text(text.replace(" ", "\n") + "\n")
    (folder / f"{topic}_query.txt").write_text(query + "\n")


def judged(dataset: Dataset, setting: str = "all", query: int = 0) -> Judgement:
    return dataset.queries[query].judgements[setting]
