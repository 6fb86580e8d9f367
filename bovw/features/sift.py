"""The SIFT describer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from bovw.compute.memory import keep_freed_memory
from bovw.features.rootsift import rootsift
from bovw.features.select import rank_features
from bovw.options import FeatureOptions
from bovw.records import SIFT, FeatureKind, Features, Picture

# Features with the strongest response to choose from: as many as are kept by default.
CANDIDATES = FeatureOptions().max_features


@dataclass(frozen=True)
class SiftDescriber:
    """SIFT (Lowe, IJCV 2004) with RootSIFT descriptors; see `bovw.features.Describer`.

    The result does not depend on OpenCV's number of threads.
    """

    options: FeatureOptions = FeatureOptions()

    @property
    def kind(self) -> FeatureKind:
        """See `Describer.kind`; upright features have no angle of their own."""
        return replace(SIFT, has_angle=not self.options.upright)

    def describe(self, picture: Picture) -> Features:
        """See `Describer.describe`."""
        features, order = self.describe_candidates(picture)
        return features.rows(np.sort(order[: self.options.max_features]))

    def describe_candidates(self, picture: Picture) -> tuple[Features, npt.NDArray[np.intp]]:
        """See `Describer.describe_candidates`.

        There are at most CANDIDATES of them, or `max_features` if that is more.
        """
        keep_freed_memory()
        candidates = max(self.options.max_features, CANDIDATES)
        sift = cv2.SIFT_create(nfeatures=candidates, contrastThreshold=self.options.contrast)
        if self.options.upright:
            upright = _without_angles(sift.detect(picture.pixels))
            points, descriptors = sift.compute(picture.pixels, upright)
        else:
            points, descriptors = sift.detectAndCompute(picture.pixels, None)
        if descriptors is None or not len(points):
            points, descriptors = (), np.empty((0, SIFT.dimensions), np.float32)
        keypoints = np.array([(*p.pt, p.size, p.angle) for p in points], np.float32).reshape(-1, 4)
        keypoints[:, :2] = (keypoints[:, :2] + 0.5) * picture.scale - 0.5
        keypoints[:, 2] *= picture.scale
        roots = rootsift(descriptors.astype(np.uint8))
        strengths = np.array([p.response for p in points], np.float32)
        features = Features(keypoints, roots, picture.width, picture.height, self.kind)
        return features, rank_features(keypoints, strengths)


def _without_angles(points: Sequence[cv2.KeyPoint]) -> list[cv2.KeyPoint]:
    """Return one point of angle 0 for every place and scale, however many angles it has."""
    places = {(*p.pt, p.size): p for p in reversed(points)}
    return [
        cv2.KeyPoint(*p.pt, p.size, 0, p.response, p.octave, p.class_id)
        for p in reversed(places.values())
    ]
