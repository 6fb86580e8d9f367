"""The data sets of image retrieval with their rules, as one kind of value.

oxford5k, paris6k      Philbin et al. 2007, 2008: the query image stays in the database
roxford5k, rparis6k    Radenović et al. 2018: queries apart, three settings
holidays               Jégou et al. 2008: the query is left out of its own ranking
ukbench                Nistér and Stewénius 2006: groups of four, every image a query
a path to a .json      your own collection; see `bovw.evaluation.truth.read_json`
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Literal

from bovw.errors import DatasetError
from bovw.evaluation.truth import JudgedQuery, Truth, find_truth, read_json, read_official
from bovw.images import find_images
from bovw.records import Box

# setting: the labels that are positives, the labels that are ignored
Settings = Mapping[str, tuple[Sequence[str], Sequence[str]]]
CLASSIC: Settings = {"all": (("good", "ok"), ("junk",))}
REVISITED: Settings = {
    "easy": (("easy",), ("junk", "hard")),
    "medium": (("easy", "hard"), ("junk",)),
    "hard": (("hard",), ("junk", "easy")),
}

# The damaged files of the published Paris6k, which everybody leaves out.
_CORRUPT = (
    "louvre_000136 louvre_000146 moulinrouge_000422 museedorsay_001059 notredame_000188 "
    "pantheon_000284 pantheon_000960 pantheon_000974 pompidou_000195 pompidou_000196 "
    "pompidou_000201 pompidou_000467 pompidou_000640 sacrecoeur_000299 sacrecoeur_000330 "
    "sacrecoeur_000353 triomphe_000662 triomphe_000833 triomphe_000863 triomphe_000867"
)
CORRUPT_PARIS = frozenset(f"paris_{name}" for name in _CORRUPT.split())


@dataclass(frozen=True)
class Judgement:
    """Images that a query should find, and images to remove from its ranking before scoring."""

    positives: frozenset[str]
    junk: frozenset[str]


@dataclass(frozen=True)
class Query:
    """One query.

    image       path relative to the images root, with forward slashes
    region      in pixels of the image, None for the whole image
    judgements  one per setting. A query that must not find itself is its own junk. One without
                positives is left out of that setting's mean
    group       the landmark, because its queries are not independent; else the query's own id
    labels      the truth's labels by image: "good", "ok", "junk", "easy", "hard"
    """

    id: str
    image: str
    region: Box | None
    judgements: dict[str, Judgement]
    group: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Dataset:
    """The images, the queries and the scoring rules.

    database    image names: paths relative to `folder`, with forward slashes, sorted for a data
                set that is found on disk
    folder      the database's root relative to the images root; "" for the images root itself
    settings    the keys of every query's judgements
    query_mode  how a region is used: "keypoints" keeps the features of the whole image inside it,
                "crop" cuts the pixels first
    """

    name: str
    database: tuple[str, ...]
    folder: str
    queries: tuple[Query, ...]
    settings: tuple[str, ...]
    query_mode: Literal["keypoints", "crop"]
    score: Literal["map", "ukbench"]
    note: str


def load(dataset: str, images: Path, truth: Path | None = None) -> Dataset:
    """Return the data set called `dataset`, or the one of the .json file at that path.

    images  the folder that holds the pictures, at any depth
    truth   the ground truth's file or folder; None to search as `truth.find_truth` does

    Raises DatasetError for missing or damaged truth or images, BovwError for no images at all.
    """
    if not images.is_dir():
        raise DatasetError(f"{images} is not a folder: give the folder that holds the images")
    if dataset in LOADERS:
        loaded = LOADERS[dataset](dataset, images, truth)
    elif dataset.endswith(".json"):
        loaded = collection(Path(dataset), images)
    else:
        raise DatasetError(f"no data set is called {dataset}: give {', '.join(LOADERS)} or a .json")
    if not loaded.queries or not loaded.database:
        raise DatasetError(f"{dataset} has no queries or no images: check {images} and the truth")
    return loaded


def classic(name: str, images: Path, truth: Path | None) -> Dataset:
    """Return Oxford5k or Paris6k: every picture below `images` is in the database."""
    file = find_truth((f"gnd_{name}.pkl", "*_query.txt"), images, truth)
    found = read_official(file, ("ok", "junk"))
    database = tuple(p for p in _pictures(images) if _stem(p) not in CORRUPT_PARIS)
    named = {q.image for q in found.queries}.union(*(q.named for q in found.queries))
    queries = _queries(found, _located(named, database, images), CLASSIC)
    note = "The query image stays in the database and counts as a positive."
    return Dataset(name, database, "", queries, tuple(CLASSIC), "keypoints", "map", note)


def revisited(name: str, images: Path, truth: Path | None) -> Dataset:
    """Return ROxford5k or RParis6k: the database is what the truth lists, without the queries."""
    file = find_truth((f"gnd_{name}.pkl",), images, truth)
    found = read_official(file, ("easy", "hard", "junk"))
    listed = {*found.database, *(query.image for query in found.queries)}
    paths = _located(listed, _pictures(images), images)
    database = tuple(sorted(paths[stem] for stem in found.database))
    queries = _queries(found, paths, REVISITED)
    note = "The query images are not in the database."
    return Dataset(name, database, "", queries, tuple(REVISITED), "crop", "map", note)


def holidays(name: str, images: Path, truth: Path | None) -> Dataset:
    """Return Holidays: file numbers with the same hundreds form a group; its first is the query."""
    groups = _grouped(images, "", digits=6, size=100, needed=1)
    queries = tuple(
        Query(_stem(image), image, None, {"all": judgement}, _stem(image), _all_ok(judgement))
        for image, *others in groups
        for judgement in [Judgement(frozenset(others), frozenset({image}))]
    )
    database = tuple(sorted(path for members in groups for path in members))
    note = "The query is left out of its own ranking."
    return Dataset(name, database, "", queries, ("all",), "keypoints", "map", note)


def ukbench(name: str, images: Path, truth: Path | None) -> Dataset:
    """Return UKBench: four consecutive numbers form a group; every image queries for its own."""
    groups = _grouped(images, "ukbench", digits=5, size=4, needed=4)
    queries = tuple(
        Query(_stem(image), image, None, {"all": judgement}, _stem(members[0]), _all_ok(judgement))
        for members in groups
        for judgement in [Judgement(frozenset(members), frozenset())]
        for image in members
    )
    database = tuple(sorted(path for members in groups for path in members))
    note = "Every image is a query and stays in the database."
    return Dataset(name, database, "", queries, ("all",), "keypoints", "ukbench", note)


def collection(path: Path, images: Path) -> Dataset:
    """Return the data set of a JSON truth file with paths relative to `images`."""
    found = read_json(path)
    database = {name: str(PurePosixPath(found.folder, name)) for name in found.database}
    asked = {query.image: query.image for query in found.queries}
    files = {*database.values(), *asked}
    _refuse_missing((path for path in files if not (images / path).is_file()), images)
    queries = _queries(found, {name: name for name in (*database, *asked)}, CLASSIC)
    return Dataset(
        found.name, found.database, found.folder, queries, ("all",), "keypoints", "map", found.note
    )


LOADERS = {
    "oxford5k": classic,
    "paris6k": classic,
    "roxford5k": revisited,
    "rparis6k": revisited,
    "holidays": holidays,
    "ukbench": ukbench,
}


def _queries(truth: Truth, paths: Mapping[str, str], settings: Settings) -> tuple[Query, ...]:
    """Return the truth's queries with every name replaced by its path."""

    def judgement(query: JudgedQuery, *sides: Sequence[str]) -> Judgement:
        named = (
            frozenset().union(*(query.labels.get(label, ()) for label in side)) for side in sides
        )
        return Judgement(*(frozenset(paths[name] for name in names) for names in named))

    return tuple(
        Query(
            query.id,
            paths[query.image],
            query.region,
            {setting: judgement(query, *sides) for setting, sides in settings.items()},
            query.group,
            {paths[name]: label for label, names in query.labels.items() for name in names},
        )
        for query in truth.queries
    )


def _all_ok(judgement: Judgement) -> dict[str, str]:
    return dict.fromkeys(judgement.positives, "ok")


def _stem(path: str) -> str:
    return PurePosixPath(path).stem


def _pictures(images: Path) -> list[str]:
    return [image.name for image in find_images([images])]


def _located(names: Iterable[str], pictures: Iterable[str], images: Path) -> dict[str, str]:
    """Return the path of each name that a truth gives without folder and suffix."""
    found = defaultdict(list)
    for path in pictures:
        found[_stem(path)].append(path)
    wanted = set(names)
    _refuse_missing(wanted - found.keys(), images)
    for name in sorted(wanted):
        if len(found[name]) > 1:
            twice = " and ".join(found[name])
            raise DatasetError(f"{images} holds {name} more than once, as {twice}: keep one")
    return {name: found[name][0] for name in wanted}


def _refuse_missing(names: Iterable[str], images: Path) -> None:
    """Raise DatasetError if there are any names."""
    if missing := sorted(names):
        some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise DatasetError(
            f"{len(missing)} of the data set's images cannot be found in {images} ({some}): "
            "give the folder that holds them all"
        )


def _grouped(images: Path, prefix: str, digits: int, size: int, needed: int) -> list[list[str]]:
    """Group the pictures named `prefix` + number by number // `size`.

    The first `needed` of every group must be there.
    """
    pictures = _pictures(images)
    matches = (re.fullmatch(f"{prefix}([0-9]{{{digits}}})", _stem(path)) for path in pictures)
    groups = {match[0]: int(match[1]) // size for match in matches if match}
    firsts = (group * size + i for group in set(groups.values()) for i in range(needed))
    paths = _located({*groups, *(f"{prefix}{i:0{digits}}" for i in firsts)}, pictures, images)
    return [[paths[s] for s in stems] for _, stems in groupby(sorted(groups), groups.__getitem__)]
