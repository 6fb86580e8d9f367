"""A vocabulary knows the kind of features that it was trained on, and refuses others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bovw.errors import FormatError, NewerFormatError
from bovw.features import describer_of
from bovw.options import FeatureOptions, VocabularyOptions
from bovw.records import SIFT, FeatureKind, Features
from bovw.vocab import Vocabulary

UPRIGHT = replace(SIFT, has_angle=False)
WORDS = VocabularyOptions(words=10)


def features_of(kind: FeatureKind, count: int = 90) -> Features:
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(1, 100, (count, 4)).astype(np.float32)
    descriptors = rng.integers(0, 256, (count, kind.dimensions), dtype=np.uint8)
    return Features(keypoints, descriptors, 100, 100, kind)


@pytest.mark.parametrize("upright", [False, True])
def test_a_describer_says_what_it_makes(upright: bool) -> None:
    assert describer_of(FeatureOptions(upright=upright)).kind == (UPRIGHT if upright else SIFT)


@pytest.mark.parametrize("kind", [SIFT, UPRIGHT, FeatureKind("other", 64, True, False)])
def test_the_kind_is_kept_on_disk(kind: FeatureKind, tmp_path: Path) -> None:
    features = features_of(kind)
    Vocabulary.train(features.descriptors, WORDS, kind=kind).save(tmp_path / "vocab")
    loaded = Vocabulary.load(tmp_path / "vocab")
    assert loaded.kind == kind
    assert loaded.words.shape == (10, kind.dimensions)
    assert len(loaded.assign(features)) == len(features)


def test_features_of_another_kind_are_refused() -> None:
    vocabulary = Vocabulary.train(features_of(UPRIGHT).descriptors, WORDS, kind=UPRIGHT)
    with pytest.raises(FormatError, match=r"trained on upright sift .* does not fit sift"):
        vocabulary.assign(features_of(SIFT))


def test_an_older_vocabulary_does_not_tell_and_fits_either(tmp_path: Path) -> None:
    Vocabulary.train(features_of(SIFT).descriptors, WORDS).save(tmp_path / "vocab")
    manifest = json.loads((tmp_path / "vocab" / "manifest.json").read_text())
    del manifest["features"]
    (tmp_path / "vocab" / "manifest.json").write_text(json.dumps(manifest))
    older = Vocabulary.load(tmp_path / "vocab")
    assert older.kind is None
    for kind in (SIFT, UPRIGHT):
        assert len(older.assign(features_of(kind))) == 90


def test_a_kind_of_a_later_version_asks_for_an_upgrade(tmp_path: Path) -> None:
    Vocabulary.train(features_of(SIFT).descriptors, WORDS).save(tmp_path / "vocab")
    manifest = json.loads((tmp_path / "vocab" / "manifest.json").read_text())
    manifest["features"]["weights"] = "0123"
    (tmp_path / "vocab" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(NewerFormatError, match="pip install -U bovw"):
        Vocabulary.load(tmp_path / "vocab")
