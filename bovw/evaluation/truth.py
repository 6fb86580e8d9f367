"""Readers of published ground truth, into one form: pickles, text files and JSON.

Reading a pickle runs nothing that it names. The official files hold only dictionaries, lists,
strings and numbers.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import pickletools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from bovw.errors import DatasetError
from bovw.records import Box

T = TypeVar("T")

TRUTH_FOLDERS = (".", "truth", "groundtruth", "gt", "gt_files", "gt_files_170407", "paris_120310")

# Name prefixes of photographs that were found by searching for the whole town.
NO_LANDMARK = frozenset({"oxford", "paris_general"})


@dataclass(frozen=True)
class JudgedQuery:
    """One query and the images judged for it.

    image   as the truth names it: official truths give no folder and no suffix
    labels  label to names, such as "ok" and "junk"
    group   the landmark that it shares with other queries; else its own id
    """

    id: str
    image: str
    region: Box | None
    labels: dict[str, frozenset[str]]
    group: str

    @property
    def named(self) -> frozenset[str]:
        """All images judged, whatever their label."""
        return frozenset().union(*self.labels.values())


@dataclass(frozen=True)
class Truth:
    """A ground truth; `database` is empty if the truth does not list it."""

    queries: tuple[JudgedQuery, ...]
    database: tuple[str, ...] = ()
    folder: str = ""
    name: str = ""
    note: str = ""


def find_truth(patterns: Sequence[str], images: Path, truth: Path | None) -> Path:
    """Return the first truth file, or folder of text files, that matches a pattern.

    `truth` is the file itself or the folder to search. None searches `images` and the folder above
    it, each with its subfolders of TRUTH_FOLDERS.
    """
    if truth is not None and truth.is_file():
        return truth
    roots = (images, images.absolute().parent)
    folders = [truth] if truth else [root / sub for root in roots for sub in TRUTH_FOLDERS]
    for folder in folders:
        for pattern in patterns:
            if found := sorted(folder.glob(pattern)):
                return folder if pattern.endswith(".txt") else found[0]
    where = ", ".join(str(folder) for folder in folders)
    raise DatasetError(
        f"no ground truth found: looked for {' or '.join(patterns)} in {where}: "
        "give the file, or the folder that holds it, as the truth"
    )


def read_official(path: Path, labels: Sequence[str]) -> Truth:
    """Read a folder of `*_query.txt`, `_good`, `_ok`, `_junk` files or a `gnd_*.pkl`.

    `labels` are those that the pickle must have; text gives "good", "ok" and "junk".
    """
    return read_text(path) if path.is_dir() else read_pickle(path, labels)


class _DataUnpickler(pickle.Unpickler):
    """Reads plain containers, strings and numbers, and refuses to import anything."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which was not run")


def _unpickled(content: bytes) -> Any:
    """Return what a pickle holds; a number of its memo beyond its size would cost memory."""
    for opcode, argument, _ in pickletools.genops(content):
        if "PUT" in opcode.name and int(argument or 0) > len(content):
            raise ValueError("its memo is larger than it is")
    return _DataUnpickler(io.BytesIO(content)).load()


def read_pickle(path: Path, labels: Sequence[str]) -> Truth:
    """Read `gnd_*.pkl`: {"imlist", "qimlist", "gnd": [{"bbx", label: indices into imlist}]}."""
    try:
        content = _unpickled(path.read_bytes())
        # A dictionary, unlike a list, does not take a negative index for one from the end.
        names = dict(enumerate(_strings(content, "imlist")))
        pairs = zip(_strings(content, "qimlist"), _field(content, "gnd", list), strict=True)
        queries = tuple(_pickled_query(image, judged, names, labels) for image, judged in pairs)
    except Exception as error:  # damaged pickles can raise anything
        raise DatasetError(
            f"{path} is not the ground truth expected ({error}): "
            f"give the official gnd_*.pkl, with the lists {', '.join(labels)}"
        ) from error
    return Truth(queries, tuple(names.values()))


def _pickled_query(
    image: str, judged: Any, names: dict[int, str], labels: Iterable[str]
) -> JudgedQuery:
    numbers = {label: _field(judged, label, list) for label in labels}
    for index in (index for listed in numbers.values() for index in listed):
        # A tuple of tuples of tuples takes for ever to look up, or to print.
        if not isinstance(index, int):
            raise ValueError(f"query {image} has a {type(index).__name__} for an index into imlist")
        if index not in names:
            raise ValueError(f"query {image} has {index}, which is no index into imlist")
    judgements = {label: frozenset(names[i] for i in numbers[label]) for label in numbers}
    return _official_query(image, _box(_field(judged, "bbx", list)), judgements)


def read_text(folder: Path) -> Truth:
    """Read the text files of Oxford5k and Paris6k, four a query, in the order of their names."""
    return Truth(tuple(_text_query(path) for path in sorted(folder.glob("*_query.txt"))))


def _text_query(path: Path) -> JudgedQuery:
    words = _words(path)
    try:
        image, corners = words[0].removeprefix("oxc1_"), _box([float(word) for word in words[1:]])
    except (IndexError, ValueError) as error:
        raise DatasetError(f"{path} should hold an image name, then x1 y1 x2 y2") from error
    topic = path.name.removesuffix("_query.txt")
    good, ok, junk = (
        frozenset(_words(path.with_name(f"{topic}_{label}.txt")))
        for label in ("good", "ok", "junk")
    )
    return _official_query(image, corners, {"good": good, "ok": ok, "junk": junk})


def _words(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read ({error}): give the official files") from error


def _official_query(image: str, region: Box, labels: dict[str, frozenset[str]]) -> JudgedQuery:
    """Return a query whose group is the landmark in most of its positives' names.

    The pickles do not name the landmark, and a query's own name may be too general.
    """
    positives = (name for label in labels.keys() - {"junk"} for name in labels[label])
    named = Counter(name.rpartition("_")[0] for name in positives)
    landmarks = sorted(named.keys() - NO_LANDMARK)
    group = max(landmarks, key=lambda landmark: named[landmark], default=image)
    return JudgedQuery(image, image, region, labels, group)


def read_json(path: Path) -> Truth:
    """Read your own collection: {"name", "note", "db_root", "db": [name], "queries": [query]}.

    A query is {"id", "image", "bbox": [x1, y1, x2, y2] or null, "positives": [name], "junk":
    [name]}, and may have a "group", the landmark that it shares with others. Further keys are
    ignored; "name", "note", "db_root", "bbox" and "junk" may be left out.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        return _collection(content, path.stem)
    except (OSError, ValueError, OverflowError, RecursionError) as error:
        raise DatasetError(f"{path} is not a usable truth file ({error}): correct it") from error


def _collection(content: Any, stem: str) -> Truth:
    database = _strings(content, "db")
    if repeated := _repeated(database):
        raise ValueError(f"'db' has {repeated!r} twice")
    known = frozenset(database)
    queries = tuple(_json_query(record, known) for record in _field(content, "queries", list))
    if repeated := _repeated([query.id for query in queries]):
        raise ValueError(f"two queries have the id {repeated!r}")
    folder, name, note = (
        _field(content, key, str, default)
        for key, default in (("db_root", ""), ("name", stem), ("note", ""))
    )
    return Truth(queries, tuple(database), folder, name, note)


def _json_query(record: Any, known: frozenset[str]) -> JudgedQuery:
    name = _field(record, "id", str)
    try:
        positives = frozenset(_strings(record, "positives"))
        junk = frozenset(_strings(record, "junk", []))
        if unknown := sorted((positives | junk) - known):
            raise ValueError(f"{unknown[0]!r} is not in 'db'")
        if both := sorted(positives & junk):
            raise ValueError(f"{both[0]!r} is positive and junk")
        region = None if record.get("bbox") is None else _box(_field(record, "bbox", list))
        labels = {"ok": positives, "junk": junk}
        group = _field(record, "group", str, name)
        return JudgedQuery(name, _field(record, "image", str), region, labels, group)
    except ValueError as error:
        raise ValueError(f"query {name!r}: {error}") from error


def _field(record: Any, key: str, kind: type[T], default: T | None = None) -> T:
    value = record.get(key, default) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        raise ValueError(f"{key!r} is missing or is not a {kind.__name__}")
    return value


def _strings(record: Any, key: str, default: list[Any] | None = None) -> list[str]:
    values = _field(record, key, list, default)
    if not all(isinstance(value, str) for value in values):
        raise ValueError(f"{key!r} has a name that is not a string")
    return values


def _repeated(names: Sequence[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _box(values: Sequence[Any]) -> Box:
    numeric = all(isinstance(v, int | float) and math.isfinite(v) for v in values)
    if len(values) != 4 or not numeric or values[0] >= values[2] or values[1] >= values[3]:
        shown = list(values) if numeric else "given"
        raise ValueError(f"the region {shown} is not x1, y1, x2, y2 with x1 < x2, y1 < y2")
    return Box(*map(float, values))
