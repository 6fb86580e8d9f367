"""Names and messages of anyone are printed without steering the terminal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bovw.compute.text import one_line, printable

# What a terminal obeys, a line's end, and marks that turn the text around.
UNSAFE = ["\x1b[2J", "\x9b2J", "\x07", "\n", "\r", "\t", "\x7f", "\x85", "\u2028", "\u2029",
          "\u202e", "\u2066", "\u200f", "\u061c", "\ufeff"]  # fmt: skip
SAFE = [
    "plain.jpg",
    "ünï 日本 \U0001f5bc",
    "not utf-8 \udcff",
    "\U0001f468\u200d\U0001f469",
    "\u0645\u06cc\u200c\u062e",
]


@pytest.mark.parametrize("mark", UNSAFE)
def test_what_is_unsafe_is_escaped(mark: str) -> None:
    name = f"a{mark}b.jpg"
    assert json.loads(printable(name)) == name
    assert printable(name).isascii() and printable(name).isprintable()
    assert one_line(f"ü {name}").isprintable()
    assert one_line(f"ü {name}") == f"ü {json.dumps(name)[1:-1]}"


@pytest.mark.parametrize("name", SAFE)
def test_what_is_safe_stays(name: str) -> None:
    assert printable(name) == one_line(name) == name


@given(st.text())
def test_a_line_stays_a_line(name: str) -> None:
    for told in (printable(name), one_line(name)):
        assert len(told.splitlines()) <= 1
        assert "\x1b" not in told
