"""Data about all images of an index, beside the segments."""

from __future__ import annotations

from bovw.index.arrays import Arrays
from bovw.index.decoys import Decoys
from bovw.index.graph import Graph
from bovw.index.names import Names
from bovw.index.statistics import Statistics

# By the folder's name, which is also the key of `meta`; see `bovw.index.layout.KINDS`.
COMPONENTS: dict[str, type[Arrays]] = {
    "statistics": Statistics,
    "names": Names,
    "graph": Graph,
    "calibration": Decoys,
}
