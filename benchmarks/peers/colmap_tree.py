"""COLMAP's vocabulary tree, through its command line."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from bovw.records import Features
from peers.database import Answer, Asked, Database, Method

COLMAP_IMAGES, COLMAP_ROUNDS, COLMAP_VERIFIED = 300, 5, 100


def colmap(database: Database) -> Iterator[Method]:
    if not shutil.which("colmap"):
        raise ModuleNotFoundError("there is no colmap program: apt install colmap")
    names, folder = database.names, database.scratch
    plain: list[list[str]] = []  # without verification
    retrieve = "vocab_tree_retriever --database_image_list_path d.txt --vocab_tree_path"

    def run(words: str) -> str:
        line = ["colmap", *words.split(), "--database_path", "colmap.db"]
        return subprocess.run(line, cwd=folder, check=True, capture_output=True, text=True).stdout

    def rank(verified: int, queries: Sequence[Asked]) -> Iterator[Answer]:
        if not plain:
            add_to_colmap(folder, "q", [query.features for query in queries])
        limits = f"--num_images {verified or -1} --num_images_after_verification {verified}"
        output = run(f"{retrieve} tree --query_image_list_path q.txt {limits}")
        parts = re.split(r"Querying for image q(\d+) \[.*\] in ([\d.]+)s", output)[1:]
        for number, seconds, hits in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            found = [names[int(i)] for i in re.findall(r"image_name=d(\d+),", hits)]
            # COLMAP prints only the verified images. The others follow in their former order.
            plain.extend([] if verified else [found])
            yield list(dict.fromkeys(found + plain[int(number)])), float(seconds)

    run("database_creator")
    add_to_colmap(folder, "d", database.features)
    start = time.perf_counter()
    sample = f"--max_num_images {min(COLMAP_IMAGES, len(names))}"
    run(f"vocab_tree_builder --vocab_tree_path empty --num_iterations {COLMAP_ROUNDS} {sample}")
    run(f"{retrieve} empty --output_index_path tree")
    seconds = time.perf_counter() - start
    size = ((folder / "tree").stat().st_size - (folder / "empty").stat().st_size) / len(names)
    yield Method("COLMAP, 65,536 words", partial(rank, 0), size, seconds)
    yield Method("COLMAP, verified", partial(rank, COLMAP_VERIFIED), size, seconds)


def add_to_colmap(folder: Path, kind: str, images: Iterable[Features]) -> None:
    """Add images to COLMAP's database and to a list; names are the kind and a number."""
    sql = sqlite3.connect(folder / "colmap.db")
    sql.execute("INSERT OR IGNORE INTO cameras VALUES (1, 0, 1, 1, x'', 0)")
    names = []
    for number, features in enumerate(images):
        names.append(f"{kind}{number}")
        insert = "INSERT INTO images (name, camera_id) VALUES (?, 1)"
        row = sql.execute(insert, names[-1:]).lastrowid
        # COLMAP's origin is the corner of the first pixel, its scale is a radius, and its own
        # RootSIFT is twice as long as ours.
        x, y, size, angle = features.keypoints.T
        frames = np.column_stack([x + 0.5, y + 0.5, size / 2, np.deg2rad(angle)])
        doubled = np.minimum(2 * features.descriptors.astype(np.float32), 255).astype(np.uint8)
        for table, array in {"keypoints": frames, "descriptors": doubled}.items():
            insert = f"INSERT INTO {table} (image_id, rows, cols, data) VALUES (?, ?, ?, ?)"
            sql.execute(insert, [row, *array.shape, array.tobytes()])
    sql.commit()
    sql.close()
    (folder / f"{kind}.txt").write_text("\n".join(names), "utf-8")
