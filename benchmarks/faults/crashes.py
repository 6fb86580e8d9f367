"""Also in part 2: an item that crashes or hangs its process must not affect the others."""

from __future__ import annotations

# This module imports little, because a new process imports it after each crash.
import ctypes
import os
import random
import signal
import time

from bovw.compute.isolation import Failure, run_isolated
from faults.counts import Counts


def deed(item: tuple[int, str]) -> int:
    """Behave as a bad decoder may."""
    number, kind = item
    if kind == "segfault":
        ctypes.string_at(0)
    elif kind == "hang":
        time.sleep(60)
    elif kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "exit":
        os._exit(1)
    return number


def try_guard(rng: random.Random, items: int = 100) -> Counts:
    """Let some items crash or hang, and check that only these are lost."""
    kinds = ["fine"] * 12 + ["segfault", "hang", "kill", "exit"]
    work = [(number, rng.choice(kinds)) for number in range(items)]
    answers = list(run_isolated(deed, work, 2, 1.0))
    right = [
        isinstance(answer, Failure) and answer.item == item
        if item[1] != "fine"
        else answer == item[0]
        for item, answer in zip(work, answers, strict=True)
    ]
    guilty = sum(kind != "fine" for _, kind in work)
    return {"items": items, "crashed or hung": guilty, "unguarded": right.count(False)}
