"""Shards that answer one by one give what the one index gives, or are named."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bovw.verification.verify
from bovw.cluster.shard_search import ShardBackend, ShardSearcher
from bovw.demo.scenes import Collection
from bovw.errors import UnansweredError
from bovw.index import Index, IndexWriter
from bovw.index.manifest import parts_of
from bovw.index.resharding import split_index
from bovw.index.rows import ImageRow
from bovw.options import FeatureOptions, SearchOptions
from bovw.records import Box, Features, WordQuery, Words
from bovw.search import Searcher
from bovw.search.question import LocalBackend
from tests.index.answering import WAYS, OfOne, comparable
from tests.queries import find, search


def scattered(
    folder: Path, options: SearchOptions, silent: AbstractSet[int] = frozenset()
) -> Searcher:
    """Return a searcher whose parts answer in this process, but for the silent ones."""
    shards = Index.open(folder)
    parts = [ShardSearcher(shards, number) for number in range(len(shards.parts))]

    def scatter(
        method: str, asked: Mapping[int, tuple[Any, ...]], seconds: float
    ) -> dict[int, object]:
        return {n: getattr(parts[n], method)(*a) for n, a in asked.items() if n not in silent}

    return Searcher(shards, options, ShardBackend(scatter))


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3])
def test_parts_together_answer_as_one(
    index: Index, collection: Collection, tmp_path: Path, of_one: OfOne, count: int
) -> None:
    split_index(index.folder, count, tmp_path / "shards")
    for options in WAYS:
        searcher = scattered(tmp_path / "shards", options)
        found = [find(searcher, collection.root / query.name) for query in collection.queries]
        assert [comparable(hit) for one in found for hit in one.hits] == of_one(options)
        assert not any(one.missing for one in found)


@pytest.mark.slow
def test_parts_know_their_neighbours(linked: Path, collection: Collection, tmp_path: Path) -> None:
    split_index(linked, 3, tmp_path / "shards")
    expected = Searcher(Index.open(linked))
    searcher = scattered(tmp_path / "shards", SearchOptions())
    for query in collection.queries:
        path = collection.root / query.name
        found = [comparable(hit) for hit in search(searcher, path, 9)]
        assert found == [comparable(hit) for hit in search(expected, path, 9)]


def test_a_silent_part_is_named_and_its_images_are_left_out(
    index: Index, collection: Collection, tmp_path: Path
) -> None:
    folder = tmp_path / "shards"
    split_index(index.folder, 3, folder)
    silent = next(n for n, part in enumerate(parts_of(folder)) if len(Index.open(part)))
    gone = {row.name for row in Index.open(parts_of(folder)[silent]).images()}
    searcher = scattered(folder, SearchOptions(), {silent})
    hits, missing = find(searcher, collection.root / collection.queries[0].name)
    assert {hit.name for hit in hits} == set(index.names) - gone
    assert missing == [f"shard-{silent}"]
    with pytest.raises(UnansweredError, match="no shard answers"):
        deaf = scattered(folder, SearchOptions(), {0, 1, 2})
        find(deaf, collection.root / collection.queries[0].name)


def test_parts_that_fall_silent_leave_the_first_ranking(
    index: Index, collection: Collection, tmp_path: Path
) -> None:
    folder = tmp_path / "shards"
    shards = split_index(index.folder, 3, folder)
    parts = [ShardSearcher(shards, number) for number in range(3)]

    def scatter(
        method: str, asked: Mapping[int, tuple[Any, ...]], seconds: float
    ) -> dict[int, object]:
        heard = method in answering and not (method == "rank" and calls.count("rank") > 0)
        calls.append(method)
        return {n: getattr(parts[n], method)(*a) for n, a in asked.items()} if heard else {}

    query = collection.root / collection.queries[0].name
    plain = search(Searcher(index, SearchOptions(rerank=0)), query, 5)
    for answering in ({"rank"}, {"rank", "verify"}):
        for expand in (0, 30):
            calls: list[str] = []
            searcher = Searcher(shards, SearchOptions(expand=expand), ShardBackend(scatter))
            hits, missing = find(searcher, query, 5)
            # Without expansion, nothing more has to be asked.
            silent = ["shard-0", "shard-1", "shard-2"] if expand or len(answering) == 1 else []
            assert len(hits) == 5 and missing == silent
            if answering == {"rank"}:
                assert [hit.name for hit in hits] == [hit.name for hit in plain]


@pytest.mark.slow
def test_few_hits_of_many_confirmed(index: Index, collection: Collection, tmp_path: Path) -> None:
    split_index(index.folder, 2, tmp_path / "shards")
    options = SearchOptions(expand=0, max_false_alarms=1e9)
    searcher = scattered(tmp_path / "shards", options)
    for query in collection.queries:
        path = collection.root / query.name
        expected = [comparable(hit) for hit in search(Searcher(index, options), path, 1)]
        assert [comparable(hit) for hit in search(searcher, path, 1)] == expected


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_any_shards_answer_as_one(data: st.DataObject) -> None:
    """Random postings in random shards: equal scores, ties by name, whatever is asked."""
    words, count = 8, data.draw(st.integers(1, 5))
    names = data.draw(st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, unique=True))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    with TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        # So few random features hardly agree; one inlier is enough here.
        patch.setattr(bovw.verification.verify, "LEAST", 1)
        folder = Path(place) / "one"
        with IndexWriter.create(folder, words, 64, "f" * 64, asdict(FeatureOptions())) as writer:
            writer.vocabulary_folder.mkdir()
            for name in names:
                features, own = drawn(rng, words, int(rng.integers(1, 6)))
                row = ImageRow(f"{name}.jpg", "/x/", None, None, None, 100, 100, len(features))
                writer.add(row, features, own)
            writer.commit()
        one, shards = Index.open(folder), split_index(folder, count, Path(place) / "shards")
        features, own = drawn(rng, words, 6)
        query = WordQuery(features.keypoints, own, Box(0, 0, 100, 100))
        for scoring in ("hamming", "tfidf", "asmk"):
            options = SearchOptions(scoring=scoring, expand=3)
            whole = LocalBackend().ask(one, query, options)
            parts = scattered(shards.folder, options).backend.ask(shards, query, options)
            ranking, other = whole.rank(None), parts.rank(None)
            same = [one.names[i] for i in ranking.images]
            assert [shards.names[i] for i in other.images] == same
            assert other.scores.tolist() == ranking.scores.tolist()
            verified, found = whole.verify(ranking.images), parts.verify(other.images)
            assert [(one.names[v.image], v.evidence) for v in verified] == [
                (shards.names[v.image], v.evidence) for v in found
            ]
            if verified:
                after = whole.rank_expanded(verified[:3], 4, False)
                expanded = parts.rank_expanded(found[:3], 4, False)
                assert expanded.scores.tolist() == after.scores.tolist()
                assert [shards.names[i] for i in expanded.images] == [
                    one.names[i] for i in after.images
                ]


def drawn(rng: np.random.Generator, words: int, count: int) -> tuple[Features, Words]:
    keypoints = rng.uniform(1, 100, (count, 4)).astype(np.float32)
    features = Features(keypoints, np.empty((count, 128), np.uint8), 100, 100)
    ids = rng.integers(0, words, (count, 1)).astype(np.int32)
    signatures = rng.integers(0, 4, (count, 1, 1)).astype(np.uint64)
    return features, Words(ids, signatures, features.angles)
