"""Stage 7: write answers as a table, JSON, CSV, paths, or a TREC run."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from bovw.compute.text import printable
from bovw.records import Hit


@dataclass(frozen=True)
class Answer:
    """The hits of one query; `query` is what the user called it."""

    query: str
    hits: Sequence[Hit]


def as_table(answers: Iterable[Answer]) -> Iterator[str]:
    """Write aligned columns for people, with a heading for each query."""
    for number, answer in enumerate(answers):
        yield "\n" * bool(number) + _table(answer)


def as_json(answers: Iterable[Answer]) -> Iterator[str]:
    """Write one JSON array with an object per query: {"query", "hits": [...]}."""
    before = "["
    for answer in answers:
        content = {"query": answer.query, "hits": [_record(hit) for hit in answer.hits]}
        text = json.dumps(content, indent=1)
        yield before + "\n " + text.replace("\n", "\n ")  # lines end between values only
        before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def as_jsonl(answers: Iterable[Answer]) -> Iterator[str]:
    """Write one JSON object per hit, each on a line."""
    for answer in answers:
        records = ({"query": answer.query, **_record(hit)} for hit in answer.hits)
        yield "".join(json.dumps(record) + "\n" for record in records)


def as_csv(answers: Iterable[Answer]) -> Iterator[str]:
    """Write one row per hit, with the corners of the box; empty if no geometry agrees."""
    yield from _as_csv(answers, printable)


def as_spreadsheet(answers: Iterable[Answer]) -> Iterator[str]:
    """Write CSV whose texts no spreadsheet takes for a formula: an apostrophe leads such ones."""
    yield from _as_csv(answers, _no_formula)


def as_paths(answers: Iterable[Answer]) -> Iterator[str]:
    """Write one absolute path per line; those with control characters are quoted as in JSON."""
    for answer in answers:
        yield "".join(f"{printable(hit.path)}\n" for hit in answer.hits)


def as_trec(answers: Sequence[Answer], run: str = "bovw") -> str:
    """Write a TREC run: query, Q0, name, rank, score, run; names are percent-encoded."""
    return "".join(
        f"{_percent(a.query)} Q0 {_percent(hit.name)} {hit.rank} {hit.score:.6f} {run}\n"
        for a in answers
        for hit in a.hits
    )


class Writer(Protocol):
    """Writes the answers of some queries as text."""

    def __call__(self, answers: Iterable[Answer]) -> Iterator[str]:
        """Yield the text in parts: that of an answer once the answer is there."""


# By their names on the command line.
WRITERS: dict[str, Writer] = {
    "table": as_table,
    "json": as_json,
    "jsonl": as_jsonl,
    "csv": as_csv,
    "spreadsheet": as_spreadsheet,
    "paths": as_paths,
}


def conclusion(hits: Sequence[Hit]) -> str:
    """Say in a line whether anything was found."""
    sure = sum(hit.confirmed for hit in hits)
    if sure:
        return f"found: {sure:,} {'image' if sure == 1 else 'images'}"
    best = min((hit.false_alarms for hit in hits if hit.false_alarms is not None), default=None)
    if best is None:
        return "not found: nothing here agrees with it"
    return (
        f"not found: nothing here agrees with it (the best is what chance gives in {often(best)})"
    )


def often(false_alarms: float) -> str:
    """Say how often a query without a match has a hit as good."""
    queries = round(1 / max(false_alarms, 1e-9))
    return "every query" if queries <= 1 else f"1 of {queries:,} queries"


def _table(answer: Answer) -> str:
    lines = [printable(answer.query)]
    headings = ("rank", "match", "probability", "false alarms", "inliers")
    lines += ["{:>5} {:>7} {:>12} {:>13} {:>8}  name".format(*headings)]
    for hit in answer.hits:
        cells = hit.rank, *_evidence(hit), hit.inliers or "-"
        lines.append("{:>5} {:>7} {:>12} {:>13} {:>8}  ".format(*cells) + printable(hit.name))
    return "\n".join([*lines, conclusion(answer.hits)]) + "\n"


def _evidence(hit: Hit) -> tuple[str, str, str]:
    if hit.false_alarms is None:
        return "-", "-", "-"
    # Only what is certain is rounded to 0 or 1.
    probability = f"{min(max(hit.probability, 0.001), 0.999):.3f}"
    alarms = f"{hit.false_alarms:.2g}" if hit.false_alarms >= 1e-6 else "< 0.000001"
    return hit.certainty, probability, alarms


def _record(hit: Hit) -> dict[str, Any]:
    return {
        "rank": hit.rank,
        "name": hit.name,
        "score": hit.score,
        "probability": hit.probability,
        "false_alarms": hit.false_alarms,
        "confirmed": hit.confirmed,
        "inliers": hit.inliers,
        "transform": None if hit.transform is None else hit.transform.tolist(),
        "box": None if hit.box is None else hit.box.tolist(),
        "path": hit.path,
    }


def _rows(rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC).writerows(rows)
    return out.getvalue()


def _as_csv(answers: Iterable[Answer], text: Callable[[str], str]) -> Iterator[str]:
    corners = [f"{axis}{corner}" for corner in range(1, 5) for axis in "xy"]
    cells = [f"h{row}{column}" for row in range(1, 4) for column in range(1, 4)]
    evidence = ["probability", "false_alarms", "confirmed", "inliers"]
    yield _rows([["query", "rank", "name", "score", *evidence, *corners, *cells, "path"]])
    for answer in answers:
        yield _rows(_cells(text(answer.query), hit, text) for hit in answer.hits)


def _cells(query: str, hit: Hit, text: Callable[[str], str]) -> list[object]:
    box = [""] * 8 if hit.box is None else hit.box.ravel().tolist()
    transform = [""] * 9 if hit.transform is None else hit.transform.ravel().tolist()
    alarms = "" if hit.false_alarms is None else hit.false_alarms
    sure = [hit.probability, alarms, int(hit.confirmed), hit.inliers]
    place = [*box, *transform, text(hit.path)]
    return [query, hit.rank, text(hit.name), hit.score, *sure, *place]


def _no_formula(name: str) -> str:
    told = printable(name)
    return f"'{told}" if told.startswith(("=", "+", "-", "@")) else told


def _percent(name: str) -> str:
    return quote(os.fsencode(name), safe="/")
