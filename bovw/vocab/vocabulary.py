"""The vocabulary, trained or loaded as a whole, and its folder on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bovw.compute.files import (
    aside,
    file_sha256,
    map_array,
    replace_folder,
    save_array,
    sync_folder,
)
from bovw.compute.processes import Workers
from bovw.compute.threads import map_rows
from bovw.errors import BovwError, FormatError
from bovw.options import VocabularyOptions
from bovw.records import SIFT, Bytes, FeatureKind, Features, Floats, Ints, Signatures, Words
from bovw.vocab.assign import Assigner
from bovw.vocab.cells import Cells
from bovw.vocab.manifest import FILE as MANIFEST
from bovw.vocab.manifest import FORMAT, check_target, damaged, kind_of, read_manifest
from bovw.vocab.signatures import random_projection, sign

CELLS = "cells.npz"
# Bits of a signature that there may be.
BITS = range(64, 1025, 64)
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
        folder.parent.mkdir(parents=True, exist_ok=True)
        with aside(folder) as beside:
            beside.mkdir()
            self._write(beside)
            sync_folder(beside)
            replace_folder(beside, folder)

    def _write(self, folder: Path) -> None:
        for name, array in zip(ARRAYS, self._stored(), strict=True):
            save_array(folder / name, array)
        self.assigner.cells.save(folder / CELLS)
        manifest = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "bits": self.bits,
            "features": asdict(self.kind) if self.kind else None,
            "settings": self.settings,
            "checksums": {name: file_sha256(folder / name) for name in (*ARRAYS, CELLS)},
        }
        with (folder / MANIFEST).open("w", encoding="utf-8") as file:
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
        kind = kind_of(folder, manifest)
        width = kind.dimensions if kind else SIFT.dimensions
        words = _loaded(folder, "words", "uint8", 2)
        projection = _loaded(folder, "projection", "int16", 2)
        sources = _loaded(folder, "sources", "uint64", 1)
        loaded = cls(
            words.astype(np.float32),
            projection.astype(np.float32),
            sources,
            manifest["settings"],
            _cells(folder, manifest, words.shape),
            kind,
        )
        # Kernels use the shapes unchecked.
        fits = words.shape[1] == projection.shape[1] == width and len(words) > 0
        fits = fits and len(projection) in BITS
        if not fits or loaded.fingerprint != manifest["fingerprint"]:
            raise damaged(folder / MANIFEST, ValueError("it does not fit the words"))
        return loaded

    def check_made(self, folder: Path, meta: Mapping[str, Any]) -> None:
        """Raise FormatError unless the index in `folder`, of this meta, was made with this."""
        own = self.fingerprint, len(self.words), self.bits
        if own != (meta["fingerprint"], meta["words"], meta["bits"]):
            raise FormatError(
                f"the vocabulary in {folder} is not the one that the index was made with: restore "
                "it with `bovw index` and --vocab, giving that one"
            )


def _loaded(folder: Path, name: str, dtype: str, dimensions: int) -> npt.NDArray[Any]:
    path = folder / f"{name}.npy"
    try:
        return np.array(map_array(path, dtype, dimensions))
    except (OSError, ValueError) as error:
        raise damaged(path, error) from error


def _cells(folder: Path, manifest: Mapping[str, Any], shape: tuple[int, ...]) -> Cells | None:
    """Return the words' cells; None if they are damaged, and have to be computed from the words."""
    path = folder / CELLS
    if file_sha256(path) != manifest.get("checksums", {}).get(CELLS):
        return None
    try:
        return Cells.load(path, *shape)
    except (OSError, ValueError) as error:
        raise damaged(path, error) from error
