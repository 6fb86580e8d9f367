"""The vocabulary, trained or loaded as a whole, and its folder on disk."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bovw.compute.files import file_sha256
from bovw.compute.processes import Workers
from bovw.compute.threads import map_rows
from bovw.errors import BovwError, FormatError, NewerFormatError, check_not_newer
from bovw.options import VocabularyOptions
from bovw.records import SIFT, Bytes, FeatureKind, Features, Floats, Ints, Signatures, Words
from bovw.vocab.assign import Assigner
from bovw.vocab.cells import Cells
from bovw.vocab.signatures import random_projection, sign

FORMAT = 2
CELLS = "cells.npz"
ARRAYS = ("words.npy", "projection.npy", "sources.npy")


@dataclass(frozen=True)
class Vocabulary:
    """Visual words, and the projection for Hamming signatures.

    words       float32 [k, d]: whole numbers, like the components of descriptors
    projection  float32 [bits, d]: whole numbers, orthogonal directions
    sources     uint64 [images], sorted: the first eight bytes of the SHA-256 of every image file
                trained on; an evaluation tells by them if its vocabulary is independent
    settings    how it was trained, for people to read
    cells       the words' cells; None to compute them
    kind        of the features trained on; None if an older version did not store it
    """

    words: Floats
    projection: Floats
    sources: npt.NDArray[np.uint64]
    settings: dict[str, Any] = field(default_factory=dict)
    cells: Cells | None = None
    kind: FeatureKind | None = None

    @classmethod
    def train(
        cls,
        descriptors: Bytes,
        options: VocabularyOptions = VocabularyOptions(),
        sources: npt.NDArray[np.uint64] | None = None,
        jobs: int = 1,
        cluster: Workers | None = None,
        kind: FeatureKind = SIFT,
    ) -> Vocabulary:
        """Cluster descriptors uint8 [n, d] of one kind of features, n >= 1, into visual words.

        There are fewer than `options.words` if there are not 8 descriptors for each. Raises
        BovwError if there are no descriptors.
        """
        if not len(descriptors):
            raise BovwError("no descriptors to train on: give images that have features")
        # Imported here: scikit-learn takes a second, and a query does not need it.
        from bovw.vocab.train import feasible_words, train_words

        count = feasible_words(options.words, len(descriptors))
        words = train_words(descriptors, count, options.seed, options.rounds, jobs, cluster)
        projection = random_projection(options.bits, words.shape[1], options.seed)
        settings = {**asdict(options), "words": len(words), "descriptors": len(descriptors)}
        known = np.empty(0, np.uint64) if sources is None else np.unique(sources)
        return cls(words, projection, known, settings, kind=kind)

    @property
    def bits(self) -> int:
        """Bits of a signature."""
        return len(self.projection)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the words and the projection, which decide words and signatures."""
        digest = hashlib.sha256()
        for array in self._stored()[:2]:
            digest.update(repr(array.shape).encode())
            digest.update(array.tobytes())
        return digest.hexdigest()

    @cached_property
    def assigner(self) -> Assigner:
        """The nearest-word search, made at first use."""
        return Assigner(self.words, self.cells)

    def check_kind(self, kind: FeatureKind) -> None:
        """Raise FormatError if the vocabulary was trained on features of another kind."""
        if self.kind and self.kind != kind:
            raise FormatError(
                f"the vocabulary was trained on {self.kind} and does not fit {kind}: "
                "train one on the same kind of features, see `bovw build-vocab --help`"
            )

    def assign(self, features: Features, count: int = 1, jobs: int = 1) -> Words:
        """Return the `count` nearest words of every feature, and the signatures in them.

        Raises FormatError if the features are of another kind than those trained on.
        """
        self.check_kind(features.kind)

        def find(descriptors: Bytes) -> tuple[Ints, Signatures]:
            values = descriptors.astype(np.float32)
            ids = self.assigner.nearest(values, count)
            return ids, sign(values, self.words, ids, self.projection)

        parts = zip(*map_rows(find, features.descriptors, jobs), strict=True)
        ids, signatures = (np.concatenate(part) for part in parts)
        return Words(ids, signatures, features.angles)

    def save(self, folder: Path) -> None:
        """Write a temporary folder, then rename it; replaces a vocabulary in `folder`.

        Raises FormatError if `folder` holds anything else.
        """
        folder = Path(folder)
        check_target(folder)
        aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
        aside.mkdir(parents=True)
        try:
            self._write(aside)
            if folder.exists():
                shutil.rmtree(folder)
            aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _write(self, folder: Path) -> None:
        for name, array in zip(ARRAYS, self._stored(), strict=True):
            np.save(folder / name, array)
        self.assigner.cells.save(folder / CELLS)
        manifest = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "bits": self.bits,
            "features": asdict(self.kind) if self.kind else None,
            "settings": self.settings,
            "checksums": {name: file_sha256(folder / name) for name in (*ARRAYS, CELLS)},
        }
        with (folder / "manifest.json").open("w", encoding="utf-8") as file:
            json.dump(manifest, file, indent=1)
            file.flush()
            os.fsync(file.fileno())

    def _stored(self) -> tuple[npt.NDArray[Any], ...]:
        return self.words.astype(np.uint8), self.projection.astype("<i2"), self.sources

    @classmethod
    def load(cls, folder: Path) -> Vocabulary:
        """Read a vocabulary's folder.

        Raises FormatError if it is missing, damaged or of a newer format.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        kind = _kind_of(folder, manifest)
        try:
            words, projection, sources = (np.load(folder / name) for name in ARRAYS)
            # Damaged cells could send a kernel anywhere. They are recomputed from the words.
            path = folder / CELLS
            whole = file_sha256(path) == manifest["checksums"].get(CELLS)
            loaded = cls(
                words.astype(np.float32),
                projection.astype(np.float32),
                sources,
                manifest["settings"],
                Cells.load(path, len(words)) if whole else None,
                kind,
            )
            if loaded.fingerprint != manifest["fingerprint"]:
                raise ValueError("its words do not match its manifest")
        except Exception as error:  # a damaged header is parsed as Python, and fails in many ways
            raise _damaged(folder, error) from error
        return loaded


def check_target(folder: Path) -> None:
    """Raise FormatError if a vocabulary saved to `folder` would replace something else."""
    empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not empty and not (folder / "manifest.json").is_file():
        raise FormatError(f"{folder} is not a vocabulary: give another folder to write to")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a vocabulary's manifest; raises FormatError as `Vocabulary.load` does."""
    path = folder / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = int(manifest["format"])
    except FileNotFoundError as error:
        raise FormatError(
            f"no vocabulary in {folder}: make one with `bovw build-vocab DIR --out {folder}`"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, error) from error
    check_not_newer(folder, "vocabulary format", version, FORMAT)
    return manifest


def damaged_files(folder: Path) -> list[str]:
    """Return the names of a vocabulary's files that are missing or differ from their checksums."""
    expected = read_manifest(folder).get("checksums", {})
    return [name for name, digest in expected.items() if file_sha256(folder / name) != digest]


def _kind_of(folder: Path, manifest: dict[str, Any]) -> FeatureKind | None:
    """Return the kind of features that the words were trained on; None if it was not kept."""
    kept = manifest.get("features")
    if not isinstance(kept, dict):
        return None
    if kept.keys() - FeatureKind.__dataclass_fields__.keys():
        raise NewerFormatError(
            f"the vocabulary in {folder} is of features that this bovw does not know: upgrade with "
            "`pip install -U bovw`"
        )
    try:
        return FeatureKind(**kept)
    except TypeError as error:
        raise _damaged(folder, error) from error


def _damaged(folder: Path, error: Exception) -> FormatError:
    return FormatError(
        f"the vocabulary in {folder} is damaged ({error}): make it again with `bovw build-vocab`"
    )
