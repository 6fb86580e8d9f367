"""What the routes share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastapi import Request

from bovw.cluster.replicas import Team
from bovw.web.admission import Gate
from bovw.web.engine import Engine
from bovw.web.evaluations import Evaluations
from bovw.web.metrics import Metrics


@dataclass(frozen=True)
class Server:
    """One server's parts.

    gate         in front of searches
    showing      in front of pictures that are shown
    evaluations  None where no data set was given
    token        what lets a request change the index; None where none does
    additions    the folder that keeps images which requests add
    team         answers for the index's shards; None where this process does
    """

    engine: Engine
    gate: Gate
    showing: Gate
    metrics: Metrics
    evaluations: Evaluations | None
    token: str | None
    additions: Path | None
    team: Team | None


def server_of(request: Request) -> Server:
    """Return the server that a request came to."""
    server: Server = request.app.state.server
    return server
