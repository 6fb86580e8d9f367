"""The values of the REST API. Coordinates are in pixels of the upright original images."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from bovw.index import Index
from bovw.records import SURE, Certainty, Features, Hit
from bovw.web.engine import Source, id_of, shown

Corners = list[tuple[float, float]]
Matrix = list[list[float]]
HOW_SURE = (
    f"sure: a match with false alarms of {SURE} or less; likely: another match; look: geometry "
    "agrees, but not more than chance may; none: geometry does not agree."
)
PROBABILITY = "That the image shows what the query shows; comparable between searches."
FALSE_ALARMS = (
    "Hits as good as this one that a query without a match has on average; null if geometry does "
    "not agree."
)


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class Limits(BaseModel):
    """The most that a request may ask for."""

    upload_bytes: int
    topk: int
    rerank: int
    expand: int


class Defaults(BaseModel):
    """The default options of a search."""

    topk: int
    scoring: str
    rerank: int
    expand: int
    max_false_alarms: float


class Info(BaseModel):
    """The index and the limits of requests."""

    version: str
    images: int
    features: int
    words: int
    bits: int
    scorings: list[str]
    defaults: Defaults
    limits: Limits
    writable: bool = Field(description="Whether images can be added and removed, with a token.")
    evaluations: list[str]


class Health(BaseModel):
    """The state of the index and its shards."""

    status: Literal["ok", "partial"] = Field(description="partial if a shard does not run.")
    images: int
    shards: dict[str, bool] = Field(description="Which shards run, if a cluster serves them.")


class Given(BaseModel):
    """A picture uploaded to search with; the server keeps it for a while."""

    id: str
    width: int
    height: int
    features: int


class Asked(BaseModel):
    """The query picture."""

    kind: Literal["query", "image"]
    id: str
    name: str | None = Field(description="An indexed image's name.")
    width: int
    height: int

    @classmethod
    def of(cls, source: Source, features: Features) -> Asked:
        """Describe a source."""
        return cls(
            kind="query" if source.name is None else "image",
            id=source.id,
            name=None if source.name is None else shown(source.name),
            width=features.width,
            height=features.height,
        )


class Believable(BaseModel):
    """How far a hit can be believed."""

    certainty: Certainty = Field(description=HOW_SURE)
    probability: float = Field(description=PROBABILITY)
    false_alarms: float | None = Field(description=FALSE_ALARMS)


class FoundImage(Believable):
    """One image found."""

    rank: int
    id: str
    name: str
    score: float = Field(description="What it is ranked by; comparable within one answer only.")
    inliers: int = Field(description="Matches that agree with the transform, one to one.")
    width: int
    height: int
    transform: Matrix | None = Field(
        description="Homography, query pixels to the image's; null if geometry does not agree."
    )
    box: Corners | None = Field(
        description="The query region's corners in the image, clockwise from the top left one."
    )

    @classmethod
    def of(cls, hit: Hit, index: Index) -> FoundImage:
        """Describe a hit."""
        width, height = sides_of(index.names.find(hit.name), index)
        return cls(
            rank=hit.rank,
            id=id_of(hit.name),
            name=shown(hit.name),
            score=hit.score,
            certainty=hit.certainty,
            probability=hit.probability,
            false_alarms=hit.false_alarms,
            inliers=hit.inliers,
            width=width,
            height=height,
            transform=None if hit.transform is None else hit.transform.tolist(),
            box=None if hit.box is None else hit.box.tolist(),
        )


class Milliseconds(BaseModel):
    """The time of each step."""

    describe: float
    search: float


class SearchResult(BaseModel):
    """The answer to a search; matches come first."""

    query: Asked
    region: list[float] | None
    milliseconds: Milliseconds
    missing: list[str] = Field(
        description="Shards that did not answer in time. If there are any, hits are incomplete."
    )
    hits: list[FoundImage]


class ImageRecord(BaseModel):
    """An indexed image."""

    id: str
    name: str
    width: int
    height: int
    features: int

    @classmethod
    def of(cls, image: int, index: Index) -> ImageRecord:
        """Describe an image by its number."""
        name = index.names[image]
        width, height = sides_of(image, index)
        features = int(index.statistics.features[image])
        return cls(id=id_of(name), name=shown(name), width=width, height=height, features=features)


class ImagePage(BaseModel):
    """Some of the indexed images, by name."""

    total: int
    offset: int
    images: list[ImageRecord]


class Compared(Believable):
    """A picture compared with an indexed image."""

    query: Asked
    hit: ImageRecord
    inliers: int
    transform: Matrix | None
    box: Corners | None
    points: list[tuple[float, float, float, float]] = Field(
        description="x, y in the query and x, y in the image of each inlier, most telling first."
    )


class Explained(Believable):
    """Why a picture finds an indexed image, or does not."""

    query: Asked
    hit: ImageRecord
    reason: str = Field(description="All this in a sentence.")
    confirmed: bool = Field(description="Whether it is a match.")
    images: int = Field(description="In the index.")
    rank: int = Field(description="Before verification, from 1.")
    verified: int = Field(description="How many of the best ranks are verified.")
    score: float = Field(description="Before verification.")
    shared: int = Field(description="Visual words that both pictures have.")
    tentative: int = Field(description="Features of both that may be the same.")
    inliers: int = Field(description="Of these, those that agree with the best transform.")
    effective: int = Field(description="Inliers in as many different places of both pictures.")
    needed: int | None = Field(
        description="Effective inliers that would make a match; null if no number would."
    )
    transform: Matrix | None
    box: Corners | None
    points: list[tuple[float, float, float, float]] = Field(
        description="x, y in the query and x, y in the image of each inlier."
    )


def sides_of(image: int | None, index: Index) -> tuple[int, int]:
    """Return an image's width and height in pixels; zeros for one that the index does not have."""
    if image is None:
        return 0, 0
    width, height = index.sizes[image].tolist()
    return width, height
