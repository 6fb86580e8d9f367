"""An index is updated with what it was made with, also by a version that knows more options."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest

from bovw.demo.scenes import draw_scene
from bovw.errors import FormatError, NewerFormatError
from bovw.images import find_images
from bovw.index import Index, IndexWriter
from bovw.index.archive import import_index
from bovw.ingest import build
from bovw.ingest.build import build_index
from bovw.ingest.run import Recipe, Run
from bovw.ingest.training import build_vocabulary
from bovw.options import FeatureOptions, VocabularyOptions
from bovw.search import Searcher

FROZEN = Path(__file__).parents[1] / "data" / "format-4.bovw"


@dataclass(frozen=True)
class _Later(FeatureOptions):
    """The options of a later version."""

    sharpness: float = 1.0


def test_the_frozen_index_is_opened_with_a_future_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "index"
    index = import_index(FROZEN, folder)
    assert "sharpness" not in index.meta["options"]
    monkeypatch.setattr("bovw.search.searcher.FeatureOptions", _Later)
    monkeypatch.setattr(build, "FeatureOptions", _Later)
    assert Searcher(index).feature_options == _Later(
        **{**index.meta["options"], "max_features": 4000}
    )
    # Its default stands for what was done before; anything else was not.
    same = _Later(**index.meta["options"])
    with IndexWriter.open(folder) as writer:
        build._check_made_with(writer, Recipe(features=same))
        with pytest.raises(FormatError, match=r"made with sharpness 1\.0 and not 2"):
            build._check_made_with(writer, Recipe(features=replace(same, sharpness=2.0)))


def test_an_option_that_is_not_known_asks_for_an_upgrade() -> None:
    later = asdict(FeatureOptions()) | {"sharpness": 2.0}
    with pytest.raises(NewerFormatError, match=r"sharpness 2.0.*pip install -U bovw"):
        FeatureOptions.of(later)


@pytest.mark.slow
def test_a_vocabulary_of_other_features_makes_no_index(tmp_path: Path) -> None:
    import cv2

    (tmp_path / "photos").mkdir()
    for number in range(2):
        cv2.imwrite(str(tmp_path / "photos" / f"{number}.png"), draw_scene(number))
    images, few = find_images([tmp_path / "photos"]), VocabularyOptions(words=50)
    upright = FeatureOptions(max_features=200, upright=True)
    vocabulary = build_vocabulary(images, upright, few, Run(jobs=1))
    turned = FeatureOptions(max_features=200)
    with pytest.raises(FormatError, match="trained on upright sift"):
        build_index(images, tmp_path / "index", Recipe(vocabulary, turned), Run(jobs=1))
    assert not (tmp_path / "index").exists()
    made = build_index(images, tmp_path / "index", Recipe(vocabulary, upright), Run(jobs=1))
    assert len(made) == len(Index.open(tmp_path / "index")) == 2
