"""The web application: routes, limits and headers put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from math import nan
from pathlib import Path

from fastapi import Depends, FastAPI
from fastapi_offline import FastAPIOffline
from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bovw import __version__
from bovw.errors import BovwError
from bovw.search import Searcher
from bovw.web import admin_api, api, comparison_api, evaluation_api
from bovw.web.admission import RequestQueue
from bovw.web.engine import Engine
from bovw.web.evaluations import Evaluations
from bovw.web.metrics import Measured, Metrics
from bovw.web.origin import SameOrigin
from bovw.web.parameters import check_parameters
from bovw.web.problems import Unexpected, answer_with_problems
from bovw.web.setup import Setup
from bovw.web.state import Server

STATIC = Path(__file__).parent / "static"
# Pictures to decode for display at a time, and to let wait: a page asks for many at once.
SHOWING, WAITING_TO_SHOW = 4, 500
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# Swagger's page starts with an inline script.
DOCS_POLICY = POLICY.replace("script-src 'self'", "script-src 'self' 'unsafe-inline'").replace(
    "style-src 'self'", "style-src 'self' 'unsafe-inline'"
)


def create_app(setup: Setup) -> FastAPI:
    """Return the application that serves an index.

    Raises FormatError if the index cannot be opened, DatasetError for unusable data sets.
    """
    server = _server_of(setup)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        server.engine.start()
        yield
        if server.evaluations:
            server.evaluations.stop()
        server.engine.close()

    app: FastAPI = FastAPIOffline(
        title="bovw", version=__version__, redoc_url=None, lifespan=lifespan
    )
    app.state.server = server
    for part in (api, comparison_api, evaluation_api, admin_api):
        app.include_router(part.router, dependencies=[Depends(check_parameters)])
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_api_route("/", show_page, include_in_schema=False)
    answer_with_problems(app)
    app.add_middleware(Unexpected)
    app.add_middleware(SameOrigin)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(setup.hosts))
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Measured, metrics=server.metrics)
    return app


def _server_of(setup: Setup) -> Server:
    """Open the index and make the server's other parts."""
    asking = setup.replicas.searcher if setup.replicas else Searcher
    engine = Engine(setup.index, setup.cache, setup.options, asking)
    queue = RequestQueue(setup.options.working, setup.options.waiting)
    evaluations = Evaluations(engine, setup.datasets, setup.images) if setup.datasets else None
    return Server(
        engine,
        queue,
        RequestQueue(SHOWING, WAITING_TO_SHOW),
        Metrics(partial(_images, engine), lambda: queue.taken),
        evaluations,
        setup.token,
        setup.additions,
        setup.replicas,
    )


def _images(engine: Engine) -> float:
    """Count the images for the metrics, which say so if the index cannot be read."""
    try:
        return len(engine.index)
    except BovwError:
        return nan


async def show_page() -> Response:
    """Return the page."""
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})


class SecurityHeaders:
    """Adds headers to every answer that keep a browser from running foreign content."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if scope["path"] == "/docs":
                    headers["Content-Security-Policy"] = DOCS_POLICY
            await send(message)

        await self.app(scope, receive, sending if scope["type"] == "http" else send)
