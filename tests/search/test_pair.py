"""Two pictures without an index: what agrees in them, its drawing, and the command."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner, Result

import bovw.search.pair
from bovw.cli import cli
from bovw.demo.scenes import Collection, transform_between
from bovw.geometry import clip_to_frame, corners, warp_box
from bovw.records import Box, Bytes, Features
from bovw.report.drawing import GAP, LINES, WIDTH, as_png, draw_pair
from bovw.search.pair import find_nearest, match_pair, tentative_matches
from bovw.search.query import describe_query

FRAME = Box(0, 0, 100, 60)


def features(path: Path) -> Features:
    return describe_query(path)[0]


def some_features(n: int, seed: int) -> Features:
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(1, 300, (n, 4)).astype(np.float32)
    return Features(keypoints, rng.integers(0, 256, (n, 128), np.uint8), 300, 300)


@pytest.mark.slow
def test_the_planted_homography_is_found(collection: Collection) -> None:
    for query in collection.queries[:3]:
        for view in collection.views_of(query.scene)[:2]:
            found = match_pair(
                features(collection.root / query.name), features(collection.database / view.name)
            )
            assert found is not None
            assert found.evidence.inliers >= 30
            true = transform_between(query, view)
            inside = found.points[:, :2].reshape(-1, 1, 2)
            carried = cv2.perspectiveTransform(inside, found.transform)
            planted = cv2.perspectiveTransform(inside, true)
            assert np.linalg.norm(carried - planted, axis=2).max() < 3
            assert np.allclose(found.box, warp_box(found.transform, Box(0, 0, 640, 480)))


@pytest.mark.slow
def test_unrelated_pictures_agree_in_a_word_at_most(collection: Collection) -> None:
    """Posters are lettered with the same few words, which truly are the same."""
    queries = [features(collection.root / query.name) for query in collection.queries]
    found = [match_pair(a, b) for a, b in permutations(queries[:4], 2)]
    assert sum(agreement is None for agreement in found) >= 8
    for agreement in filter(None, found):
        assert agreement.evidence.inliers < 20
        assert np.ptp(agreement.points, axis=0).max() < 150


def test_a_picture_agrees_with_itself(collection: Collection) -> None:
    a = features(collection.root / collection.queries[0].name)
    found = match_pair(a, a)
    assert found is not None
    assert np.allclose(found.transform, np.eye(3), atol=1e-6)
    assert np.allclose(found.box, corners(Box(0, 0, 640, 480)), atol=1e-3)


@pytest.mark.parametrize("sizes", [(0, 5), (5, 0), (1, 1), (3, 1)])
def test_few_features_agree_in_nothing(sizes: tuple[int, int]) -> None:
    a, b = some_features(sizes[0], 0), some_features(sizes[1], 1)
    assert match_pair(a, b) is None
    assert match_pair(b, a) is None


@pytest.mark.parametrize("block", [7, 50, 1000])
def test_nearest_descriptors_are_the_nearest(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(bovw.search.pair, "BLOCK", block)
    a, b = some_features(50, 2), some_features(30, 3)
    nearest = find_nearest(a, b)
    ours, theirs = (one.descriptors.astype(np.float32) for one in (a, b))
    for i, descriptor in enumerate(ours):
        distances = ((descriptor - theirs) ** 2).sum(axis=1)
        assert nearest.rows[i] == distances.argmin()
        assert [nearest.first[i], nearest.second[i]] == np.sort(distances)[:2].tolist()
    for i, descriptor in enumerate(theirs):
        assert nearest.back[i] == ((descriptor - ours) ** 2).sum(axis=1).argmin()


def test_matches_are_one_to_one_and_the_most_telling_lead(collection: Collection) -> None:
    query, view = collection.queries[0], collection.views_of(0)[0]
    matches = tentative_matches(
        features(collection.root / query.name), features(collection.database / view.name)
    )
    assert len(matches) > 100
    assert (np.diff(matches.weights) <= 0).all()
    assert 1 >= matches.weights.max() >= matches.weights.min() > 1 - bovw.search.pair.RATIO
    for side in (matches.query, matches.found):
        assert len(np.unique(side, axis=0)) == len(matches)


# Outlines


def test_an_outline_within_the_frame_stays() -> None:
    inner = corners(Box(10, 10, 50, 40))
    assert np.array_equal(clip_to_frame(inner, FRAME), inner)


@pytest.mark.parametrize(
    ("outline", "area"),
    [
        (corners(Box(-50, -50, 500, 500)), 6000),
        (corners(Box(50, -10, 150, 30)), 1500),
        (corners(Box(100.5, 0, 150, 30)), 0),
        (np.array([[50, -10], [110, 30], [50, 70], [-10, 30]]), 4800 - 2 * (10 * 20 / 3 + 150)),
        (np.array([[np.nan, 0], [5, 5], [0, 5], [1, 1]]), 0),
        (np.array([[np.inf, 0], [5, 5], [0, 5], [1, 1]]), 0),
    ],
)
def test_an_outline_is_cut_at_the_frame(outline: np.ndarray, area: float) -> None:
    seen = clip_to_frame(outline, FRAME)
    assert (
        cv2.contourArea(seen.astype(np.float32)) == pytest.approx(area) if len(seen) else not area
    )
    assert ((seen >= 0) & (seen <= [100, 60])).all()


# Drawings


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, Path]:
    """A wide grey picture and a tall one."""
    paths = tmp_path / "wide.png", tmp_path / "tall.png"
    for path, shape in zip(paths, ((400, 800, 3), (900, 300, 3)), strict=True):
        cv2.imwrite(str(path), np.full(shape, 128, np.uint8))
    return paths


def coloured(pixels: Bytes) -> npt.NDArray[np.bool_]:
    return np.asarray(np.ptp(pixels.astype(int), axis=2) > 30)


def test_a_drawing_fits_and_shows_each_picture_whole(pictures: tuple[Path, Path]) -> None:
    pixels = draw_pair(*pictures)
    height, width = pixels.shape[:2]
    assert width <= WIDTH
    assert width == round(height * 2) + GAP + round(height / 3)
    assert not coloured(pixels).any()


def test_lines_and_the_outline_are_drawn_where_they_belong(pictures: tuple[Path, Path]) -> None:
    points = np.array([[400.0, 200.0, 150.0, 450.0]])
    pixels = draw_pair(*pictures, points, corners(Box(60, 180, 240, 720)))
    height = len(pixels)
    right = 2 * height + GAP
    marked = coloured(pixels)
    # A line from middle to middle, and the outline at a fifth of the right picture's width.
    assert marked[height // 2 - 2 : height // 2 + 2, height + 5 : right + height // 6].any(0).all()
    assert marked[height // 3, right + height // 15 - 3 : right + height // 15 + 4].any()
    assert not marked[: height // 8].any()


def test_of_many_inliers_some_have_lines_and_all_have_dots(pictures: tuple[Path, Path]) -> None:
    y = np.arange(10, 390, 1.0)
    points = np.stack([np.full_like(y, 700), y, np.full_like(y, 20), y * 2.25], axis=1)
    pixels = draw_pair(*pictures, points)
    gap = pixels[:, round(2 * len(pixels)) + GAP // 2]
    assert LINES / 2 < (gap != 255).any(axis=1).sum() <= 3 * LINES


# The command


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["matches", *map(str, arguments)])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output and "unexpected" not in result.output
    return result


@pytest.fixture
def pair(collection: Collection) -> tuple[Path, Path]:
    """A query and a view of its scene."""
    view = collection.views_of(1)[0]
    return collection.root / collection.queries[1].name, collection.database / view.name


@pytest.mark.slow
def test_the_command_says_so_and_draws(pair: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "pair.png"
    text = run(*pair, "--out", out).stdout
    content = json.loads(run(*pair, "--format", "json").stdout)
    assert text.startswith(f"{pair[0]} and {pair[1]} show the same thing: {content['inliers']} in")
    assert content["inliers"] == len(content["points"]) >= 30
    assert np.shape(content["points"])[1:] == (4,)
    assert np.shape(content["transform"]) == (3, 3)
    assert np.shape(content["box"]) == (4, 2)
    assert out.read_bytes().startswith(as_png(np.zeros((1, 1, 3), np.uint8))[:8])
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.slow
def test_nothing_that_agrees_is_an_answer(
    collection: Collection, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    # Other posters have a letter in common.
    other, out = collection.root / collection.queries[3].name, tmp_path / "none.png"
    assert run(pair[0], other, "--out", out).stdout == f"no match between {pair[0]} and {other}\n"
    assert out.is_file()
    content = json.loads(run(pair[0], other, "--format", "json").stdout)
    assert content["inliers"] == 0 and content["points"] == [] and content["box"] is None


def test_a_file_that_cannot_be_used_is_named(pair: tuple[Path, Path], tmp_path: Path) -> None:
    empty, out = tmp_path / "empty.jpg", tmp_path / "x.png"
    empty.touch()
    for bad, reason in ((empty, "empty file"), (tmp_path / "none.jpg", "")):
        for arguments in ((bad, pair[0]), (pair[0], bad)):
            result = run(*arguments, "--out", out, code=1)
            assert result.output.startswith(f"Error: {bad}: {reason}")
            assert len(result.output.splitlines()) == 1
    assert not out.exists()


def test_an_output_that_cannot_be_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    cases = (
        (tmp_path / "pair.jpg", 2, "does not end in .png"),
        (tmp_path / "none" / "pair.png", 1, "there is no folder"),
        (tmp_path, 2, "does not end in .png"),
    )
    for out, code, reason in cases:
        result = run(*pair, "--out", out, code=code)
        assert reason in result.output and len(result.output.splitlines()) == 1
    (tmp_path / "folder.png").mkdir()
    assert "is a folder" in run(*pair, "--out", tmp_path / "folder.png", code=1).output


def test_a_picture_is_never_overwritten(pair: tuple[Path, Path], tmp_path: Path) -> None:
    own = tmp_path / "own.png"
    cv2.imwrite(str(own), cv2.imread(str(pair[0])))
    before = own.read_bytes()
    assert "one of the two pictures" in run(own, pair[1], "--out", own, code=2).output
    assert own.read_bytes() == before
