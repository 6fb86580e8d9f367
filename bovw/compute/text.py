"""Text that is safe to print: names and messages may come from files of anyone."""

from __future__ import annotations

import json
import unicodedata

# Marks that some scripts and emoji need; they move no text.
_JOINERS = "\u200c\u200d"


def printable(name: str) -> str:
    """Return `name`, quoted as in JSON if it would break a line, steer a terminal or turn text.

    One that begins with a quotation mark is quoted, too: all can be read back.
    """
    unsafe = not name.isprintable() and any(map(_is_unsafe, name))
    return json.dumps(name) if unsafe or name.startswith('"') else name


def one_line(text: object) -> str:
    """Return a message with everything escaped that `printable` would quote a name for."""
    told = str(text)
    if told.isprintable():
        return told
    return "".join(json.dumps(c)[1:-1] if _is_unsafe(c) else c for c in told)


def _is_unsafe(character: str) -> bool:
    """Tell whether it is a control character, ends a line, or changes the direction of text."""
    kind = unicodedata.category(character)
    return kind in ("Cc", "Zl", "Zp") or (kind == "Cf" and character not in _JOINERS)
