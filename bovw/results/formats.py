"""Stage 7: write answers as a table, JSON, CSV, paths, or a TREC run."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from bovw.records import Hit


@dataclass(frozen=True)
class Answer:
    """The hits of one query; `query` is what the user called it."""

    query: str
    hits: Sequence[Hit]


def printable(name: str) -> str:
    """Return `name`, quoted as in JSON if its control characters would break a line."""
    return name if name.isprintable() or not _has_control(name) else json.dumps(name)


def as_table(answers: Sequence[Answer]) -> str:
    """Write aligned columns for people, with a heading for each query."""
    return "\n".join(_table(answer) for answer in answers)


def as_json(answers: Sequence[Answer]) -> str:
    """Write one JSON array with an object per query: {"query", "hits": [...]}."""
    content = [{"query": a.query, "hits": [_record(hit) for hit in a.hits]} for a in answers]
    return json.dumps(content, indent=1) + "\n"


def as_jsonl(answers: Sequence[Answer]) -> str:
    """Write one JSON object per hit, each on a line."""
    records = ({"query": a.query, **_record(hit)} for a in answers for hit in a.hits)
    return "".join(json.dumps(record) + "\n" for record in records)


def as_csv(answers: Sequence[Answer]) -> str:
    """Write one row per hit, with the corners of the box; empty if not verified."""
    out = io.StringIO()
    # Every text is quoted, because a bare carriage return in a name would end the row.
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    corners = [f"{axis}{corner}" for corner in range(1, 5) for axis in "xy"]
    cells = [f"h{row}{column}" for row in range(1, 4) for column in range(1, 4)]
    writer.writerow(["query", "rank", "name", "score", "inliers", *corners, *cells, "path"])
    for answer in answers:
        for hit in answer.hits:
            box = [""] * 8 if hit.box is None else hit.box.ravel().tolist()
            transform = [""] * 9 if hit.transform is None else hit.transform.ravel().tolist()
            row = [answer.query, hit.rank, hit.name, hit.score, hit.inliers, *box, *transform]
            writer.writerow([*row, hit.path])
    return out.getvalue()


def as_paths(answers: Sequence[Answer]) -> str:
    """Write one absolute path per line; those with control characters are quoted as in JSON."""
    return "".join(f"{printable(hit.path)}\n" for answer in answers for hit in answer.hits)


def as_trec(answers: Sequence[Answer], run: str = "bovw") -> str:
    """Write a TREC run: query, Q0, name, rank, score, run; names are percent-encoded."""
    return "".join(
        f"{_percent(a.query)} Q0 {_percent(hit.name)} {hit.rank} {hit.score:.6f} {run}\n"
        for a in answers
        for hit in a.hits
    )


class Writer(Protocol):
    """Writes the answers of some queries as text."""

    def __call__(self, answers: Sequence[Answer]) -> str:
        """Return the whole text."""


# By their names on the command line.
WRITERS: dict[str, Writer] = {
    "table": as_table,
    "json": as_json,
    "jsonl": as_jsonl,
    "csv": as_csv,
    "paths": as_paths,
}


def _table(answer: Answer) -> str:
    lines = [printable(answer.query), f"{'rank':>5} {'score':>9} {'inliers':>8}  name"]
    lines += [
        f"{hit.rank:>5} {hit.score:>9.3f} {hit.inliers or '-':>8}  {printable(hit.name)}"
        for hit in answer.hits
    ]
    return "\n".join(lines) + "\n"


def _record(hit: Hit) -> dict[str, Any]:
    return {
        "rank": hit.rank,
        "name": hit.name,
        "score": hit.score,
        "inliers": hit.inliers,
        "transform": None if hit.transform is None else hit.transform.tolist(),
        "box": None if hit.box is None else hit.box.tolist(),
        "path": hit.path,
    }


def _has_control(name: str) -> bool:
    # Line separators split lines for some readers, as control characters do.
    return any(ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029" for c in name)


def _percent(name: str) -> str:
    return quote(os.fsencode(name), safe="/")
