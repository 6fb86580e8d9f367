"""Data sets with rules of their own: what is junk, what is left out, and what is counted."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bovw.demo.scenes import draw_scene, scene_box, view_of
from bovw.evaluation.datasets import Dataset, load
from bovw.evaluation.run import evaluate
from bovw.ingest.build import build_index
from bovw.ingest.run import Recipe, Run
from bovw.records import Box
from bovw.search.searcher import Searcher
from bovw.vocab import Vocabulary
from tests.evaluation.oracle import rankings, slow_ap, slow_precision
from tests.evaluation.running import AREA, FEW, report, run


def picture(scene: int, view: int) -> tuple[bytes, Box]:
    """Return a JPEG of 320 by 240 pixels, and where the scene is in it."""
    pixels, homography = view_of(draw_scene((50, scene)), (51, scene, view), 0.5)
    pixels = cv2.resize(pixels, (320, 240), interpolation=AREA)
    box = Box(*(corner / 2 for corner in scene_box(homography)))
    return cv2.imencode(".jpg", pixels)[1].tobytes(), box


def indexed_with(vocabulary: Vocabulary, dataset: Dataset, images: Path, folder: Path) -> Searcher:
    from bovw.evaluation.database import database_files

    files = database_files(dataset, images)
    return Searcher(build_index(files, folder, Recipe(vocabulary, features=FEW), Run(jobs=1)))


@pytest.fixture(scope="module")
def revisited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write pictures and a pickle as those of ROxford5k; the queries are not in the database.

    Of each of three scenes there is an easy view, a hard one and one that is junk; the last has no
    easy view. Two more images are not listed.
    """
    root = tmp_path_factory.mktemp("revisited")
    (root / "jpg" / "deep").mkdir(parents=True)
    names: list[str] = []
    queries: list[str] = []
    judgements: list[dict[str, Any]] = []
    for scene, landmark in enumerate(("all_souls", "bodleian", "ashmolean")):
        numbers = {}
        for view, label in enumerate(("easy", "hard", "junk")):
            numbers[label] = [len(names)]
            names.append(f"{landmark}_00000{view}")
            (root / "jpg" / "deep" / f"{names[-1]}.jpg").write_bytes(picture(scene, view)[0])
        if scene == 2:
            numbers = {"easy": [], "hard": numbers["hard"], "junk": numbers["junk"]}
        queries.append(f"{landmark}_000009")
        content, box = picture(scene, 9)
        (root / "jpg" / f"{queries[-1]}.jpg").write_bytes(content)
        judgements.append({"bbx": list(box), **numbers})
    for number in range(2):
        (root / "jpg" / f"radcliffe_{number}.jpg").write_bytes(picture(9, number)[0])
    truth = {"imlist": names, "qimlist": queries, "gnd": judgements}
    (root / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(truth))
    return root


@pytest.mark.slow
def test_revisited_has_three_settings(
    revisited: Path, independent: Vocabulary, tmp_path: Path
) -> None:
    independent.save(tmp_path / "bovw-vocab")
    options = ("--images", revisited / "jpg", "--jobs", 1, "--run", "rankings.run")
    content = report("roxford5k", *options)
    assert list(content["map"]) == ["easy", "medium", "hard"]
    assert content["settings"]["query_mode"] == "crop"
    assert (content["settings"]["images"], len(content["queries"])) == (9, 3)
    ranked = rankings(tmp_path / "rankings.run")
    assert not any(query in ranking for query in ranked for ranking in ranked.values())

    truth = pickle.loads((revisited / "gnd_roxford5k.pkl").read_bytes())
    paths = [f"deep/{name}.jpg" for name in truth["imlist"]]
    rules = {
        "easy": (["easy"], ["junk", "hard"]),
        "medium": (["easy", "hard"], ["junk"]),
        "hard": (["hard"], ["junk", "easy"]),
    }
    for setting, (positive, ignored) in rules.items():
        expected: dict[str, float | None] = {}
        precisions: dict[int, list[float]] = {1: [], 5: [], 10: []}
        for query, gnd in zip(truth["qimlist"], truth["gnd"], strict=True):
            positives = [paths[i] for label in positive for i in gnd[label]]
            junk = [paths[i] for label in ignored for i in gnd[label]]
            expected[query] = slow_ap(ranked[query], positives, junk) if positives else None
            for k, values in precisions.items():
                values += [slow_precision(ranked[query], positives, junk, k)] if positives else []
        found = {query["id"]: query["ap"][setting] for query in content["queries"]}
        assert found == {q: ap if ap is None else pytest.approx(ap) for q, ap in expected.items()}
        known = [ap for ap in expected.values() if ap is not None]
        assert len(known) == (2 if setting == "easy" else 3)
        assert content["map"][setting] == pytest.approx(np.mean(known))
        for k, values in precisions.items():
            measured = content["mean_precision_at"][str(k)][setting]
            assert measured == pytest.approx(np.mean(values))
    assert content["map"]["medium"] > 0.5
    text = run("eval", "roxford5k", "--images", revisited / "jpg", "-q").stdout
    for setting in rules:
        assert f"mAP {setting}  {content['map'][setting]:.4f}" in text
        assert f"mP@1,5,10 {setting}  " in text


@pytest.mark.slow
def test_ukbench_counts_the_group_among_four(independent: Vocabulary, tmp_path: Path) -> None:
    images = tmp_path / "full"
    images.mkdir()
    for scene in range(2):
        for view in range(4):
            (images / f"ukbench{4 * scene + view:05}.jpg").write_bytes(picture(scene, view)[0])
    dataset = load("ukbench", images)
    searcher = indexed_with(independent, dataset, images, tmp_path / "index")
    evaluation = evaluate(dataset, images, searcher)
    content = evaluation.report()
    counts = [
        sum(int(name[7:12]) // 4 == int(o.query.id[7:12]) // 4 for name in o.ranking[:4])
        for o in evaluation.outcomes
    ]
    assert len(counts) == 8
    assert content["ukbench"] == pytest.approx(np.mean(counts))
    assert 3 < content["ukbench"] <= 4
    assert content["recall_at_1"] == 1, "every image finds itself first"


@pytest.mark.slow
def test_holidays_leaves_the_query_out(independent: Vocabulary, tmp_path: Path) -> None:
    images = tmp_path / "jpg"
    images.mkdir()
    for scene in range(3):
        for view in range(3):
            (images / f"{100_000 + 100 * scene + view}.jpg").write_bytes(picture(scene, view)[0])
    dataset = load("holidays", images)
    searcher = indexed_with(independent, dataset, images, tmp_path / "index")
    evaluation = evaluate(dataset, images, searcher)
    assert [o.query.id for o in evaluation.outcomes] == ["100000", "100100", "100200"]
    for outcome, ap in zip(evaluation.outcomes, evaluation.precisions("all"), strict=True):
        own = f"{outcome.query.id}.jpg"
        assert outcome.ranking[0] == own
        others = [f"{int(outcome.query.id) + view}.jpg" for view in (1, 2)]
        assert ap == pytest.approx(slow_ap(outcome.ranking, others, [own]))
    assert evaluation.mean_ap("all") > 0.9
