"""Requests that a page of another site makes a browser send."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from bovw.web.problems import problem

READING = ("GET", "HEAD", "OPTIONS")


class SameOrigin:
    """Refuses requests that do more than read, if a page of another site sent them.

    Browsers say in Origin whose page sends such a request; other clients send no Origin.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        app = self.app
        if scope["type"] == "http" and scope["method"] not in READING:
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if origin is not None and _host(origin) != headers.get("host", "").lower():
                app = problem(HTTPStatus.FORBIDDEN, "a page of another site may not ask for this")
        await app(scope, receive, send)


def _host(origin: str) -> str | None:
    """Return an origin's host and port; None for "null" and what is no origin."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
