"""A collection that moves, grows sideways and shrinks: an image is its real path."""

from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from bovw.errors import BovwError, UsageError
from bovw.images.find import find_images, sha256
from bovw.index import ImageRow, Index, IndexWriter
from bovw.ingest.changes import ChangeSet, find_changes
from bovw.ingest.collection import KEY, Collection, Looked, find_named, given_files
from bovw.ingest.pairing import is_there, path_of

small = st.integers(0, 5)


class Disk:
    """Files of some bytes each, and the rows that an index of them would have."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows: dict[str, ImageRow] = {}
        self.roots = Collection()

    def put(self, *names: str) -> None:
        for name in names:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.fsencode(f"content of {name}"))

    def update(self, *folders: str) -> ChangeSet:
        """Update the rows as an index would be, without reading pictures."""
        given = [self.root / folder for folder in folders]
        roots = self.roots.widened(given, ())
        closed: list[str] = []
        images = roots.name(find_images(given, on_empty=closed.append))
        looked = Looked.of([folder.resolve() for folder in given], closed)
        plan = find_changes(self.rows, images, looked)
        self.roots = roots
        for row in plan.removed:
            del self.rows[row.name]
        kept = {old: self.rows.pop(old) for old in plan.moved}
        assert not {row.name for row in plan.moved.values()} & self.rows.keys()
        self.rows |= {row.name: row for row in plan.moved.values()}
        assert len(kept) == len(plan.moved)
        for image in plan.to_read:
            status = image.path.stat()
            size, time = status.st_size, status.st_mtime_ns
            row = ImageRow(image.name, image.folder, size, time, sha256(image.path))
            self.rows[image.name] = row
        return plan

    @property
    def paths(self) -> list[str]:
        return sorted(
            str(Path(row.folder, row.name).relative_to(self.root)) for row in self.rows.values()
        )


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def test_a_file_is_one_image_through_all_roots(disk: Disk) -> None:
    files = [f"p/a/{n}.jpg" for n in "12"] + [f"p/a/new/{n}.jpg" for n in "34"] + ["p/b/1.jpg"]
    disk.put(*files)
    assert disk.update("p/a").counts()["new"] == 4
    assert disk.update("p/a/new").summary() == "2 unchanged"
    assert sorted(disk.rows) == ["1.jpg", "2.jpg", "new/3.jpg", "new/4.jpg"]
    assert disk.update("p").summary() == "1 new, 4 moved"
    assert disk.paths == sorted(files)
    assert sorted(disk.rows) == sorted(file.removeprefix("p/") for file in files)
    assert disk.update("p/a/new", "p/b").summary() == "3 unchanged"


def test_inner_roots_first(disk: Disk) -> None:
    disk.put("p/a/new/1.jpg", "p/a/2.jpg")
    disk.update("p/a/new")
    assert list(disk.rows) == ["1.jpg"]
    assert disk.update("p/a").summary() == "1 new, 1 moved"
    assert sorted(disk.rows) == ["2.jpg", "new/1.jpg"]


def test_names_that_are_handed_on(disk: Disk) -> None:
    """The old name of one image is the new name of another."""
    disk.put("p/x/1.jpg", "p/x/x/1.jpg", "p/x/x/x/1.jpg")
    disk.update("p/x")
    assert disk.update("p").summary() == "3 moved"
    assert disk.paths == ["p/x/1.jpg", "p/x/x/1.jpg", "p/x/x/x/1.jpg"]


def test_links_and_other_spellings_lead_to_the_same_images(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.put("photos/1.jpg", "photos/sub/2.jpg", "nas/3.jpg")
    (disk.root / "link").symlink_to("photos")
    (disk.root / "photos" / "again.jpg").symlink_to("sub/2.jpg")
    (disk.root / "nas" / "there").symlink_to("../photos/sub")
    disk.update("photos")
    for spelled in ("link", "nas/../photos", "photos/../link/"):
        assert disk.update(spelled).summary() == "2 unchanged"
    assert disk.update("nas").summary() == "1 new, 1 unchanged"
    assert disk.paths == ["nas/3.jpg", "photos/1.jpg", "photos/sub/2.jpg"]
    monkeypatch.setenv("HOME", str(disk.root))
    assert [image.name for image in find_images([Path("~/photos")])] == ["1.jpg", "sub/2.jpg"]
    assert [i.path for i in given_files([disk.root / "nas/../link/sub/2.jpg"], print)] == [
        disk.root / "photos/sub/2.jpg"
    ]


def test_composed_and_decomposed_names_are_one_place(disk: Disk) -> None:
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    disk.put(f"{composed}/é.jpg")
    disk.update(composed)
    if not (disk.root / decomposed).exists():  # some file systems take both for one
        assert disk.update(decomposed).summary() == "1 unchanged"
        (disk.root / composed).rename(disk.root / decomposed)
    plan = disk.update(decomposed)
    assert plan.to_read == [] and plan.removed == [] and plan.away == []
    assert len(disk.rows) == 1
    name = unicodedata.normalize("NFD", next(iter(disk.rows)))
    assert find_named(disk.rows, name) == list(disk.rows)


def test_two_files_of_two_spellings_stay_two(disk: Disk) -> None:
    names = [unicodedata.normalize(form, "p/é.jpg") for form in ("NFC", "NFD")]
    disk.put(*names)
    if len(list((disk.root / "p").iterdir())) < 2:
        pytest.skip("this file system takes both for one")
    disk.update("p")
    assert disk.update("p").summary() == "2 unchanged" and disk.paths == sorted(names)


# What is moved and removed


def test_a_root_that_moved_and_was_rearranged_leaves_nothing_behind(disk: Disk) -> None:
    disk.put(*(f"old/{n}.jpg" for n in range(6)))
    disk.update("old")
    (disk.root / "old").rename(disk.root / "new")
    (disk.root / "new" / "deep").mkdir()
    for n in range(3):
        (disk.root / f"new/{n}.jpg").rename(disk.root / f"new/deep/other{n}.jpg")
    (disk.root / "new" / "5.jpg").unlink()
    assert disk.update("new").summary() == "3 moved, 1 removed, 2 unchanged"
    assert disk.paths == [f"new/{n}.jpg" for n in (3, 4)] + [
        f"new/deep/other{n}.jpg" for n in range(3)
    ]


def test_a_root_that_is_away_keeps_its_images(disk: Disk) -> None:
    disk.put("a/1.jpg", "a/2.jpg", "a/3.jpg", "b/4.jpg")
    disk.update("a", "b")
    shutil.rmtree(disk.root / "a")
    assert len(disk.update("b").away) == 3
    with pytest.raises(UsageError, match="cannot be read"):
        disk.update("a")
    (disk.root / "a").mkdir()
    with pytest.raises(BovwError, match="no image in"):
        disk.update("a")
    assert len(disk.rows) == 4


def test_an_empty_folder_keeps_its_images(disk: Disk) -> None:
    disk.put("p/nas/1.jpg", "p/nas/2.jpg", "p/nas/deep/3.jpg", "p/gone/4.jpg", "p/5.jpg")
    disk.update("p")
    shutil.rmtree(disk.root / "p/nas")
    (disk.root / "p/nas").mkdir()
    shutil.rmtree(disk.root / "p/gone")
    assert disk.update("p").summary() == "1 removed, 1 unchanged"
    assert disk.paths == ["p/5.jpg", "p/nas/1.jpg", "p/nas/2.jpg", "p/nas/deep/3.jpg"]


def test_a_link_to_a_disk_that_is_away_keeps_its_images(disk: Disk) -> None:
    disk.put("disk/x/1.jpg", "p/2.jpg")
    (disk.root / "p" / "there").symlink_to(disk.root / "disk")
    disk.update("p")
    (disk.root / "disk").rename(disk.root / "unplugged")
    assert len(disk.update("p").away) == 1
    (disk.root / "unplugged").rename(disk.root / "disk")
    assert disk.update("p").summary() == "2 unchanged"


def test_two_disks_with_the_same_tree_are_told_apart(disk: Disk) -> None:
    disk.put("m/a/2019/1.jpg")
    disk.update("m/a")
    disk.put("m/b/2019/1.jpg")
    with pytest.raises(UsageError, match=r"would both be called 2019/1\.jpg: .*/m, or a new one"):
        disk.update("m/b")
    assert disk.update("m").summary() == "1 new, 1 moved"
    assert sorted(disk.rows) == ["a/2019/1.jpg", "b/2019/1.jpg"]


def test_links_to_two_disks_hold_both(disk: Disk) -> None:
    disk.put("a/1.jpg", "b/1.jpg")
    disk.update("a")
    (disk.root / "all").mkdir()
    for name in "ab":
        (disk.root / "all" / name).symlink_to(disk.root / name)
    assert disk.update("all").summary() == "1 new, 1 unchanged"
    assert sorted(disk.rows) == ["1.jpg", "b/1.jpg"]


def test_an_image_that_an_index_has_twice_leaves_once(disk: Disk) -> None:
    disk.put("p/new/1.jpg")
    disk.update("p")
    row = disk.rows["new/1.jpg"]
    disk.rows["1.jpg"] = ImageRow(
        "1.jpg", row.folder + "new/", row.size, row.mtime, row.sha256
    )  # fmt: skip
    assert disk.update("p").summary() == "1 removed, 1 unchanged"
    assert list(disk.rows) == ["new/1.jpg"]


def test_a_hidden_folder_that_was_given_stays(disk: Disk) -> None:
    disk.put("p/.private/1.jpg", "p/2.jpg")
    disk.update("p", "p/.private")
    assert sorted(disk.rows) == [".private/1.jpg", "2.jpg"]
    assert len(disk.update("p").away) == 1


def test_what_is_remembered_is_read_again(tmp_path: Path) -> None:
    options = {"max_size": 300}
    with IndexWriter.create(tmp_path / "index", 4, 64, "0" * 64, options) as writer:
        writer.vocabulary_folder.mkdir()
        known = Collection((tmp_path / "a", tmp_path / "b"), ("thumbs",))
        assert known.remember(writer.meta, [f"{tmp_path}/a/"])
        assert not known.remember(writer.meta, [f"{tmp_path}/a/"])
        writer.commit()
    kept = Collection.of(tmp_path / "index")
    assert kept == Collection((tmp_path / "a",), ("thumbs",))
    assert kept.widened([tmp_path / "a" / "c"], ()) == kept
    assert kept.widened([tmp_path], ("x", "")) == Collection((tmp_path,), ("x",))
    assert kept.widened([], ("",)).exclude == ()
    assert Index.open(tmp_path / "index").meta[KEY]["roots"] == [str(tmp_path / "a")]


# Any order of changes


class Moves(RuleBasedStateMachine):
    """Disks and files come, move and go; folders are given again in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.place = TemporaryDirectory()
        self.disk = Disk(Path(self.place.name).resolve())
        self.clock = 10**9
        for number, name in enumerate(("m/a/x/1.jpg", "m/a/2.jpg", "m/b/x/6.jpg", "m/b/3.jpg")):
            self.put(name, number)
        (self.disk.root / "m/a/l").symlink_to("../b/x")
        self.disk.update("m/a")

    def put(self, name: str, content: int) -> None:
        path = self.disk.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%9d" % content)
        self.clock += 1
        os.utime(path, (self.clock, self.clock))

    def files(self) -> list[Path]:
        return sorted(p for p in self.disk.root.rglob("*.jpg") if not p.is_symlink())

    def folders(self) -> list[Path]:
        found = (Path(at) for at, _, _ in os.walk(self.disk.root / "m"))
        return sorted(path for path in found if any(path.iterdir()))

    def shown(self, path: Path) -> str:
        return str(path.relative_to(self.disk.root))

    @precondition(lambda self: self.folders())
    @rule(data=st.data(), name=st.sampled_from(["1.jpg", "2.jpg", "4.jpg"]), content=small)
    def write(self, data: st.DataObject, name: str, content: int) -> None:
        folder = data.draw(st.sampled_from(self.folders()))
        self.put(f"{self.shown(folder)}/{name}", content)

    @precondition(lambda self: len(self.files()) > 1 and self.folders())
    @rule(data=st.data(), name=st.sampled_from(["1.jpg", "5.jpg"]), keep=st.booleans())
    def move(self, data: st.DataObject, name: str, keep: bool) -> None:
        file = data.draw(st.sampled_from(self.files()))
        folder = data.draw(st.sampled_from(self.folders()))
        if keep and file != folder / name:
            shutil.copy2(file, folder / name)
        else:
            file.rename(folder / name)

    @precondition(lambda self: len(self.files()) > 1)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.files())).unlink()

    @precondition(lambda self: len(self.folders()) > 1)
    @rule(data=st.data(), name=st.sampled_from("abxyz"), empty=st.booleans())
    def move_folder(self, data: st.DataObject, name: str, empty: bool) -> None:
        """A folder gets another name, inside or outside of what is indexed."""
        folder = data.draw(st.sampled_from(self.folders()[1:]))
        to = data.draw(st.sampled_from([folder.with_name(name), self.disk.root / "off" / name]))
        if not to.exists():
            to.parent.mkdir(exist_ok=True)
            folder.rename(to)
            if empty:
                folder.mkdir()

    @rule(name=st.sampled_from("abxyz"), to=st.sampled_from("ab"))
    def mount(self, name: str, to: str) -> None:
        source, target = self.disk.root / "off" / name, self.disk.root / "m" / to
        if source.is_dir() and not (target.exists() and any(target.iterdir())):
            shutil.rmtree(target, ignore_errors=True)
            target.parent.mkdir(exist_ok=True)
            source.rename(target)

    @precondition(lambda self: self.folders())
    @rule(data=st.data(), name=st.sampled_from(["l", "k"]))
    def link(self, data: st.DataObject, name: str) -> None:
        one = data.draw(st.sampled_from(self.folders())) / name
        if not os.path.lexists(one):
            one.symlink_to(data.draw(st.sampled_from(self.folders())))

    @precondition(lambda self: self.folders())
    @rule(data=st.data())
    def update(self, data: st.DataObject) -> None:
        given = data.draw(st.lists(st.sampled_from(self.folders()), min_size=1, max_size=2))
        before = dict(self.disk.rows)
        try:
            plan = self.disk.update(*map(self.shown, given))
        except BovwError:  # two of one name, or a folder without images
            assert self.disk.rows == before
            return
        rows = self.disk.rows.values()
        real = [os.path.realpath(path_of(row)) for row in rows]
        assert len(set(real)) == len(real), "doubles"
        held = dict(zip(real, rows, strict=True))
        for folder in given:
            for file in folder.rglob("*.jpg"):
                if not any(part.is_symlink() for part in (file, *file.parents)):
                    assert held[str(file)].sha256 == sha256(file), "not indexed"
        there = {os.path.realpath(path_of(row)) for row in before.values() if is_there(row)}
        assert {path for path in there if Path(path).exists()} <= held.keys(), "lost"
        away = {row.name for row in plan.away}
        for row in rows:
            if not is_there(row) and any(Path(path_of(row)).is_relative_to(f) for f in given):
                assert row.name in away, "a ghost"
                nearest = next(p for p in Path(path_of(row)).parents if os.path.lexists(p))
                assert nearest.is_symlink() or not any(nearest.iterdir()), "a ghost"
        again = self.disk.update(*map(self.shown, given))
        assert again.summary() in (f"{again.same:,} unchanged",), "not stable"

    def teardown(self) -> None:
        self.place.cleanup()


TestMoves = pytest.mark.slow(Moves.TestCase)

TestMoves.settings = settings(
    max_examples=int(os.environ.get("BOVW_LIVES", "40")),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
