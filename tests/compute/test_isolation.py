"""Work in processes that may die: only the item that a process died of is lost."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from bovw.compute.isolation import Failure, run_isolated
from bovw.errors import BovwError

pytestmark = pytest.mark.slow

CRASHED = "crashed the process that read it"
SLOW = "took more than 1 s"


def hold_the_gil() -> None:
    """Sleep in C without giving other threads of Python a turn."""
    ctypes.PyDLL(None).sleep(60)


DEEDS: dict[str, Callable[[], object]] = {
    "fine": lambda: None,
    "exit": lambda: os._exit(1),
    "quit": lambda: sys.exit(0),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": lambda: ctypes.string_at(0),
    "sleep": lambda: time.sleep(60),
    "stuck": hold_the_gil,
}
REASONS = {"sleep": SLOW, "stuck": SLOW} | dict.fromkeys(
    ("exit", "quit", "killed", "segfault"), CRASHED
)
needs_signals = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL, no libc")


def act(item: tuple[int, str], log: Path) -> int:
    """Note the process in a file, do the deed, and return the item's number."""
    number, deed = item
    with (log / str(number)).open("a") as file:
        file.write(f"{os.getpid()}\n")
    DEEDS[deed]()
    return number


@pytest.mark.slow
@needs_signals
@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize(
    "deeds",
    [
        "exit fine fine sleep stuck fine fine fine fine fine fine segfault",
        "sleep fine quit killed fine fine fine fine fine fine fine stuck",
        "segfault",
        "fine fine",
        "",
    ],
)
def test_only_the_guilty_are_lost(deeds: str, jobs: int, tmp_path: Path) -> None:
    items = list(enumerate(deeds.split()))
    others = set(multiprocessing.active_children())
    results = list(run_isolated(partial(act, log=tmp_path), iter(items), jobs, 1))
    assert results == [
        Failure(item, REASONS[item[1]]) if item[1] in REASONS else item[0] for item in items
    ]
    for number, deed in items:
        pids = (tmp_path / str(number)).read_text().split()
        assert len(pids) == (2 if REASONS.get(deed) == CRASHED else 1)
        assert str(os.getpid()) not in pids
    assert set(multiprocessing.active_children()) <= others


def crash_once(item: int, folder: Path) -> list[str]:
    """Item 0 crashes at the first try, and lists the others at work at the second."""
    if item:
        busy = folder / f"busy{item}"
        busy.touch()
        time.sleep(0.1)
        busy.unlink()
        return []
    if not (folder / "tried").exists():
        (folder / "tried").touch()
        os._exit(1)
    time.sleep(0.3)
    return sorted(path.name for path in folder.glob("busy*"))


def test_a_crash_is_tried_again_alone(tmp_path: Path) -> None:
    items = [1, 2, 0, 3, 4, 5, 6, 7, 8, 9]
    assert list(run_isolated(partial(crash_once, folder=tmp_path), items, 2, 20)) == [[]] * 10


def fail(item: type[Exception] | None) -> None:
    if item:
        raise item("on purpose")


@pytest.mark.parametrize("error", [ValueError, EOFError, TimeoutError, BrokenPipeError])
def test_an_exception_is_raised(error: type[Exception]) -> None:
    results = run_isolated(fail, [None, error, None], 2, 20)
    assert next(results) is None
    with pytest.raises(error, match="on purpose") as raised:
        next(results)
    assert "in fail" in raised.value.__notes__[0]
    assert not multiprocessing.active_children()


class Deadly:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[Callable[[int], object], tuple[int]]:
        return os._exit, (3,)

    def __call__(self, item: object) -> None:
        raise AssertionError


def test_an_item_that_cannot_arrive_is_lost() -> None:
    deadly = Deadly()
    assert list(run_isolated(str, [1, deadly, 2], 2, 20)) == ["1", Failure(deadly, CRASHED), "2"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_workers_that_cannot_start_end_it(jobs: int) -> None:
    with pytest.raises(BovwError, match="a worker process died"):
        list(run_isolated(Deadly(), range(100), jobs, 20))


def die_when_idle(item: int) -> int:
    """Leave a process behind that ends soon after the answer."""
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    return item


@needs_signals
def test_a_death_between_items_costs_none() -> None:
    results = []
    for result in run_isolated(die_when_idle, range(9), 1, 20):
        results.append(result)
        time.sleep(0.2 if len(results) % 4 == 0 else 0)
    assert results == list(range(9))


@pytest.mark.parametrize("jobs", [1, 2])
def test_items_are_taken_as_needed(jobs: int) -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = run_isolated(str, items(), jobs, 20)
    assert not taken
    for count in range(10):
        assert next(results) == str(count)
        assert len(taken) == 3 * jobs + 1 + count
    results.close()


@pytest.mark.parametrize("jobs", [1, 2])
def test_closing_early_stops_the_work(jobs: int) -> None:
    results = run_isolated(time.sleep, [0, 60, 60, 60, 60, 60], jobs, 100)
    next(results)
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 5
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_script_needs_no_main_guard_and_sees_no_noise(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import ctypes\n"
        "from bovw.compute.isolation import run_isolated\n"
        "def crash(item):\n"
        "    return ctypes.string_at(0) if item == 2 else item\n"
        "results = run_isolated(crash, range(4), 2, 20)\n"
        "print(*(getattr(r, 'reason', r) for r in results), sep=', ')\n"
        "early = run_isolated(lambda item: item, range(100), 2, 20)\n"
        "print(next(early))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (f"0, 1, {CRASHED}, 3\n0\n", "")
