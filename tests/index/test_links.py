"""Nothing in an index is followed through a link; what bovw did not write is not lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bovw.errors import BovwError, FormatError
from bovw.index import Index, IndexWriter, check_free, edit_index
from bovw.index.integrity import find_leftovers, find_problems, find_strangers
from bovw.index.lock import NOTE_FILE, WriterLock
from bovw.index.manifest import MANIFEST
from bovw.index.resharding import split_index
from bovw.ingest.repair import repair_index
from tests.index.archives import made
from tests.index.samples import create, fill


def change(folder: Path) -> None:
    with edit_index(folder) as writers:
        for writer in writers:
            for name in sorted(writer.rows)[:1]:
                writer.remove(name)
            writer.compact()
            writer.commit()


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A folder outside, with what looks like an index's old parts, and more."""
    folder = tmp_path / "precious"
    for number in (1, 2, 7):
        (folder / str(number)).mkdir(parents=True)
        (folder / str(number) / "plot.txt").write_text("mine")
        (folder / str(number) / "weights.npy").write_text("mine")
    return folder


def kept(folder: Path) -> bool:
    return len(list(folder.rglob("plot.txt"))) == len(list(folder.rglob("weights.npy"))) == 3


@pytest.mark.parametrize("use", [change, repair_index])
@pytest.mark.parametrize("kind", ["segments", "statistics", "names", "graph", "calibration"])
def test_a_linked_folder_is_not_emptied(
    folder: Path, precious: Path, kind: str, use: Callable[[Path], object]
) -> None:
    if (folder / kind).exists():
        shutil.rmtree(folder / kind)
    (folder / kind).symlink_to(precious)
    with pytest.raises(FormatError, match="link"):
        use(folder)
    assert kept(precious)


@pytest.mark.parametrize("kind", ["segments", "graph"])
def test_a_linked_folder_of_a_shard_is_not_emptied(
    folder: Path, tmp_path: Path, precious: Path, kind: str
) -> None:
    split_index(folder, 2, tmp_path / "shards")
    for place in (tmp_path / "shards" / "shard-0", tmp_path / "shards"):
        shutil.rmtree(place / kind, ignore_errors=True)
        (place / kind).symlink_to(precious)
        with pytest.raises(FormatError, match="link"):
            change(tmp_path / "shards")
        assert kept(precious)


def test_a_linked_shard_is_not_followed(folder: Path, tmp_path: Path) -> None:
    split_index(folder, 2, tmp_path / "shards")
    (tmp_path / "shards" / "shard-0").rename(tmp_path / "elsewhere")
    (tmp_path / "shards" / "shard-0").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FormatError, match="link that is not followed"):
        Index.open(tmp_path / "shards")


def test_shards_get_no_copy_of_what_a_link_leads_to(tmp_path: Path, precious: Path) -> None:
    folder = made(tmp_path / "index")
    words = Index.open(folder).vocabulary_folder
    (words / "more").symlink_to(precious)
    split_index(folder, 2, tmp_path / "shards")
    assert not list((tmp_path / "shards").rglob("more"))
    (words / "words.npy").unlink()
    (words / "words.npy").symlink_to(precious / "1" / "plot.txt")
    with pytest.raises(FormatError, match=r"words\.npy is damaged"):
        split_index(folder, 2, tmp_path / "others")
    assert not (tmp_path / "others").exists()


@pytest.mark.parametrize("part", ["segments/1/gaps.npy", "names/2/text.npy"])
def test_a_linked_file_is_not_read(folder: Path, tmp_path: Path, part: str) -> None:
    (folder / part).rename(tmp_path / "elsewhere")
    (folder / part).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FormatError, match="it is a link"):
        Index.open(folder)
    assert any(part in problem for problem in find_problems(folder))


@pytest.mark.parametrize("part", ["segments/1/gaps.npy", "statistics/2/live.npy", MANIFEST])
def test_a_pipe_does_not_hang(folder: Path, part: str) -> None:
    (folder / part).unlink(missing_ok=True)
    os.mkfifo(folder / part)
    with pytest.raises(FormatError, match="not a regular file"):
        Index.open(folder)


@pytest.mark.parametrize("name", [NOTE_FILE, f"{NOTE_FILE}.part"])
def test_the_writers_note_overwrites_nothing_outside(
    folder: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    (folder / name).symlink_to(tmp_path / "thesis.txt")
    with WriterLock(folder), pytest.raises(BovwError, match="is being written by process"):
        WriterLock(folder).acquire()
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("name", [MANIFEST, f"{MANIFEST}.part"])
def test_the_manifest_overwrites_nothing_outside(folder: Path, tmp_path: Path, name: str) -> None:
    split_index(folder, 2, tmp_path / "shards")
    target = tmp_path / "elsewhere.json"
    shutil.copy(tmp_path / "shards" / MANIFEST, target)
    before = target.read_bytes()
    (tmp_path / "shards" / name).unlink(missing_ok=True)
    (tmp_path / "shards" / name).symlink_to(target)
    try:
        change(tmp_path / "shards")
    except FormatError as error:
        assert "it is a link" in str(error)
    assert target.read_bytes() == before


def test_a_project_with_a_folder_of_the_same_name_is_no_index(tmp_path: Path) -> None:
    plot = tmp_path / "project" / "graph" / "thesis" / "plot.txt"
    plot.parent.mkdir(parents=True)
    plot.write_text("years of work")
    with pytest.raises(FormatError, match="is not an index: give another folder"):
        check_free(tmp_path / "project")
    assert plot.read_text() == "years of work"


@pytest.mark.parametrize(
    "place", ["graph/7/plot.txt", "graph/thesis/weights.npy", "vocabulary-abcdef01/words.txt"]
)
def test_what_bovw_did_not_write_is_named_and_stays(folder: Path, place: str) -> None:
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    change(folder)
    assert path.read_text() == "mine"
    assert find_strangers(folder) == [path.parent]
    assert find_leftovers(folder) == []


def test_what_a_killed_run_left_is_removed(folder: Path) -> None:
    for place in ("graph/7/weights.npy", "segments/9/gaps.npy", "vocabulary-abcdef01/words.npy"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(b"half")
    assert len(find_leftovers(folder)) == 3
    change(folder)
    assert find_leftovers(folder) == find_strangers(folder) == []
    assert not (folder / "segments/9").exists()


def test_a_failed_first_build_leaves_other_files(tmp_path: Path) -> None:
    with create(tmp_path / "index") as writer:
        fill(writer, ["a.jpg"])
        (tmp_path / "index" / "notes.txt").write_text("mine")
        writer.abandon()
    assert [path.name for path in (tmp_path / "index").iterdir()] == ["notes.txt"]


def test_a_full_disk_is_not_filled_further(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a failed change wrote is removed when it fails."""
    before = sorted(path for path in folder.rglob("*"))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    for _ in range(3):
        with pytest.raises(OSError, match="No space"), IndexWriter.open(folder) as writer:
            fill(writer, ["x.jpg", "y.jpg"], seed=1)
            monkeypatch.setattr(os, "fsync", full)
            try:
                writer.commit()
            finally:
                monkeypatch.undo()
        assert sorted(path for path in folder.rglob("*")) == before
