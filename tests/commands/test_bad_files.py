"""Files that cannot be used are named, with the reason, and the run goes on."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from click.testing import Result

import bovw.ingest.build
import bovw.ingest.encode
import bovw.ingest.training
from bovw.index import Index
from bovw.search.searcher import Searcher
from tests.commands.photographs import FEW, encoded, run

pytestmark = pytest.mark.slow


def png_declaring(width: int, height: int) -> bytes:
    """Return a PNG whose header gives this size, with hardly any pixels behind it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    parts = chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


class Bad(NamedTuple):
    """A way to be unusable: the file's name, what the reason has to say, and its content."""

    name: str
    reason: str
    content: Callable[[bytes], bytes] | None = None


def noise(photo: bytes) -> bytes:
    return photo[:200] + np.random.default_rng(0).bytes(len(photo) - 200)


def flipped(photo: bytes) -> bytes:
    pixels = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
    data = bytearray(encoded(pixels, ".png"))
    data[len(data) // 2] ^= 0xFF
    return bytes(data)


def uniform(height: int, width: int) -> bytes:
    return encoded(np.full((height, width), 128, np.uint8), ".png")


BAD = {
    "truncated": Bad("cut.jpg", "truncated", lambda photo: photo[:-2000]),
    "truncated header": Bad("head.jpg", "(?i)truncated", lambda photo: photo[:100]),
    "truncated png": Bad("cut.png", "truncated", lambda _: png_declaring(640, 480)),
    "empty": Bad("empty.jpg", "empty", lambda _: b""),
    "corrupt png": Bad("flipped.png", "cannot be decoded", flipped),
    "corrupt jpeg": Bad("noise.jpg", "not a readable|cannot be decoded", noise),
    "zero-width": Bad("thin.png", "not a readable|0 x 480", lambda _: png_declaring(0, 480)),
    "tiny": Bad("tiny.png", "too small: 8 x 8", lambda _: uniform(8, 8)),
    "huge": Bad("bomb.png", "too large", lambda _: png_declaring(100_000, 100_000)),
    "text": Bad("notes.jpg", "not a readable", lambda _: b"My notes\n"),
    "featureless": Bad("wall.png", "no features", lambda _: uniform(200, 300)),
    "unreadable": Bad("secret.jpg", "Permission denied", lambda photo: photo),
    "fifo": Bad("pipe.jpg", "not a regular file"),
    "broken link": Bad("link.jpg", "No such file"),
}


def written(kind: str, folder: Path, photo: bytes) -> str:
    """Write the bad file of that kind into `folder` and return its name."""
    name, _, content = BAD[kind]
    path = folder / name
    if content:
        path.write_bytes(content(photo))
    elif kind == "broken link":
        path.symlink_to("nowhere.jpg")
    elif hasattr(os, "mkfifo"):
        os.mkfifo(path)
    else:
        pytest.skip("no FIFOs on this system")
    if kind == "unreadable":
        path.chmod(0)
    return name


@pytest.fixture(autouse=True)
def denied_to_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deny root to read the file without permissions, as everybody else is denied it."""
    opened, allowed, name = Path.open, os.access, BAD["unreadable"].name

    def open_as_user(self: Path, mode: str = "r", *rest: object, **options: object) -> object:
        if self.name == name and "r" in mode:
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, mode, *rest, **options)  # type: ignore[call-overload]

    def access_as_user(path: str, mode: int, **options: bool) -> bool:
        return Path(os.fsdecode(path)).name != name and allowed(path, mode, **options)

    if getattr(os, "geteuid", lambda: 1)() == 0:
        monkeypatch.setattr(Path, "open", open_as_user)
        monkeypatch.setattr(os, "access", access_as_user)


def no_traceback(result: Result) -> None:
    assert "Traceback" not in result.output and "unexpected" not in result.output


@pytest.mark.parametrize("kind", BAD)
def test_bad_file_is_named_and_the_rest_is_indexed(
    kind: str, tmp_path: Path, photos: tuple[bytes, bytes], photo_vocab: Path
) -> None:
    folder, index = tmp_path / "db", tmp_path / "index"
    folder.mkdir()
    (folder / "good.jpg").write_bytes(photos[0])
    name = written(kind, folder, photos[0])
    result = run(
        "index", folder, "--index", index, "--vocab", photo_vocab, "--jobs", 1, *FEW, code=3
    )
    assert result.stdout == ""
    no_traceback(result)
    (line,) = (line for line in result.stderr.splitlines() if line.startswith(f"skipped {name}: "))
    reason = line.removeprefix(f"skipped {name}: ")
    assert re.search(BAD[kind].reason, reason)
    assert str(tmp_path) not in reason

    opened = Index.open(index)
    assert list(opened.names) == ["good.jpg"]
    rows = {row.name: row for row in opened.images()}
    assert set(rows) == {"good.jpg", name}
    assert (rows[name].status, rows[name].reason) == ("skipped", reason)
    assert (rows["good.jpg"].status, rows["good.jpg"].reason) == ("ok", None)

    query = tmp_path / "query.jpg"
    query.write_bytes(photos[1])
    (hit,) = Searcher(opened).search(query)
    assert hit.name == "good.jpg" and hit.confirmed
    assert f"skipped {name}: {reason}" in run("info", index).stdout


@pytest.mark.parametrize("kind", BAD)
def test_bad_query_is_one_line(
    kind: str, tmp_path: Path, photos: tuple[bytes, bytes], index_folder: Path
) -> None:
    name = written(kind, tmp_path, photos[0])
    result = run("query", tmp_path / name, "--index", index_folder, code=1)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: {tmp_path / name}: ")
    assert re.search(BAD[kind].reason, line)
    no_traceback(result)


def all_bad(folder: Path, photo: bytes) -> list[str]:
    """Write a bad file of each kind that processes without the patch of `open` meet too."""
    folder.mkdir()
    return sorted(written(kind, folder, photo) for kind in BAD if kind != "unreadable")


@pytest.mark.slow
def test_all_kinds_at_once_from_several_processes(
    tmp_path: Path, photos: tuple[bytes, bytes], photo_vocab: Path
) -> None:
    folder = tmp_path / "db"
    names = all_bad(folder, photos[0])
    (folder / "good.jpg").write_bytes(photos[0])
    for jobs in (1, 2):
        index = tmp_path / f"index{jobs}"
        result = run(
            "index", folder, "--index", index, "--vocab", photo_vocab, "--jobs", jobs, code=3
        )
        lines = [line for line in result.stderr.splitlines() if line.startswith("skipped ")]
        assert [line.split()[1].rstrip(":") for line in lines] == names
        assert f"{len(names)} skipped" in result.stderr
    assert Index.open(tmp_path / "index1").images() == Index.open(tmp_path / "index2").images()


def test_training_goes_on_too(tmp_path: Path, photos: tuple[bytes, bytes]) -> None:
    names = all_bad(tmp_path / "db", photos[0])
    (tmp_path / "db" / "good.jpg").write_bytes(photos[0])
    out = tmp_path / "vocab"
    result = run("build-vocab", tmp_path / "db", "--out", out, "--words", 8, "--jobs", 1, code=3)
    for name in names:
        assert f"skipped {name}: " in result.stderr
    assert (out / "manifest.json").is_file()


@pytest.mark.parametrize("vocabulary", ["given", "trained"])
def test_nothing_usable_is_a_failure_that_names_each(
    vocabulary: str, tmp_path: Path, photos: tuple[bytes, bytes], photo_vocab: Path
) -> None:
    names = all_bad(tmp_path / "db", photos[0])
    options = ["--vocab", photo_vocab] if vocabulary == "given" else []
    arguments = ["index", tmp_path / "db", "--index", tmp_path / "index", "--jobs", 1, *options]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        result = run(*arguments, code=1)
    for name in names:
        assert f"skipped {name}: " in result.stderr
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert not (tmp_path / "index").exists()


def test_some_bad_queries_do_not_keep_others_from_being_answered(
    tmp_path: Path, photos: tuple[bytes, bytes], index_folder: Path
) -> None:
    names = [tmp_path / name for name in (written(k, tmp_path, photos[0]) for k in BAD)]
    good = tmp_path / "good.jpg"
    good.write_bytes(photos[0])
    options = ("--index", index_folder, "--topk", 1, "--format", "csv")
    result = run("query", names[0], good, *names[1:], tmp_path / "missing.jpg", *options, code=3)
    assert [row["query"] for row in csv.DictReader(io.StringIO(result.stdout))] == [str(good)]
    for name in (*names, tmp_path / "missing.jpg"):
        assert f"skipped {name}: " in result.stderr


def test_an_unreadable_subfolder_is_named(
    tmp_path: Path, photos: tuple[bytes, bytes], photo_vocab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "db" / "closed").mkdir(parents=True)
    (tmp_path / "db" / "good.jpg").write_bytes(photos[0])
    listed = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    arguments = ("index", tmp_path / "db", "--index", tmp_path / "i", "--vocab", photo_vocab)
    result = run(*arguments, "--jobs", 1, code=3)
    assert f"skipped {tmp_path / 'db' / 'closed'}: cannot be read" in result.stderr


def test_an_image_that_is_lost_while_indexing_is_skipped(
    tmp_path: Path, photos: tuple[bytes, bytes], photo_vocab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "db"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_bytes(photos[0])
    found = bovw.ingest.encode.describe_file

    def losing(image: object, options: object) -> object:
        (folder / "b.jpg").unlink(missing_ok=True)
        return found(image, options)  # type: ignore[arg-type]

    monkeypatch.setattr(bovw.ingest.encode, "describe_file", losing)
    arguments = ("index", folder, "--index", tmp_path / "i", "--vocab", photo_vocab, "--jobs", 1)
    result = run(*arguments, code=3)
    assert "skipped b.jpg: cannot be read: No such file" in result.stderr
    shutil.rmtree(folder)
