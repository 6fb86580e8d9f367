"""Which files are found, and what they are called."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from bovw.errors import BovwError, UsageError
from bovw.images.decode import read_picture
from bovw.images.find import find_images, sha256
from tests.images.samples import PNG, encoded, white


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(*folders: Path, exclude: tuple[str, ...] = ()) -> list[str]:
    return [image.name for image in find_images(folders, exclude)]


# finding


def test_images_are_found_at_any_depth_in_any_case_sorted_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a/z.png", "a/b/c.TifF", "B.webp", "notes.txt", "jpg", "a b.bmp")
    assert names(tmp_path) == ["B.webp", "a b.bmp", "a/b/c.TifF", "a/z.png", "b.JPG"]
    assert all(image.path == tmp_path / image.name for image in find_images([tmp_path]))


def test_a_relative_folder_gives_the_same_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a/x.jpg", "y.jpg")
    monkeypatch.chdir(tmp_path)
    assert names(Path()) == names(Path("../" + tmp_path.name)) == ["a/x.jpg", "y.jpg"]


def test_hidden_files_and_folders_are_skipped(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", ".b.jpg", ".c/d.jpg", "e/.jpg", "e/.f/g.jpg")
    assert names(tmp_path) == ["a.jpg"]


@pytest.mark.parametrize(
    ("glob", "left"),
    [
        ("thumbs", ["a/b.jpg", "a/b.thumb.jpg"]),
        ("thumbs/", ["a/b.jpg", "a/b.thumb.jpg"]),
        ("thumbs/*", ["a/b.jpg", "a/b.thumb.jpg"]),
        ("a/thumbs", ["a/b.jpg", "a/b.thumb.jpg", "thumbs/d.jpg"]),
        ("*.thumb.jpg", ["a/b.jpg", "a/thumbs/c.jpg", "thumbs/d.jpg"]),
        ("b.jpg", ["a/b.thumb.jpg", "a/thumbs/c.jpg", "thumbs/d.jpg"]),
        ("a/*", ["thumbs/d.jpg"]),
    ],
)
def test_globs_exclude_files_and_folders(tmp_path: Path, glob: str, left: list[str]) -> None:
    touch(tmp_path, "a/b.jpg", "a/b.thumb.jpg", "a/thumbs/c.jpg", "thumbs/d.jpg")
    assert names(tmp_path, exclude=(glob,)) == left


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    pictures, elsewhere = tmp_path / "pictures", tmp_path / "elsewhere"
    touch(pictures, "z/one.jpg")
    touch(elsewhere, "two.jpg")
    (pictures / "a").symlink_to("z")
    (pictures / "z" / "up").symlink_to(pictures)
    (pictures / "there").symlink_to(elsewhere)
    (pictures / "there again").symlink_to(elsewhere)
    (pictures / "self.jpg").symlink_to("self.jpg")
    (pictures / "file.jpg").symlink_to("z/one.jpg")
    assert names(pictures) == ["self.jpg", "there/two.jpg", "z/one.jpg"]


def test_names_in_odd_encodings_survive(tmp_path: Path) -> None:
    raw = b"caf\xe9 \xff.jpg"
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + raw)).write_bytes(
            encoded(white(), format="PNG")
        )
    except OSError:
        pytest.skip("this file system wants valid names")
    (image,) = find_images([tmp_path])
    assert os.fsencode(image.name) == raw
    assert read_picture(image.path, 100).width == 40


def test_what_is_no_folder_of_images_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "file.jpg", "empty/notes.txt")
    with pytest.raises(UsageError, match=r"missing cannot be read .* give a folder"):
        find_images([tmp_path / "missing"])
    with pytest.raises(UsageError, match=f"is a file: give its folder {tmp_path} instead"):
        find_images([tmp_path / "file.jpg"])
    with pytest.raises(BovwError, match=r"no image in .*empty: give a folder with .jpg"):
        find_images([tmp_path / "empty"])
    with pytest.raises(BovwError, match="apart from what is excluded"):
        find_images([tmp_path], ["*.jpg"])


def test_two_folders_are_joined_unless_they_share_a_name(tmp_path: Path) -> None:
    touch(tmp_path, "a/one.jpg", "b/two.jpg", "c/one.jpg")
    assert names(tmp_path / "b", tmp_path / "a") == ["one.jpg", "two.jpg"]
    both = f"a/one.jpg and .*/c/one.jpg would both be called one.jpg: .*({tmp_path}, or a new one"
    with pytest.raises(UsageError, match=both.replace("(", r"\(")):
        find_images([tmp_path / "a", tmp_path / "c"])


def test_an_unreadable_folder_is_reported_and_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "locked/a.jpg", "open/b.jpg")
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    errors: list[OSError] = []
    assert [i.name for i in find_images([tmp_path], on_error=errors.append)] == ["open/b.jpg"]
    assert [error.filename for error in errors] == [str(tmp_path / "locked")]
    assert names(tmp_path) == ["open/b.jpg"]


def test_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(PNG)
    assert sha256(path) == hashlib.sha256(PNG).hexdigest()
