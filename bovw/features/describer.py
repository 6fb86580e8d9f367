"""What a kind of features has to offer, and which describer makes the features of some options."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from bovw.features.sift import SiftDescriber
from bovw.options import FeatureOptions
from bovw.records import FeatureKind, Features, Picture


class Describer(Protocol):
    """Turns a picture into local features."""

    @property
    def kind(self) -> FeatureKind:
        """What it makes: a vocabulary and an index are made for one kind."""

    def describe(self, picture: Picture) -> Features:
        """Return the features to keep of a picture, spread over it where there are too many."""

    def describe_candidates(self, picture: Picture) -> tuple[Features, npt.NDArray[np.intp]]:
        """Return the features that `describe` chooses from, and their rows, best first."""


def describer_of(options: FeatureOptions) -> Describer:
    """Return the describer that makes the features of these options."""
    return SiftDescriber(options)
