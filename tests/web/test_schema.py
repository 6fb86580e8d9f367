"""The REST API does what its OpenAPI description says, whatever it is asked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from bovw.demo.scenes import Collection
from bovw.options import ServeOptions
from bovw.web.setup import Setup

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
pytest.importorskip("fastapi", reason="bovw[web] is not installed")

from starlette.testclient import TestClient  # noqa: E402 - after it is known to be there

from bovw.web.app import create_app  # noqa: E402

TOKEN = "a-secret"


@pytest.fixture(scope="module")
def described(
    collection: Collection, index_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(index_folder, folder / "index")
    app = create_app(
        Setup(
            folder / "index",
            folder / "cache",
            ServeOptions(upload_bytes=100_000),
            datasets=[str(collection.truth)],
            images=collection.root,
            token=TOKEN,
            additions=folder / "added",
        )
    )
    with TestClient(app):
        yield schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.mark.slow
def test_answers_are_as_described(described: Any) -> None:
    operations = [result.ok() for result in described.get_all_operations()]
    assert len(operations) >= 20
    # A description cannot say which bytes are a picture, or which region lies inside of one.
    not_refused = schemathesis.checks.CHECKS.get_one("positive_data_acceptance")
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=15,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        def check(case: Any) -> None:
            case.call_and_validate(
                headers={"Authorization": f"Bearer {TOKEN}"}, excluded_checks=[not_refused]
            )

        check()
