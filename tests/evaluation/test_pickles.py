"""A truth that is a pickle: what it holds is read, and nothing in it is run."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bovw.errors import DatasetError
from bovw.evaluation.datasets import load
from bovw.evaluation.truth import read_pickle

# ---------------------------------------------------------------- pickles


class Malicious:
    """Makes a folder when it is unpickled without care."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_malicious_pickle_is_refused_and_not_run(
    oxford: Path, tmp_path: Path, protocol: int
) -> None:
    made, file = tmp_path / "made", tmp_path / "gnd_oxford5k.pkl"
    content = {"imlist": [], "qimlist": [], "gnd": Malicious(made)}
    file.write_bytes(pickle.dumps(content, protocol=protocol))
    with pytest.raises(DatasetError, match=r"asks for \w+\.mkdir, which was not run") as caught:
        load("oxford5k", oxford)
    assert "\n" not in str(caught.value)
    assert not made.exists()
    pickle.loads(file.read_bytes())
    assert made.exists(), "the file of this test is not malicious, so that it proves nothing"


RECORD = {"bbx": [1, 2, 3, 4], "ok": [0], "junk": []}

CONTENT: dict[str, Any] = {"imlist": ["keble_000001"], "qimlist": ["keble_000001"], "gnd": [RECORD]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        pickle.dumps(CONTENT)[:-5],
        pickle.dumps([1, 2, 3]),
        pickle.dumps({}),
        pickle.dumps(CONTENT | {"imlist": "keble_000001"}),
        pickle.dumps(CONTENT | {"qimlist": [1]}),
        pickle.dumps(CONTENT | {"gnd": []}),
        pickle.dumps(CONTENT | {"gnd": [7]}),
        pickle.dumps(CONTENT | {"gnd": [{"bbx": [1, 2, 3, 4], "easy": [0], "hard": []}]}),
        pickle.dumps(CONTENT | {"gnd": [RECORD | {"ok": [1]}]}),
        pickle.dumps(CONTENT | {"gnd": [RECORD | {"ok": [-1]}]}),
        pickle.dumps(CONTENT | {"gnd": [RECORD | {"ok": [[0]]}]}),
        pickle.dumps(CONTENT | {"gnd": [RECORD | {"bbx": [1, 2, 3]}]}),
        pickle.dumps(CONTENT | {"gnd": [RECORD | {"bbx": [1, 2, 3, "4"]}]}),
    ],
)
def test_pickles_that_are_no_truth(oxford: Path, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "gnd_oxford5k.pkl"
    file.write_bytes(content)
    with pytest.raises(DatasetError, match=r"gnd_oxford5k\.pkl is not .* give the official"):
        load("oxford5k", oxford)


def nested(depth: int) -> object:
    """Return a tuple that is small, and larger than any memory once it is printed."""
    value: object = 0
    for _ in range(depth):
        value = (value, value)
    return value


@pytest.mark.parametrize("place", ["ok", "bbx", "imlist", "qimlist"])
def test_nested_tuples_cost_nothing(tmp_path: Path, place: str) -> None:
    judged = {"bbx": [1.0, 2.0, 3.0, 4.0], "ok": [0], "junk": []}
    content = {"imlist": ["a"], "qimlist": ["a"], "gnd": [judged]}
    holder: dict[str, Any] = judged if place in judged else content
    holder[place] = [nested(200)]
    path = tmp_path / "gnd.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DatasetError, match="is not the ground truth expected"):
        read_pickle(path, ["ok", "junk"])


def test_a_memo_larger_than_the_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gnd.pkl"
    path.write_bytes(b"\x80\x03K\x01r\xff\xff\xff\x7f.")
    with pytest.raises(DatasetError, match="memo is larger"):
        read_pickle(path, ["ok", "junk"])
