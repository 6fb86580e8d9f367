"""Why a query finds an image or not, as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

from bovw.compute.text import one_line, printable
from bovw.results import often
from bovw.search import Explanation


def as_text(query: str, name: str, found: Explanation) -> str:
    """Return an explanation as lines for people, its reason first."""
    evidence = found.evidence
    looked_at = "verified" if found.rank <= found.verified else "not verified by a search"
    rows = {
        "rank before verification": f"{found.rank:,} of {found.images:,} ({looked_at})",
        "score before verification": f"{found.score:.3f}",
        "visual words in both": f"{found.shared:,}",
        "tentative matches": f"{evidence.tentative:,}",
        "inliers of the best transform": f"{evidence.inliers:,}",
        "in different places": f"{evidence.effective:,}",
        "needed for a match": "no number" if found.needed is None else f"{found.needed:,}",
        "by chance": "-" if found.false_alarms is None else f"in {often(found.false_alarms)}",
        "probability": f"{min(found.probability, 0.999):.3f}",
    }
    lines = [f"{printable(query)} and {printable(name)}: {one_line(found.reason)}"]
    return "\n".join([*lines, *(f"  {key:<31}{value}" for key, value in rows.items())])


def as_json(query: str, name: str, found: Explanation) -> str:
    """Return an explanation as a JSON object."""
    content = asdict(found) | {
        "transform": None if found.transform is None else found.transform.tolist(),
        "points": found.points.tolist(),
    }
    return json.dumps({"query": query, "name": name, **content}, indent=1)
