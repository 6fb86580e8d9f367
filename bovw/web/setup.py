"""The settings of a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bovw.cluster.replicas import ShardReplicas
from bovw.options import ServeOptions


@dataclass(frozen=True)
class Setup:
    """The settings of a server.

    index      the index's folder
    cache      a folder for uploaded pictures and thumbnails
    hosts      host names that requests may use. Others are refused, because a foreign page may
               have pointed them here
    datasets   to evaluate, with their pictures below `images`
    token      lets a request add images, which are kept in `additions`, and remove them
    replicas   answer for the index's shards; None if this process does
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
