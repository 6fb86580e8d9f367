"""The state that routes share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastapi import Request

from bovw.cluster.replicas import ShardReplicas
from bovw.web.admission import RequestQueue
from bovw.web.engine import Engine
from bovw.web.evaluations import Evaluations
from bovw.web.metrics import Metrics


@dataclass(frozen=True)
class Server:
    """One server's parts.

    queue        in front of searches
    showing      in front of pictures that are shown
    evaluations  None if no data set was given
    token        lets a request change the index, None if no request may
    additions    the folder for images that requests add
    replicas     answer for the index's shards, None if this process does
    """

    engine: Engine
    queue: RequestQueue
    showing: RequestQueue
    metrics: Metrics
    evaluations: Evaluations | None
    token: str | None
    additions: Path | None
    replicas: ShardReplicas | None


def server_of(request: Request) -> Server:
    """Return the server that a request came to."""
    server: Server = request.app.state.server
    return server
