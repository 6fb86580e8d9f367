"""One small drawn collection and its index, which the tests of several stages share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bovw.cluster.engines import Cluster, connect
from bovw.demo.scenes import Collection, write_collection
from bovw.images.find import find_images
from bovw.index import Index
from bovw.ingest.build import build_index
from bovw.ingest.run import Recipe, Run
from bovw.options import FeatureOptions
from bovw.search.searcher import Searcher

# Fewer features than the default keep the tests quick.
FEATURES = FeatureOptions(max_features=1000)


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    folder = tmp_path_factory.mktemp("collection")
    return write_collection(folder, scenes=6, views=3, distractors=4)


@pytest.fixture(scope="session")
def feature_options() -> FeatureOptions:
    return FEATURES


@pytest.fixture(scope="session")
def index_folder(collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("indexed") / "index"
    build_index(find_images([collection.database]), folder, Recipe(features=FEATURES), Run(jobs=2))
    return folder


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
