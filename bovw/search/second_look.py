"""A second look at images that may be matches: their pictures are read again and compared.

Words keep little of a descriptor. Two pictures with all of theirs have few chance matches, and
these agree in one pair of several hundred (`bovw.search.pair`).
"""

from __future__ import annotations

from collections.abc import Sequence

from bovw.errors import ImageError
from bovw.features import describer_of
from bovw.images import read_picture
from bovw.index import Index
from bovw.options import FeatureOptions
from bovw.records import SURE, Features
from bovw.search.pair import match_pair
from bovw.verification import Verified

# Images looked at again, and the most false alarms of one.
MOST = 5
DOUBTFUL = 1.0


def look_again(
    verified: Sequence[Verified],
    alarms: Sequence[float],
    query: Features,
    index: Index,
    options: FeatureOptions,
) -> list[float]:
    """Return the false alarms of verified images after a second look at the doubtful ones.

    query    the query's features with their descriptors
    options  how the images are described

    Chance makes an image agree in words, and in descriptors, independently: the rates multiply. An
    image that does not agree this time, or that cannot be read, keeps its own.
    """
    seen = list(alarms)
    doubtful = [place for place, alarm in enumerate(alarms) if SURE < alarm <= DOUBTFUL]
    for place in sorted(doubtful, key=lambda place: alarms[place])[:MOST]:
        try:
            picture = read_picture(index.path(verified[place].image), options.max_size)
        except ImageError:
            continue
        found = describer_of(options).describe(picture)
        if agreement := match_pair(query, found):
            seen[place] *= min(1.0, agreement.false_alarms)
    return seen
