"""The applications over HTTP: search of tracks and artists, and of samples by how they sound."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from pgmodern.embedders import Embedder
from pgmodern.errors import EmbedderError
from pgmodern.http import audio, music
from pgmodern.http.asking import AWAY, RETRY_AFTER, asking, why_unavailable
from pgmodern.http.music import ArtistRow, TrackRow
from pgmodern.http.shapes import Problem

__all__ = ["ArtistRow", "TrackRow", "create_app", "why_unavailable"]

log = logging.getLogger("pgmodern")

_HEALTH_TIMEOUT = 2.0
_FAULT = "Internal server error."
_NO_MODEL = "The embedding model cannot answer now. Try again in a moment."


class Health(BaseModel):
    """The database answers."""

    status: Literal["ok"] = "ok"


_RESPONSES: dict[int | str, dict[str, Any]] = {
    500: {
        "model": Problem,
        "description": "A fault of the application's",
        "content": {"application/json": {"example": {"detail": _FAULT}}},
    },
    503: {
        "model": Problem,
        "description": "The database or the model is away, too slow, or not set up",
        "content": {"application/json": {"example": {"detail": AWAY}}},
        "headers": {"Retry-After": {"description": "In seconds", "schema": {"type": "integer"}}},
    },
}


def create_app(
    engine: AsyncEngine, *, timeout: float = 5.0, embedder: Embedder | None = None
) -> FastAPI:
    """Return the application; when it ends it disposes the engine.

    The embedder is the model that made the samples' vectors; without one, a search by vibe is a
    503. It works in a thread, and has half of the time.

    The database has `timeout` seconds for a request. Then psycopg cancels the statement on the
    server too, so that slow ones do not pile up. That needs no SET, which is one more round trip,
    and no `-c statement_timeout`, which PgBouncer refuses. Against a server that the cancel does
    not reach, `ALTER ROLE ... SET statement_timeout` is the second line.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    app = FastAPIOffline(
        title="pgmodern",
        summary="Search of tracks and artists by words and misspelt names, of samples by vibe.",
        version=version("pgmodern"),
        lifespan=lifespan,
        responses=_RESPONSES,
        exception_handlers={
            Exception: _failed,
            EmbedderError: _without_model,
            RequestValidationError: _refused,
        },
    )
    ask = asking(engine, timeout)
    for router in (*music.routers(ask), audio.router(ask, embedder, timeout / 2)):
        app.include_router(router)
    ask_briefly = asking(engine, min(timeout, _HEALTH_TIMEOUT))

    @app.get("/healthz", summary="Whether the database answers", tags=["health"])
    async def healthz() -> Health:
        """Ask the database a trivial question, and do not wait long for the answer."""
        await ask_briefly(lambda session: session.execute(select(1)))
        return Health()

    return app


async def _failed(_: Request, __: Exception) -> JSONResponse:
    # Once this is sent, Starlette raises the exception again for the server to log.
    return JSONResponse({"detail": _FAULT}, 500)


async def _without_model(_: Request, error: Exception) -> JSONResponse:
    log.warning("%s", error)
    return JSONResponse({"detail": _NO_MODEL}, 503, {"Retry-After": str(RETRY_AFTER)})


async def _refused(_: Request, error: Exception) -> Response:
    # Without what was sent: that may be what no JSON can hold, such as NaN or half a character.
    assert isinstance(error, RequestValidationError)
    detail = [{name: each[name] for name in ("type", "loc", "msg")} for each in error.errors()]
    return Response(json.dumps({"detail": detail}), 422, media_type="application/json")
