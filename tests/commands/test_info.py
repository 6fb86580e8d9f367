"""`bovw info`: what is in an index and in a vocabulary, and whether it is whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands.running import run

# info


def test_info_of_an_index(built: Path) -> None:
    content = json.loads(run("info", built, "--format", "json").stdout)
    assert (content["images"], content["words"], content["damaged"]) == (8, 100, [])
    assert content["features"] == 8 * 400
    files = {p for p in built.rglob("*") if p.is_file() and "vocabulary-" not in str(p)}
    assert content["bytes"] == sum(path.stat().st_size for path in files)
    assert content["bytes_per_image"] == content["bytes"] / 8
    assert content["bytes_per_feature"] == content["bytes"] / content["features"]
    assert content["options"]["max_features"] == 400
    text = run("info", built).stdout
    assert "3,200" in text and "checksums hold" in text and "max features" in text


def test_info_of_a_vocabulary(vocab: Path, built: Path) -> None:
    content = json.loads(run("info", vocab, "--format", "json").stdout)
    assert (content["kind"], content["words"], content["damaged"]) == ("vocabulary", 100, [])
    assert content["settings"]["seed"] == 0
    assert content["bytes"] == sum(path.stat().st_size for path in vocab.iterdir())
    index = json.loads(run("info", built, "--format", "json").stdout)
    assert index["vocabulary"] == content["vocabulary"]
    assert "checksums hold" in run("info", vocab).stdout


@pytest.mark.parametrize("form", ["table", "json"])
def test_info_tells_a_wrong_checksum(form: str, copied: Path) -> None:
    path = copied / "segments" / "1" / "signatures.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    result = run("info", copied, "--format", form, code=1)
    assert "segments/1/signatures.npy" in result.stdout
    if form == "json":
        assert json.loads(result.stdout)["damaged"] == ["segments/1/signatures.npy"]
    assert "damaged" in result.stderr
