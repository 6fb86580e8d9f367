"""The query parameters that a route knows."""

from __future__ import annotations

from fastapi import Request

from bovw.errors import QueryError


def check_parameters(request: Request) -> None:
    """Raise QueryError for a parameter that the route does not know, or that is there twice.

    To ignore it would give an answer to another question.
    """
    # As the API's own description has them.
    described = request.app.openapi()["paths"][request.scope["route"].path]
    parameters = described[request.method.lower()].get("parameters", [])
    known = [one["name"] for one in parameters if one["in"] == "query"]
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known:
            which = f"this knows {', '.join(known)}" if known else "this takes none"
            raise QueryError(f"{name[:100]}: no such parameter, {which}")
        if given.count(name) > 1:
            raise QueryError(f"{name}: give it once")
