"""Errors as problem details (RFC 9457): a sentence for people, and never a traceback."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bovw.errors import (
    BovwError,
    DatasetError,
    ImageError,
    QueryError,
    UnansweredError,
    UsageError,
)
from bovw.web.admission import FullError
from bovw.web.cache import TooLargeError
from bovw.web.engine import UnknownError
from bovw.web.schemas import Problem

Responses = dict[int | str, dict[str, Any]]
MEDIA_TYPE = "application/problem+json"
# Seconds to wait before the next try.
AGAIN = {"Retry-After": "1"}
UNKNOWN, UNUSABLE = HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY
STATUSES: dict[type[Exception], HTTPStatus] = {
    UnknownError: UNKNOWN,
    ImageError: UNUSABLE,
    QueryError: UNUSABLE,
    UsageError: UNUSABLE,
    DatasetError: UNUSABLE,
    UnansweredError: HTTPStatus.SERVICE_UNAVAILABLE,
    TooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    TimeoutError: HTTPStatus.REQUEST_TIMEOUT,
    # Nobody reads the answer.
    ClientDisconnect: HTTPStatus.BAD_REQUEST,
    FullError: HTTPStatus.SERVICE_UNAVAILABLE,
    # All others: the index is damaged, or its writer's lock is held.
    BovwError: HTTPStatus.SERVICE_UNAVAILABLE,
}
DETAILS: dict[type[Exception], str] = {
    TooLargeError: "the picture has too many bytes: give a smaller one",
    TimeoutError: "the picture took too long to come: try again",
    ClientDisconnect: "the picture did not come whole",
    FullError: "the server is busy: try again in a second",
    BovwError: "the server cannot read or write its files just now: its log says why",
}


def responses(*statuses: HTTPStatus) -> Responses:
    """Return OpenAPI's description of problems with these statuses."""
    schema = {"$ref": "#/components/schemas/Problem"}
    content = {MEDIA_TYPE: {"schema": schema}}
    return {int(s): {"description": s.phrase, "content": content} for s in statuses}


def answer_with_problems(app: FastAPI) -> None:
    """Make an application answer errors with problem details."""
    for kind in STATUSES:
        app.add_exception_handler(kind, _known)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)


class Unexpected:
    """Answers an unexpected error, and logs it for whoever runs the server."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception:
            logging.getLogger("bovw").exception("%s %s", scope.get("method"), scope.get("path"))
            if not started:
                detail = "unexpected: the server's log has more"
                await problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail)(scope, receive, send)


def problem(status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a problem as a response."""
    content = Problem(title=status.phrase, status=status, detail=detail).model_dump()
    return JSONResponse(content, status, headers, MEDIA_TYPE)


def told(error: Exception, doing: str) -> str:
    """Return the text that a client gets about a known error; log what only the server may know."""
    kind = _kind(error)
    if kind is BovwError:
        # It names folders and processes of the server.
        logging.getLogger("bovw").error("%s: %s", doing, error)
    return DETAILS.get(kind) or _printable(str(error))


async def _known(request: Request, error: Exception) -> Response:
    status = STATUSES[_kind(error)]
    again = AGAIN if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return problem(status, told(error, f"{request.method} {request.url.path}"), again)


def _kind(error: Exception) -> type[Exception]:
    """Return the first class of an error that has a status."""
    return next(kind for kind in type(error).__mro__ if kind in STATUSES)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    return problem(HTTPStatus(error.status_code), _printable(str(error.detail)), headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return problem(UNUSABLE, _printable(f"{where}: {first['msg']}"))


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
