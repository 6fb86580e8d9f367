"""Archives of a small index, whole and changed."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from bovw.errors import FormatError
from bovw.index import IndexWriter, lock
from bovw.index.archive import import_index
from tests.index.samples import written

Members = dict[str, bytes]


def made(folder: Path) -> Path:
    """Write a small index with something for a vocabulary."""
    index = written(folder, ["a.jpg", "b.jpg", "not utf-8 \udcff.jpg"])
    files = {"words.npy": b"words" * 100, "cells.npz": b"", "sources.npy": b"\0" * 9}
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    for name, content in files.items():
        (index.vocabulary_folder / name).write_bytes(content)
    manifest = json.dumps({"format": 2, "checksums": checksums})
    (index.vocabulary_folder / "manifest.json").write_text(manifest)
    with IndexWriter.open(folder) as writer:
        shutil.copytree(index.vocabulary_folder, writer.renew_vocabulary())
        writer.commit()
    return folder


def content(folder: Path) -> Members:
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {n: p.read_bytes() for n, p in paths.items() if p.is_file() and n not in lock.FILES}


def packed(file: Path, members: Members) -> Path:
    with zipfile.ZipFile(file, "w") as target:
        for name, data in members.items():
            target.writestr(zipfile.ZipInfo(name), data)
    return file


def refused(file: Path, match: str) -> None:
    """Check that an archive is refused in one line that names it, and that nothing is left."""
    target = file.with_name("target")
    before = set(file.parent.iterdir())
    with pytest.raises(FormatError, match=match) as caught:
        import_index(file, target)
    assert str(file) in str(caught.value)
    assert str(target) not in str(caught.value) and ".target." not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert set(file.parent.iterdir()) == before
