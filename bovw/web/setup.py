"""What a server is started with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bovw.cluster.replicas import ShardReplicas
from bovw.options import ServeOptions


@dataclass(frozen=True)
class Setup:
    """What a server is started with.

    index      the index's folder
    cache      a folder for pictures that are given and for thumbnails
    hosts      names that a request may call the server by; others, which a foreign page may have
               pointed here, are refused
    datasets   to evaluate; their pictures are below `images`
    token      lets a request add images, which are kept in `additions`, and remove them
    replicas   answer for the index's shards; None where this process does
    """

    index: Path
    cache: Path
    options: ServeOptions = ServeOptions()
    hosts: Sequence[str] = ("*",)
    datasets: Sequence[str] = ()
    images: Path = Path()
    token: str | None = None
    additions: Path | None = None
    replicas: ShardReplicas | None = None
