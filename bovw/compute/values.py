"""Values read from files that may come from anyone: each is what was declared, or an error.

Code behind a reader then trusts them. A library such as pydantic does the same, and takes 0.12 s
to import, in every query.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], object]


def whole(least: int = 0, most: int = 2**53) -> Check:
    """Accept a whole number in a range."""

    def check(value: Any) -> None:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"{_shown(value)} is not a whole number of {least} to {most}")

    return check


def text(pattern: str = r"[^\0]*") -> Check:
    r"""Accept text that is nothing but `pattern`; by default any without \\0."""
    form = re.compile(pattern, re.ASCII | re.DOTALL)

    def check(value: Any) -> None:
        if type(value) is not str or not form.fullmatch(value):
            raise ValueError(f"{_shown(value)} is not text of the form {pattern}")

    return check


# SHA-256 in hexadecimal.
checksum = text("[0-9a-f]{64}")


def one_of(*allowed: object) -> Check:
    """Accept one of these values."""

    def check(value: Any) -> None:
        if not any(type(value) is type(one) and value == one for one in allowed):
            raise ValueError(f"{_shown(value)} is none of {allowed}")

    return check


def either(*checks: Check) -> Check:
    """Accept what one of the checks accepts."""

    def check(value: Any) -> None:
        errors = []
        for one in checks:
            try:
                one(value)
            except ValueError as error:
                errors.append(str(error))
            else:
                return
        raise ValueError(errors[0])

    return check


def number(value: Any) -> None:
    """Accept a finite number, or true or false."""
    if type(value) not in (int, float, bool) or not abs(value) <= 2**53:
        raise ValueError(f"{_shown(value)} is not a number")


def anything(value: Any) -> None:
    """Accept any value: of later versions, or for people to read."""


def mapping(keys: Check, values: Check) -> Check:
    """Accept a mapping whose keys and values are accepted."""

    def check(value: Any) -> None:
        if type(value) is not dict:
            raise ValueError(f"{_shown(value)} is not a mapping")
        for key, one in value.items():
            keys(key)
            _inside(key, values, one)

    return check


def listing(values: Check, least: int = 0) -> Check:
    """Accept a list of at least so many accepted values."""

    def check(value: Any) -> None:
        if type(value) is not list or len(value) < least:
            raise ValueError(f"{_shown(value)} is not a list of {least} or more")
        for place, one in enumerate(value):
            _inside(place, values, one)

    return check


def record(needed: Mapping[str, Check], possible: Mapping[str, Check] | None = None) -> Check:
    """Accept a mapping that has the needed keys and perhaps others, each with its own values.

    Keys that are not declared are left alone: a later version may have added them.
    """
    known = {**needed, **(possible or {})}

    def check(value: Any) -> None:
        if type(value) is not dict:
            raise ValueError(f"{_shown(value)} is not a mapping")
        if missing := sorted(needed.keys() - value.keys()):
            raise ValueError(f"without {', '.join(missing)}")
        for key in known.keys() & value.keys():
            _inside(key, known[key], value[key])

    return check


def parse_json(content: str | bytes) -> Any:
    """Parse JSON; raises ValueError for anything else, NaN and infinity too."""
    try:
        return json.loads(content, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _inside(key: object, check: Check, value: Any) -> None:
    try:
        check(value)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def _shown(value: Any) -> str:
    """Return a value's beginning, or its type: no line ends, nothing that a terminal obeys."""
    if isinstance(value, str):
        return ascii(value[:40])
    return ascii(value) if isinstance(value, int | float | None) else f"a {type(value).__name__}"
