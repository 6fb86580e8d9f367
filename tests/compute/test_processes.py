"""Work in other processes that is interrupted says so once."""

from __future__ import annotations

import os
import threading

import pytest

from bovw.compute.processes import _report, map_processes


class _ExecutorManagerThread(threading.Thread):
    pass


@pytest.mark.parametrize(
    ("thread", "error", "told"),
    [
        (_ExecutorManagerThread(), KeyError(5), False),
        (_ExecutorManagerThread(), ValueError("broken"), True),
        (threading.Thread(), KeyError("name"), True),
    ],
)
def test_only_a_forgotten_task_is_not_told(
    thread: threading.Thread, error: Exception, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    _report(threading.ExceptHookArgs((type(error), error, None, thread)))
    assert (type(error).__name__ in capsys.readouterr().err) is told


def test_without_shared_semaphores_one_process_does_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("multiprocessing.context.BaseContext.Semaphore", missing)
    assert list(map_processes(lambda x: (os.getpid(), x), [1, 2, 3], 2)) == [
        (os.getpid(), x) for x in (1, 2, 3)
    ]
