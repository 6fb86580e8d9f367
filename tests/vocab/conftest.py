"""Descriptors of drawn pictures, and a vocabulary of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bovw.demo.scenes import Collection
from bovw.features import describer_of
from bovw.images.decode import read_picture
from bovw.options import FeatureOptions
from bovw.records import Bytes
from bovw.vocab import Vocabulary
from tests.vocab.words import SMALL


@pytest.fixture(scope="module")
def sift(collection: Collection) -> Bytes:
    """Descriptors of four drawn pictures, two scenes: about 8,000."""
    names = [view.name for view in collection.views if view.name.endswith(("0.jpg", "1.jpg"))][:4]
    pictures = (read_picture(collection.database / name, 1024) for name in names)
    return np.concatenate(
        [describer_of(FeatureOptions()).describe(picture).descriptors for picture in pictures]
    )


@pytest.fixture(scope="module")
def vocabulary(sift: Bytes) -> Vocabulary:
    return Vocabulary.train(sift, SMALL, np.array([9, 3, 9], np.uint64))


@pytest.fixture
def saved(vocabulary: Vocabulary, tmp_path: Path) -> Path:
    vocabulary.save(tmp_path / "vocabulary")
    return tmp_path / "vocabulary"
