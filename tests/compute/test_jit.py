"""Where compiled code is kept if nothing can be written beside it or at home."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

import numba
import pytest

from bovw.compute import jit

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no owners of this kind")


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Have numba refuse every folder but a temporary one, where bovw's would be."""
    folder = tmp_path / f"bovw-kernels-{os.getuid()}"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    monkeypatch.setattr(jit, "_can_cache", lambda: str(folder) == numba.config.CACHE_DIR)
    return folder


def test_a_folder_of_ones_own_is_used(refused: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert jit._find_cache()
    assert refused.stat().st_mode & 0o777 == 0o700
    assert os.environ["NUMBA_CACHE_DIR"] == str(refused)
    assert f"compiled code is kept in {refused}; set NUMBA_CACHE_DIR" in caplog.text


@pytest.mark.parametrize("kind", ["link", "open to all", "file"])
def test_a_folder_of_anyone_is_not(
    refused: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    if kind == "link":
        (refused.parent / "other").mkdir()
        refused.symlink_to("other")
    elif kind == "file":
        refused.touch()
    else:
        refused.mkdir()
        refused.chmod(0o777)
    with caplog.at_level(logging.WARNING):
        assert not jit._find_cache()
    assert "compiled code can be kept nowhere" in caplog.text
