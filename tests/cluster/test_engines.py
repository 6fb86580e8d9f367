"""Local clusters of Ray and of Dask: the same index, whatever is lost on the way."""

from __future__ import annotations

import os
import shutil
import signal
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any

import pytest

import bovw.ingest.build
import bovw.ingest.training
from bovw.cluster.engines import Cluster, connect, in_order
from bovw.demo.scenes import Collection
from bovw.errors import BovwError, UsageError
from bovw.images.find import find_images
from bovw.index import Index
from bovw.index.manifest import parts_of
from bovw.ingest.build import build_index
from bovw.ingest.run import Recipe, Run
from bovw.ingest.training import build_vocabulary
from bovw.ingest.worker import check_handshakes, handshake
from bovw.options import FeatureOptions, IngestOptions, VocabularyOptions
from bovw.search.searcher import Searcher
from bovw.vocab import Vocabulary
from tests.queries import search

BAD = "bad.jpg"


@pytest.fixture(scope="module")
def photos(collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection's pictures, and one that cannot be used."""
    folder = tmp_path_factory.mktemp("photos") / "db"
    shutil.copytree(collection.database, folder)
    (folder / BAD).write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def dask_workers() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed", reason="bovw[dask] is not installed")
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(processes=True, silence_logs=50, **settings) as cluster:
        yield cluster


@pytest.fixture
def on_dask(dask_workers: Any) -> Iterator[Cluster]:
    address = dask_workers.scheduler_address.replace("tcp://", "dask://")
    with closing(connect(address)) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bovw.ingest.build, "CHUNK", 2)
    monkeypatch.setattr(bovw.ingest.training, "CHUNK", 2)


def build(
    photos: Path,
    folder: Path,
    vocabulary: Vocabulary,
    options: FeatureOptions,
    cluster: Cluster,
    at: Mapping[int, Callable[[], object]] | None = None,
    shards: int | None = None,
) -> list[str]:
    """Build an index on a cluster, where something happens `at` some images; return the skipped."""
    skipped: list[str] = []

    def progress(
        results: Iterable[Any], length: int, label: str
    ) -> AbstractContextManager[Iterable[Any]]:
        def each() -> Iterator[Any]:
            for number, result in enumerate(results):
                if at and number in at:
                    at[number]()
                yield result

        return nullcontext(each())

    build_index(
        find_images([photos]),
        folder,
        Recipe(vocabulary, features=options, shards=shards),
        Run(
            progress=progress,
            on_skip=lambda name, reason: skipped.append(f"{name}: {reason}"),
            options=IngestOptions(batch=6, limit=30),
            workers=cluster,
        ),
    )
    return skipped


def assert_same(folder: Path, index: Index) -> None:
    """Compare an index with the one that was made here, image by image and in its weights."""
    built = Index.open(folder)
    rows = {row.name: (row.sha256, row.features) for row in built.images() if row.status == "ok"}
    assert rows == {row.name: (row.sha256, row.features) for row in index.images()}
    assert built.statistics.weights.tobytes() == index.statistics.weights.tobytes()
    assert built.damaged_files() == []
    # What workers write one by one is merged at every commit.
    assert len(built.segment_rows) <= 2 * len(parts_of(folder))
    assert not list(folder.rglob("incoming-*"))
    for name in rows:
        found, own = built.names.find(name), index.names.find(name)
        assert found is not None and own is not None
        assert (built.sizes[found] == index.sizes[own]).all()


@pytest.mark.cluster
@pytest.mark.parametrize("engine", ["on_ray", "on_dask"])
def test_a_cluster_builds_what_one_machine_builds(
    engine: str,
    request: pytest.FixtureRequest,
    photos: Path,
    index: Index,
    collection: Collection,
    feature_options: FeatureOptions,
    tmp_path: Path,
) -> None:
    cluster, vocabulary = request.getfixturevalue(engine), Searcher(index).vocabulary
    skipped = build(photos, tmp_path / "i", vocabulary, feature_options, cluster)
    assert [line.partition(":")[0] for line in skipped] == [BAD]
    assert_same(tmp_path / "i", index)
    query = collection.root / collection.queries[0].name
    hits, own = (
        search(searcher, query, 20)
        for searcher in (Searcher(Index.open(tmp_path / "i")), Searcher(index))
    )
    assert [(h.name, h.score, h.inliers) for h in hits] == [
        (h.name, h.score, h.inliers) for h in own
    ]
    # An update with nothing new does nothing; shards are built as well.
    assert build(photos, tmp_path / "i", vocabulary, feature_options, cluster) == []
    build(photos, tmp_path / "shards", vocabulary, feature_options, cluster, shards=2)
    assert_same(tmp_path / "shards", index)


@pytest.mark.cluster
@pytest.mark.parametrize("engine", ["on_ray", "on_dask"])
def test_a_vocabulary_is_the_same(
    engine: str,
    request: pytest.FixtureRequest,
    photos: Path,
    feature_options: FeatureOptions,
) -> None:
    images, options = find_images([photos]), VocabularyOptions(words=1100, rounds=1)
    here = build_vocabulary(images, feature_options, options, run=Run(jobs=1))
    cluster = request.getfixturevalue(engine)
    there = build_vocabulary(images, feature_options, options, run=Run(workers=cluster))
    assert there.fingerprint == here.fingerprint
    assert there.sources.tolist() == here.sources.tolist()


@pytest.mark.cluster
def test_a_lost_worker_and_a_lost_node_lose_nothing(
    ray_nodes: Any,
    on_ray: Cluster,
    photos: Path,
    index: Index,
    feature_options: FeatureOptions,
    tmp_path: Path,
) -> None:
    node = ray_nodes.add_node(num_cpus=1, object_store_memory=100_000_000)
    lost = {
        2: lambda: kill_workers(node),
        8: lambda: ray_nodes.remove_node(node, allow_graceful=False),
    }
    vocabulary = Searcher(index).vocabulary
    skipped = build(photos, tmp_path / "i", vocabulary, feature_options, on_ray, lost)
    assert [line.partition(":")[0] for line in skipped] == [BAD]
    assert_same(tmp_path / "i", index)


def kill_workers(node: Any) -> None:
    """Kill the processes that work on a node: those below its raylet that run tasks."""
    (raylet,) = node.all_processes["raylet"]
    killed = 0
    deadline = time.monotonic() + 30
    while not killed:
        assert time.monotonic() < deadline, "the node had no worker"
        for child in children(raylet.process.pid):
            if "ray::" in Path(f"/proc/{child}/cmdline").read_text():
                os.kill(child, signal.SIGKILL)
                killed += 1
        time.sleep(0.05)


def children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in found]


@pytest.mark.cluster
def test_a_lost_dask_worker_loses_nothing(
    dask_workers: Any,
    on_dask: Cluster,
    photos: Path,
    index: Index,
    feature_options: FeatureOptions,
    tmp_path: Path,
) -> None:
    victim = next(iter(dask_workers.workers.values())).process.pid
    lost = {4: lambda: os.kill(victim, signal.SIGKILL)}
    vocabulary = Searcher(index).vocabulary
    build(photos, tmp_path / "i", vocabulary, feature_options, on_dask, lost)
    assert_same(tmp_path / "i", index)


@pytest.mark.cluster
@pytest.mark.parametrize("engine", ["on_ray", "on_dask"])
def test_errors_come_back_as_they_are(engine: str, request: pytest.FixtureRequest) -> None:
    def failing(item: int) -> int:
        if item == 3:
            raise BovwError("three")
        return item

    cluster = request.getfixturevalue(engine)
    assert list(cluster.map(failing, iter([5, 1, 2]))) == [5, 1, 2]
    with pytest.raises(BovwError, match=r"^three$"):
        list(cluster.map(failing, range(5)))


def test_few_items_are_taken_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(10):
            taken.append(item)
            yield item

    results = in_order(lambda item: item * 2, lambda future: future, items(), ahead=3)
    assert next(results) == 0
    assert len(taken) == 3
    assert list(results) == [2 * item for item in range(1, 10)]


def test_workers_have_to_be_as_here(tmp_path: Path) -> None:
    own = handshake(tmp_path)
    check_handshakes([own, own], tmp_path)
    for other, reason in (
        (("0.0.9", *own[1:]), "bovw 0.0.9"),
        ((own[0], "3.99", True), "Python 3.99"),
        ((*own[:2], False), "does not see"),
    ):
        with pytest.raises(BovwError, match=reason) as caught:
            check_handshakes([own, other], tmp_path)
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("address", ["", "http://x:1", "ray", "nowhere"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(UsageError, match="ray://HOST:PORT"):
        connect(address)


@pytest.mark.cluster
@pytest.mark.parametrize("address", ["127.0.0.1:1", "dask://127.0.0.1:1"])
def test_nobody_answers(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bovw.cluster.engines, "PATIENCE", 2)
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(BovwError, match="no cluster answers at"):
            connect(address)


@pytest.mark.parametrize(("package", "address"), [("ray", "auto"), ("distributed", "dask://a:1")])
def test_a_package_that_is_missing_is_named(
    package: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(BovwError, match=r"pip install 'bovw\[(cluster|dask)\]'"):
        connect(address)
