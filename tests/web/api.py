"""What the tests of the REST API ask, and how they read its answers."""

from __future__ import annotations

from typing import Any

import pytest

from bovw.options import FeatureOptions, ServeOptions

pytest.importorskip("fastapi", reason="bovw[web] is not installed")

from starlette.testclient import TestClient

API = "/api/v1"
TOKEN = "a secret"
FEW = FeatureOptions(max_features=400)
SMALL = ServeOptions(upload_bytes=2_000_000, limit=15)


def detail(response: Any, status: int) -> str:
    """Return what a problem says, which must be one, and without a traceback."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    content = response.json()
    assert content["status"] == status and content["title"]
    assert "Traceback" not in response.text and "/tmp" not in response.text
    return str(content["detail"])


def give(client: TestClient, content: bytes) -> str:
    response = client.post(f"{API}/queries", content=content)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])
