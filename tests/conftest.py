"""What the tests of several stages share; see README.md."""

from __future__ import annotations

import os
import pickle
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest
from filelock import FileLock

import bovw.ingest.build
import bovw.ingest.training
from bovw.cluster.engines import Cluster, connect
from bovw.compute.isolation import Failure, run_isolated
from bovw.demo.scenes import Collection, write_collection
from bovw.images.find import find_images
from bovw.index import Index
from bovw.ingest.build import build_index
from bovw.ingest.link import link_images
from bovw.ingest.run import Recipe, Run
from bovw.options import FeatureOptions
from bovw.search.searcher import Searcher

# Fewer features than the default keep the tests quick.
FEATURES = FeatureOptions(max_features=1000)

T = TypeVar("T")
R = TypeVar("R")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Count what asks the drawn collection or its index as slow: the first one has to make it."""
    for item in items:
        if "collection" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def quick() -> Iterator[None]:
    """Leave out what takes long and what few tests are about; those undo it, or use processes.

    Nobody pulls the plug: that files reach the disk is not waited for. One job is done in this
    process, which has everything imported, where patches reach it and its lines are counted. Two
    jobs are done in processes, as are those of tests/compute.
    """

    def within(
        function: Callable[[T], R], items: Iterable[T], jobs: int, limit: float
    ) -> Iterable[R | Failure[T]]:
        if jobs > 1:
            return run_isolated(function, items, jobs, limit)
        return (function(item) for item in items)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(bovw.ingest.build, "run_isolated", within)
        patch.setattr(bovw.ingest.training, "run_isolated", within)
        yield


class Once:
    """Makes things once for all processes that run the tests, in a folder that they share.

    What is made is read by several tests: copy what is to be changed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, name: str, make: Callable[[Path], T]) -> T:
        """Return what `make` returned, whoever called it, for the folder of that name."""
        folder, kept = self._folder / name, self._folder / f"{name}.pickle"
        with FileLock(self._folder / f"{name}.lock"):
            if not kept.exists():
                folder.mkdir(exist_ok=True)
                kept.write_bytes(pickle.dumps(make(folder)))
            made: T = pickle.loads(kept.read_bytes())
        return made


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    own = tmp_path_factory.getbasetemp()
    # Each process of pytest-xdist has a folder of its own below that of all.
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "once"
    folder.mkdir(exist_ok=True)
    return Once(folder)


@pytest.fixture(scope="session")
def collection(once: Once) -> Collection:
    """A small drawn collection, whose truth is known to the pixel."""
    return once(
        "collection", lambda folder: write_collection(folder, scenes=6, views=3, distractors=4)
    )


@pytest.fixture(scope="session")
def feature_options() -> FeatureOptions:
    return FEATURES


@pytest.fixture(scope="session")
def index_folder(collection: Collection, once: Once) -> Path:
    def make(folder: Path) -> Path:
        files = find_images([collection.database])
        build_index(files, folder / "index", Recipe(features=FEATURES), Run(jobs=1))
        return folder / "index"

    return once("indexed", make)


@pytest.fixture(scope="session")
def linked(index_folder: Path, once: Once) -> Path:
    """The same index with a graph of its images."""

    def make(folder: Path) -> Path:
        shutil.copytree(index_folder, folder / "index")
        link_images(folder / "index", Run(jobs=1))
        return folder / "index"

    return once("linked", make)


@pytest.fixture(scope="session")
def index(index_folder: Path) -> Index:
    return Index.open(index_folder)


@pytest.fixture(scope="session")
def searcher(index: Index) -> Searcher:
    return Searcher(index)


@pytest.fixture(scope="module")
def ray_nodes() -> Iterator[Any]:
    """A Ray cluster of two nodes with a processor each; idle, it would slow the other tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        utilities = pytest.importorskip(
            "ray.cluster_utils", reason="bovw[cluster] is not installed"
        )
    head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100_000_000}
    nodes = utilities.Cluster(initialize_head=True, head_node_args=head)
    nodes.add_node(num_cpus=1, object_store_memory=100_000_000)
    yield nodes
    nodes.shutdown()


@pytest.fixture
def on_ray(ray_nodes: Any) -> Iterator[Cluster]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with closing(connect(ray_nodes.address)) as cluster:
            yield cluster
