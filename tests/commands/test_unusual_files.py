"""Files that look unusual, but are photographs all the same, work as any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from bovw.demo.scenes import draw_scene, view_of
from bovw.index import Index
from bovw.search.searcher import Searcher
from tests.commands.photographs import FEW, encoded, half, run

pytestmark = pytest.mark.slow

ORIENTATION = 0x0112


def cmyk(picture: Image.Image, path: Path) -> None:
    picture.convert("CMYK").save(path.with_suffix(".jpg"), quality=95)


def sixteen_bits(picture: Image.Image, path: Path) -> None:
    grey = np.asarray(picture.convert("L")).astype(np.uint16) * 257
    cv2.imwrite(str(path.with_suffix(".png")), grey)


def alpha(picture: Image.Image, path: Path) -> None:
    turned = picture.convert("RGBA")
    turned.putalpha(Image.new("L", picture.size, 230))
    turned.save(path.with_suffix(".png"))


def exif_rotated(picture: Image.Image, path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be shown turned clockwise by a quarter
    stored = picture.transpose(Image.Transpose.ROTATE_90)
    stored.save(path.with_suffix(".jpg"), quality=95, exif=exif)


UNUSUAL: dict[str, Callable[[Image.Image, Path], object]] = {
    "cmyk": cmyk,
    "16 bits": sixteen_bits,
    "alpha": alpha,
    "grey": lambda picture, path: picture.convert("L").save(path.with_suffix(".jpg"), quality=95),
    "palette": lambda picture, path: picture.quantize(64).save(path.with_suffix(".png")),
    "exif": exif_rotated,
    "webp": lambda picture, path: picture.save(path.with_suffix(".webp"), quality=95),
    "tiff": lambda picture, path: picture.save(path.with_suffix(".tiff")),
    "bmp": lambda picture, path: picture.save(path.with_suffix(".bmp")),
    "capital": lambda picture, path: picture.save(path.with_suffix(".JPEG"), format="JPEG"),
}

UNRELATED = ("distractor_0", "distractor_1")


@pytest.fixture(scope="module")
def unusual(photo_vocab: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Write and index a copy of one photograph in every unusual form; return it and the index."""
    folder = tmp_path_factory.mktemp("unusual")
    query = folder / "query.png"
    pixels = half(view_of(draw_scene(1), 5, 0.3)[0])[:, ::-1]
    query.write_bytes(encoded(np.ascontiguousarray(pixels), ".png"))
    (folder / "db").mkdir()
    with Image.open(query) as picture:
        for name, save in UNUSUAL.items():
            save(picture, folder / "db" / name)
    for number, name in enumerate(UNRELATED):
        (folder / "db" / f"{name}.jpg").write_bytes(encoded(half(draw_scene(10 + number))))
    index = folder / "index"
    run("index", folder / "db", "--index", index, "--vocab", photo_vocab, "--jobs", 1, *FEW)
    return query, index


@pytest.mark.parametrize("form", UNUSUAL)
def test_unusual_image_is_found_with_its_original(form: str, unusual: tuple[Path, Path]) -> None:
    query, folder = unusual
    hits = {Path(hit.name).stem: hit for hit in Searcher(Index.open(folder)).search(query)}
    hit = hits[form]
    assert hit.rank <= len(UNUSUAL)
    assert hit.inliers >= 100
    assert hit.box is not None
    # The same pixels, upright: the query lies exactly on it.
    np.testing.assert_allclose(hit.box, [[0, 0], [320, 0], [320, 240], [0, 240]], atol=2)
    assert hit.inliers > 5 * max(hits[name].inliers for name in UNRELATED)


@pytest.mark.parametrize("form", UNUSUAL)
def test_unusual_image_works_as_a_query(form: str, unusual: tuple[Path, Path]) -> None:
    _, folder = unusual
    (path,) = (folder.parent / "db").glob(f"{form}.*")
    first, *_ = Searcher(Index.open(folder)).search(path, topk=1)
    assert Path(first.name).stem in UNUSUAL and first.inliers >= 100


def test_sizes_are_those_of_the_upright_image(unusual: tuple[Path, Path]) -> None:
    _, folder = unusual
    assert {(row.width, row.height) for row in Index.open(folder).images()} == {(320, 240)}


def test_what_is_odd_about_a_usable_file_is_told_once_and_kept(
    tmp_path: Path, photos: tuple[bytes, bytes], photo_vocab: Path
) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "cut.jfif").write_bytes(photos[0][:-2])
    (tmp_path / "db" / "good.jpg").write_bytes(photos[1])
    told = "its end is missing, the picture is whole"
    arguments = ("index", tmp_path / "db", "--index", tmp_path / "i", "--jobs", 1)
    first = run(*arguments, "--vocab", photo_vocab)
    assert first.stderr.splitlines().count(f"cut.jfif: {told}") == 1
    assert told not in run(*arguments).stderr
    assert run("list", "--index", tmp_path / "i").stdout == f"cut.jfif\t{told}\ngood.jpg\n"
    again = run(*arguments[:3], tmp_path / "quiet", *arguments[4:], "--quiet")
    assert again.stderr == ""
