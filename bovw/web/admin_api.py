"""REST routes that change the index, with a token only."""

from __future__ import annotations

import secrets
import shutil
import threading
from functools import partial
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from bovw.compute.text import printable
from bovw.errors import ImageError, UsageError
from bovw.images import SUFFIXES, ImageFile
from bovw.index import edit_index, shard_of
from bovw.ingest.build import build_index
from bovw.ingest.run import Run
from bovw.options import IngestOptions
from bovw.web.api import BODY, HUGE, LATER, LONG, UNKNOWN, UNUSABLE, Here, ImageId, receive
from bovw.web.engine import Engine, Source, name_of
from bovw.web.problems import responses
from bovw.web.schemas import ImageRecord

CONFLICT = HTTPStatus.CONFLICT
# One change at a time.
_CHANGING = threading.Lock()
bearer = HTTPBearer(auto_error=False, description="The token that the server was started with.")


def check_token(
    here: Here, given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> None:
    """Refuse a request without the server's token."""
    if here.token is None:
        raise HTTPException(HTTPStatus.FORBIDDEN, "read-only server: start it with --allow-write")
    # In constant time, so that timing does not reveal how much of a wrong token is right.
    if not given or not secrets.compare_digest(given.credentials.encode(), here.token.encode()):
        detail = "give the server's token as Authorization: Bearer TOKEN"
        raise HTTPException(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": "Bearer"})


router = APIRouter(
    prefix="/api/v1/images",
    tags=["edit the index"],
    dependencies=[Depends(check_token)],
    responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, UNUSABLE, LATER),
)


@router.post("", status_code=201, openapi_extra=BODY, responses=responses(CONFLICT, HUGE, LONG))
async def add(
    request: Request,
    here: Here,
    name: Annotated[str, Query(max_length=1000, description="Its name, like shelf/0012.jpg.")],
) -> ImageRecord:
    """Add an image to the index; the body is the file. The server keeps it."""
    check_name(name)
    source = await receive(request, here)
    return await here.queue.work(partial(_add, here.engine, here.additions, name, source))


@router.delete("/{id}", status_code=204, responses=responses(UNKNOWN))
async def remove(id: ImageId, here: Here) -> None:
    """Remove an image from the index; its file stays."""
    await here.queue.work(partial(_remove, here.engine, id))


def check_name(name: str) -> None:
    """Raise UsageError unless a name is a valid image path below a folder."""
    parts = name.split("/")
    if (
        str(PurePosixPath(name)) != name
        or any(part in ("", ".", "..") or part.startswith(".") for part in parts)
        or printable(name) != name
        or "\\" in name
        or not name.lower().endswith(SUFFIXES)
    ):
        raise UsageError(
            f"an image's name is like shelf/0012.jpg and ends in one of {' '.join(SUFFIXES)}"
        )


def _add(engine: Engine, folder: Path | None, name: str, source: Source) -> ImageRecord:
    assert folder is not None, "a server with a token has a folder for added images"
    engine.describe(source)  # refuses what cannot be used before anything is written
    with _CHANGING:
        if engine.index.names.find(name) is not None:
            raise HTTPException(CONFLICT, "the index has an image of this name: remove it first")
        path = _placed(folder, name, source)
        try:
            _index(engine, name, path)
            index = engine.index
            return ImageRecord.of(engine.named(name, index), index)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _placed(folder: Path, name: str, source: Source) -> Path:
    """Put a picture into the folder of added images, without overwriting a file."""
    path = folder / name
    try:
        if not path.parent.resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"{name} leads out of the folder of added images: give another name")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as target, source.path.open("rb") as given:
            shutil.copyfileobj(given, target)
    except FileExistsError:
        raise HTTPException(CONFLICT, "there is a file of this name: give another") from None
    except OSError as error:
        raise UsageError(f"{name} cannot be written: {error.strerror}") from None
    return path


def _index(engine: Engine, name: str, path: Path) -> None:
    skipped: list[str] = []

    def on_skip(name: str, reason: str) -> None:
        skipped.append(reason)

    try:
        build_index(
            [ImageFile(name, path.absolute())],
            engine.index.folder,
            run=Run(1, on_skip=on_skip, options=IngestOptions(retry=True)),
            may_vanish=lambda row: False,
        )
    except UsageError:
        raise HTTPException(CONFLICT, "the index has this name from another folder") from None
    if skipped:
        raise ImageError(f"{name}: {skipped[0]}")


def _remove(engine: Engine, id: str) -> None:
    index = engine.index
    engine.indexed(id, index)
    with _CHANGING, edit_index(index.folder) as writers:
        writer = writers[shard_of(name_of(id), len(writers))]
        if name_of(id) in writer.rows:
            writer.remove(name_of(id))
            writer.commit()
