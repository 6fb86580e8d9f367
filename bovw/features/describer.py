"""The interface of a describer, and the describer for given options."""

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
        """The kind of its features; a vocabulary and an index have one kind."""

    def describe(self, picture: Picture) -> Features:
        """Return the features to keep of a picture; if there are too many, a spread selection."""

    def describe_candidates(self, picture: Picture) -> tuple[Features, npt.NDArray[np.intp]]:
        """Return the features that `describe` chooses from, and their rows, best first."""


def describer_of(options: FeatureOptions) -> Describer:
    """Return the describer for these options."""
    return SiftDescriber(options)
