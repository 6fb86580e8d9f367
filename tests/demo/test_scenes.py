"""The planted truth itself: the same every time, and true."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from bovw.demo.scenes import (
    Collection,
    draw_scene,
    scene_box,
    transform_between,
    view_of,
    write_collection,
)
from bovw.records import Bytes, Doubles

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return write_collection(tmp_path_factory.mktemp("scenes"), 3, 2, 2)


def written(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def pixels_of(path: Path) -> Bytes:
    return np.asarray(cv2.imread(str(path)), np.uint8)


def median_error(first: Bytes, second: Bytes, H: Doubles) -> float:
    """Match SIFT features both ways and return the median distance from where H takes them."""
    sift = cv2.SIFT.create()
    points, descriptors = sift.detectAndCompute(cv2.cvtColor(first, cv2.COLOR_BGR2GRAY), None)
    others, targets = sift.detectAndCompute(cv2.cvtColor(second, cv2.COLOR_BGR2GRAY), None)
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(descriptors, targets, k=2)
    good = [near for near, next_ in pairs if near.distance < 0.7 * next_.distance]
    assert len(good) >= 50
    source = np.array([[points[match.queryIdx].pt for match in good]])
    target = np.array([others[match.trainIdx].pt for match in good])
    moved = cv2.perspectiveTransform(source, H)[0]
    return float(np.median(np.linalg.norm(moved - target, axis=1)))


def test_same_seed_gives_same_bytes(collection: Collection, tmp_path: Path) -> None:
    write_collection(tmp_path, 3, 2, 2)
    assert written(tmp_path) == written(collection.root)


def test_another_seed_gives_other_pictures(collection: Collection, tmp_path: Path) -> None:
    write_collection(tmp_path, 3, 2, 2, seed=1)
    other, first = written(tmp_path), written(collection.root)
    assert other.keys() == first.keys()
    assert all(other[name] != first[name] for name in first)


def test_fewer_scenes_are_a_subset(collection: Collection, tmp_path: Path) -> None:
    write_collection(tmp_path, 2, 1, 1)
    small, large = written(tmp_path), written(collection.root)
    assert all(large[name] == small[name] for name in small if name.endswith(".jpg"))


@pytest.mark.parametrize("seed", range(4))
def test_scene_has_enough_features(seed: int) -> None:
    scene = draw_scene(seed)
    assert scene.shape == (480, 640, 3)
    assert 500 <= len(cv2.SIFT.create().detect(scene, None)) <= 2500


@pytest.mark.parametrize("seed", range(4))
def test_homography_takes_scene_to_view(seed: int) -> None:
    scene = draw_scene(seed)
    pixels, H = view_of(scene, seed)
    assert pixels.shape == scene.shape
    assert median_error(scene, pixels, H) < 2


def test_difficulty_zero_changes_nothing() -> None:
    scene = draw_scene(5, (320, 200))
    pixels, H = view_of(scene, 5, difficulty=0)
    assert np.allclose(H, np.eye(3))
    assert np.abs(pixels.astype(int) - scene).max() <= 1


def test_transform_between_takes_query_to_view(collection: Collection) -> None:
    for query in collection.queries:
        first = pixels_of(collection.root / query.name)
        for view in collection.views_of(query.scene):
            second = pixels_of(collection.database / view.name)
            assert median_error(first, second, transform_between(query, view)) < 2


def test_truth_names_what_was_written(collection: Collection) -> None:
    truth = json.loads(collection.truth.read_text(encoding="utf-8"))
    root = collection.root / truth["db_root"]
    assert root == collection.database
    assert {path.relative_to(root).as_posix() for path in root.rglob("*.jpg")} == set(truth["db"])
    assert len(truth["db"]) == 3 * 2 + 2
    for query in truth["queries"]:
        assert (collection.root / query["image"]).is_file()
        assert len(query["positives"]) == 2
        assert set(query["positives"]) <= set(truth["db"])
        assert query["junk"] == []


def test_some_queries_have_a_region(collection: Collection) -> None:
    truth = json.loads(collection.truth.read_text(encoding="utf-8"))
    boxes = [query["bbox"] for query in truth["queries"]]
    assert boxes[0] == list(scene_box(collection.queries[0].homography))
    assert boxes[1:] == [None, None]
    x1, y1, x2, y2 = boxes[0]
    assert 0 <= x1 < x2 <= 640
    assert 0 <= y1 < y2 <= 480
