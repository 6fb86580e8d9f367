"""Text for HTML. File names can contain anything and must not become markup."""

from __future__ import annotations

from html import escape

from bovw.compute.text import printable


def shown(name: str) -> str:
    """Return a name as HTML, with a question mark for each byte that is not UTF-8."""
    return escape(printable(name).encode("utf-8", "replace").decode())


def path_shown(name: str) -> str:
    """Return a name as HTML that may wrap after each folder."""
    return shown(name).replace("/", "/<wbr>")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 match", "4 matches", "1,200 images"."""
    plural = noun + ("es" if noun.endswith("ch") else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def probability_shown(probability: float) -> str:
    """Return a probability as a percentage; nothing is certain, so it is never 0% or 100%."""
    percent = f"{probability:.0%}"
    return {"0%": "under 1%", "100%": "over 99%"}.get(percent, percent)
