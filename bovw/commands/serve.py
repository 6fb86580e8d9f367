"""The serve command: a web page and a REST API."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from ipaddress import ip_address
from math import ceil
from pathlib import Path
from socket import SOCK_STREAM, create_server, getaddrinfo, socket
from types import FrameType
from typing import TYPE_CHECKING

import click

from bovw.commands.feedback import on_cluster, say
from bovw.commands.options import FOLDER, index_option, quiet_option
from bovw.errors import BovwError, UsageError

if TYPE_CHECKING:
    import uvicorn

    from bovw.cluster.replicas import ShardReplicas
    from bovw.web.setup import Setup

# Seconds that clients have to receive their answers at shutdown.
ENDING = 10
# Seconds that a connection is kept for the next request, and a late picture's answer may take.
KEPT = 5
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@click.command()
@index_option
@click.option("--host", default="127.0.0.1", show_default=True,
              help="The address to listen at; 0.0.0.0 for all addresses.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65_535), default=8000, show_default=True,
              help="The port to listen at, 0 for any free one.")  # fmt: skip
@click.option("--cache", type=FOLDER, help="The folder that keeps thumbnails and "
              "query pictures.  [default: bovw in the user's cache folder]")  # fmt: skip
@click.option("--eval", multiple=True, metavar="DATASET",
              help="A data set, as `bovw eval` takes it, for the evaluation page. May be "
                   "repeated.")  # fmt: skip
@click.option("--images", type=FOLDER, help="The folder that holds the data sets' pictures.")
@click.option(
    "--allow-write",
    type=FOLDER,
    metavar="FOLDER",
    help="Let requests with the token add images, kept in FOLDER, and remove images.",
)
@click.option("--cluster", metavar="ADDRESS",
              help="Search the index's shards on a Ray cluster: auto, HOST:PORT or "
                   "ray://HOST:PORT.")  # fmt: skip
@click.option(
    "--replicas",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="Replicas of every shard, on the cluster.",
)
@click.option("--deadline", type=click.FloatRange(min=0, min_open=True), default=10.0,
              show_default=True, help="Seconds after which silent shards are left out of an "
                                      "answer.")  # fmt: skip
@click.option("--token", help="The token for --allow-write; best set as BOVW_SERVE_TOKEN.")
@quiet_option
def serve(
    index: Path, host: str, port: int, cache: Path | None, eval: tuple[str, ...],
    images: Path | None, allow_write: Path | None, cluster: str | None, replicas: int,
    deadline: float, token: str | None, quiet: bool,
) -> None:  # fmt: skip
    """Serve a web page that searches an index, and its REST API.

    Example: bovw serve --index bovw-index --port 8000
    """
    _check_installed()
    if bool(allow_write) != bool(token):
        raise UsageError("--allow-write and --token (BOVW_SERVE_TOKEN) need each other")
    if eval and not images:
        raise UsageError("--eval needs --images, the folder that holds the pictures")
    from bovw.web.setup import Setup

    with _replicas_of(index, cluster, replicas, deadline) as answering:
        setup = Setup(
            index, cache or default_cache(), hosts=_hosts(host),
            datasets=eval, images=images or Path(), token=token, additions=allow_write,
            replicas=answering,
        )  # fmt: skip
        _serve(setup, host, port, ceil(max(ENDING, deadline)), quiet)


def _check_installed() -> None:
    """Raise BovwError if a package of the extra is missing."""
    try:
        import uvicorn  # noqa: F401

        import bovw.web.app  # noqa: F401
    except ModuleNotFoundError as error:
        raise BovwError(
            f"{error.name} is not installed, but serving needs it: pip install 'bovw[web]'"
        ) from error


@contextmanager
def _replicas_of(
    index: Path, cluster: str | None, count: int, deadline: float
) -> Iterator[ShardReplicas | None]:
    """Start replicas of an index's shards on a cluster; yield None without one."""
    from bovw.cluster.engines import RayCluster
    from bovw.cluster.replicas import ShardReplicas

    with on_cluster(cluster) as workers, ExitStack() as ending:
        if workers is None:
            yield None
            return
        if not isinstance(workers, RayCluster):
            raise UsageError("--cluster must be a Ray cluster: give auto or ray://HOST:PORT")
        replicas = ShardReplicas(workers, index, count, deadline)
        ending.callback(replicas.close)
        yield replicas


def _serve(setup: Setup, host: str, port: int, ending: int, quiet: bool) -> None:
    """Serve until Ctrl-C; clients then have `ending` seconds to receive their answers."""
    import uvicorn

    from bovw.web.app import create_app
    from bovw.web.connections import BACKLOG, connections, room
    from bovw.web.logs import log_sparingly

    app = create_app(setup)
    config = uvicorn.Config(
        app,
        host,
        port,
        loop="asyncio",
        http=connections(room(), setup.options.limit + KEPT),
        ws="none",
        log_level="warning",
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEPT,
        timeout_graceful_shutdown=ending,
    )
    log_sparingly()  # after uvicorn has set up its loggers
    listening = _listen(config)
    address, port = listening.getsockname()[:2]
    name = f"[{address}]" if ":" in address else address
    say(quiet, f"serving {setup.index} at http://{name}:{port}/ until Ctrl-C")
    with suppress(KeyboardInterrupt):  # uvicorn raises it again at its end
        server = uvicorn.Server(config)
        server.handle_exit = partial(_end, server)  # type: ignore[method-assign]
        server.run([listening])


def _end(server: uvicorn.Server, number: int, frame: FrameType | None) -> None:
    """End a server at the first signal.

    At a second one, Uvicorn would stop inside its event loop with a long error.
    """
    if server.should_exit:
        signal.signal(number, signal.SIG_DFL)  # a third one kills the process
    else:
        type(server).handle_exit(server, number, frame)


def _listen(config: uvicorn.Config) -> socket:
    """Listen before the first remark; raise BovwError if that fails."""
    found = getaddrinfo(config.host, config.port, type=SOCK_STREAM)
    try:
        return create_server(found[0][4][:2], family=found[0][0])
    except OSError as error:
        raise BovwError(
            f"cannot listen at {config.host}:{config.port} ({error.strerror}): "
            "give another --host or --port"
        ) from error


def _hosts(host: str) -> tuple[str, ...]:
    """Return the host names that requests may use."""
    return (*LOOPBACK, host) if _is_loopback(host) else ("*",)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def default_cache() -> Path:
    """Return bovw's folder in the user's cache folder (XDG Base Directory Specification)."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if given.startswith("/") else Path.home() / ".cache") / "bovw"


COMMANDS = (serve,)
