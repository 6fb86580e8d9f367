"""What decoys found stays with an index, whatever becomes of its images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bovw.errors import FormatError
from bovw.index import Decoys, Index, IndexWriter
from bovw.index.archive import export_index, import_index
from bovw.index.editing import edit_index
from bovw.index.integrity import find_leftovers, find_problems
from bovw.index.joined import join_shards
from bovw.index.manifest import parts_of, shard_of
from bovw.index.resharding import split_index
from bovw.ingest.repair import repair_index
from bovw.verification import Calibration
from tests.index.archives import made
from tests.index.samples import fill, written

DECOYS = Decoys.of([-0.5, 2.0, -7.25], asked=9, verified=100, images=3)


@pytest.fixture
def calibrated(folder: Path) -> Path:
    with IndexWriter.open(folder) as writer:
        writer.put("calibration", lambda names: DECOYS)
        writer.commit()
    return folder


def assert_kept(index: Index, wanted: Decoys = DECOYS) -> None:
    assert index.decoys is not None
    assert index.decoys.meanings.tolist() == wanted.meanings.tolist()
    assert index.decoys.counts.tolist() == wanted.counts.tolist()
    assert index.damaged_files() == []
    assert sum(name.startswith("calibration/") for name in index.files()) == 2


def decoy_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("calibration/*/*.npy"))


def spoil(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_what_they_found_is_read_back(calibrated: Path) -> None:
    index = Index.open(calibrated)
    assert_kept(index)
    assert index.decoys is not None
    assert index.decoys.meanings.tolist() == [2.0, -0.5, -7.25]
    assert (index.decoys.asked, index.decoys.verified, index.decoys.images) == (9, 100, 3)
    assert find_leftovers(calibrated) == []


def test_decoys_that_found_nothing(folder: Path) -> None:
    with IndexWriter.open(folder) as writer:
        writer.put("calibration", lambda names: Decoys.of([], 0, 0, 0))
        writer.commit()
    decoys = Index.open(folder).decoys
    assert decoys is not None and len(decoys.meanings) == 0
    found = Calibration.of(decoys.meanings, decoys.asked, decoys.verified)
    assert found.factor == pytest.approx(1) and found.decoys == 0


def test_an_index_without_them_opens(folder: Path) -> None:
    index = Index.open(folder)
    assert index.decoys is None and "calibration" not in index.meta
    assert find_problems(folder) == []


def test_changes_of_images_keep_them(calibrated: Path) -> None:
    with IndexWriter.open(calibrated) as writer:
        fill(writer, ["d.jpg", "e.jpg"], seed=3)
        writer.commit()
    assert_kept(Index.open(calibrated))
    with IndexWriter.open(calibrated) as writer:
        writer.remove("a.jpg")
        writer.commit()
    assert_kept(Index.open(calibrated))
    with IndexWriter.open(calibrated) as writer:
        writer.compact()
        writer.commit()
    index = Index.open(calibrated)
    assert len(index) == 4 and index.removed == 0
    assert_kept(index)


def test_new_ones_replace_them(calibrated: Path) -> None:
    reader = Index.open(calibrated)
    again = Decoys.of([1.0], asked=2, verified=3, images=4)
    with IndexWriter.open(calibrated) as writer:
        writer.put("calibration", lambda names: again)
        writer.commit()
    assert_kept(Index.open(calibrated), again)
    assert len(decoy_files(calibrated)) == 2
    # An opened index keeps what it had, and is told.
    assert reader.outdated()
    assert_of(reader, DECOYS)


def assert_of(index: Index, wanted: Decoys) -> None:
    assert index.decoys is not None
    assert index.decoys.meanings.tolist() == wanted.meanings.tolist()


def test_they_go_through_a_file(tmp_path: Path) -> None:
    folder = made(tmp_path / "index")
    with IndexWriter.open(folder) as writer:
        writer.put("calibration", lambda names: DECOYS)
        writer.commit()
    export_index(folder, tmp_path / "index.zip")
    assert_kept(import_index(tmp_path / "index.zip", tmp_path / "again"))
    assert find_problems(tmp_path / "again") == []


def test_shards_share_them(calibrated: Path, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    assert_kept(split_index(calibrated, 2, shards))
    assert all(Index.open(part).decoys is None for part in parts_of(shards))
    # Later changes, and other numbers of shards.
    with edit_index(shards) as writers:
        writers[shard_of("a.jpg", 2)].remove("a.jpg")
        for writer in writers:
            writer.commit()
    assert_kept(Index.open(shards))
    assert_kept(split_index(shards, 3, tmp_path / "again"))
    again = Decoys.of([1.0], asked=2, verified=3, images=4)
    join_shards(shards, decoys=again)
    assert_kept(Index.open(shards), again)
    assert len(decoy_files(shards)) == 2
    # A shard that changes alone.
    part = parts_of(shards)[shard_of("b.jpg", 2)]
    with IndexWriter.open(part) as writer:
        writer.remove("b.jpg")
        writer.commit()
    assert_of(Index.open(shards), again)
    assert len(Index.open(shards)) == 1


@pytest.mark.parametrize("name", ["meanings.npy", "counts.npy"])
def test_damage_is_found_and_a_repair_removes_them(tmp_path: Path, name: str) -> None:
    folder = whole(tmp_path)
    (path,) = (path for path in decoy_files(folder) if path.name == name)
    spoil(path)
    assert find_problems(folder) == [f"{path} is missing or damaged"]
    with IndexWriter.open(folder) as writer:
        writer.commit(anew=True)
    index = Index.open(folder)
    assert index.decoys is None and len(index) == 3
    assert find_problems(folder) == [] and find_leftovers(folder) == []


def whole(tmp_path: Path) -> Path:
    folder = tmp_path / "index"
    written(folder, ["a.jpg", "b.jpg", "c.jpg"])
    with IndexWriter.open(folder) as writer:
        writer.put("calibration", lambda names: DECOYS)
        writer.commit(anew=True)
    assert find_problems(folder) == []
    return folder


@pytest.mark.parametrize("name", ["meanings.npy", "counts.npy"])
@pytest.mark.parametrize("content", [None, b"", b"no array", b"short"])
def test_what_cannot_be_read_is_told_in_a_line(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    folder = whole(tmp_path)
    (path,) = (path for path in decoy_files(folder) if path.name == name)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content if content != b"short" else path.read_bytes()[:-8])
    with pytest.raises(FormatError) as caught:
        Index.open(folder)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert find_problems(folder) == [f"{path} is missing or damaged"]
    with IndexWriter.open(folder) as writer:
        writer.commit(anew=True)
    assert Index.open(folder).decoys is None


@pytest.mark.parametrize(
    "wrong",
    [
        Decoys(np.array([np.nan]), DECOYS.counts),
        Decoys(np.array([np.inf]), DECOYS.counts),
        Decoys(DECOYS.meanings, np.array([-1, 2, 3])),
        Decoys(DECOYS.meanings, np.array([1, 2])),
    ],
    ids=["nan", "infinite", "negative", "short"],
)
def test_what_cannot_be_is_told(folder: Path, wrong: Decoys) -> None:
    """An index may come from anyone."""
    with IndexWriter.open(folder) as writer:
        writer.put("calibration", lambda names: wrong)
        writer.commit()
    with pytest.raises(FormatError, match="`bovw check --repair` removes it"):
        Index.open(folder)


@pytest.mark.parametrize("name", ["meanings.npy", "counts.npy", "weights.npy"])
@pytest.mark.parametrize("cut", [1, 8, 10_000])
def test_damage_beside_shards_is_found_and_repaired(
    index: Index, tmp_path: Path, name: str, cut: int
) -> None:
    shards = tmp_path / "shards"
    split_index(index.folder, 2, shards)
    join_shards(shards, decoys=DECOYS)
    assert find_problems(shards) == []
    folder = "statistics" if name == "weights.npy" else "calibration"
    (path,) = shards.glob(f"{folder}/*/{name}")
    path.write_bytes(path.read_bytes()[:-cut])
    assert find_problems(shards) == [f"{path} is damaged"]
    assert repair_index(shards) == []
    repaired = Index.open(shards)
    assert (repaired.decoys is None) == (folder == "calibration")
    assert len(repaired) == len(index)
    assert find_problems(shards) == []
