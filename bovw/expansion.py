"""Query expansion: ask again with what the verified images have in the query's place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from bovw.errors import FormatError
from bovw.index.segment import Segment
from bovw.records import Box, Doubles, Floats, Words
from bovw.verification import Verified

# Evidence from which an image counts as much as the query itself; less counts in proportion, so
# that a chance agreement of a few features cannot lead the query away.
FULL_EVIDENCE = 5.0


def expand(
    scores: Floats,
    verified: Sequence[Verified],
    region: Box,
    segments: Sequence[Segment],
    score: Callable[[Words], Floats],
) -> Floats:
    """Return scores that the verified images have added theirs to: float32 [images].

    Each verified image asks with its own features, those that its transform carries into the
    query's region (Chum et al., "Total recall", ICCV 2007): with the words and signatures that the
    index keeps of them, as in Hamming query expansion (Tolias and Jégou, Pattern Recognition 2014).
    What an image adds for itself is left out.
    """
    expanded = scores.astype(np.float64)
    for one, (segment, postings) in zip(verified, _postings(segments, verified), strict=True):
        inside = _carried_inside(segment.keypoints(postings)[:, :2], one.transform, region)
        words = _words(segment, postings[inside])
        if len(words):
            added = score(words)
            added[one.image] = 0
            expanded += min(1.0, one.evidence / FULL_EVIDENCE) * added
    return expanded.astype(np.float32)


def _postings(
    segments: Sequence[Segment], verified: Sequence[Verified]
) -> Iterator[tuple[Segment, npt.NDArray[np.int64]]]:
    """Yield each verified image's segment and postings, with one pass over a segment for all."""
    starts = np.cumsum([0, *(len(segment.sizes) for segment in segments)])
    images = np.array([one.image for one in verified], np.int64)
    holders = np.searchsorted(starts, images, side="right") - 1
    found: dict[int, npt.NDArray[np.int64]] = {}
    for holder in np.unique(holders).tolist():
        segment, own = segments[holder], np.sort(images[holders == holder]) - starts[holder]
        wanted = np.zeros(len(segment.sizes), np.bool_)
        wanted[own] = True
        if segment.images.min(initial=0) < 0 or segment.images.max(initial=0) >= len(wanted):
            raise FormatError("the index's postings are damaged: index again with `bovw index`")
        postings = np.flatnonzero(wanted[segment.images])
        owners = segment.images[postings]
        order = np.argsort(owners, kind="stable")
        parts = np.split(postings[order], np.searchsorted(owners[order], own[1:]))
        found.update(zip((own + starts[holder]).tolist(), parts, strict=True))
    for image, holder in zip(images.tolist(), holders.tolist(), strict=True):
        yield segments[holder], found[image]


def _carried_inside(points: Doubles, transform: Doubles, region: Box) -> npt.NDArray[np.bool_]:
    """Tell which points [n, 2] of an image lie in the query's region: bool [n]."""
    x, y, depth = np.linalg.inv(transform) @ np.stack([*points.T, np.ones(len(points))])
    # Scaled by the depth, which is not positive for what lies behind the query's horizon.
    across = (x >= region.x1 * depth) & (x <= region.x2 * depth)
    down = (y >= region.y1 * depth) & (y <= region.y2 * depth)
    inside: npt.NDArray[np.bool_] = across & down & (depth > 0)
    return inside


def _words(segment: Segment, postings: npt.NDArray[np.int64]) -> Words:
    ids = np.searchsorted(segment.offsets, postings, side="right") - 1
    return Words(
        ids.astype(np.int32)[:, None],
        segment.signatures[postings][:, None],
        segment.frames[postings, 1],
    )
