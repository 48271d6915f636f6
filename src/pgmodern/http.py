"""Search of tracks and artists over HTTP."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from importlib.metadata import version
from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from sqlalchemy import exc as sa
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from pgmodern.queries.text import LONGEST, words
from pgmodern.reference import music
from pgmodern.repositories import AsyncSearchRepository

log = logging.getLogger("pgmodern")

RETRY_AFTER = 5
_HEALTH_TIMEOUT = 2.0
_FAULT = "Internal server error."
_AWAY = "The database cannot answer now. Try again in a moment."
_OLD_SCHEMA = "The database lacks what is searched. Run the migrations: alembic upgrade head."
# Connection exception, insufficient resources, operator intervention (manual, appendix A).
_AWAY_CLASSES = ("08", "53", "57")
# An undefined table, column, function or operator, object, schema: the models are ahead.
_OLD_SCHEMA_STATES = {"42P01", "42703", "42883", "42704", "3F000"}

R = TypeVar("R", bound=BaseModel)
Question = Callable[[AsyncSession], Awaitable[Any]]
Ask = Callable[[Question], Awaitable[Any]]
Repository = AsyncSearchRepository[Any]
Search = Callable[[Repository, str, int], Awaitable[list[Any]]]


_Score = Annotated[float, Field(ge=0, le=1, description="1 is best.", examples=[0.52])]
_Highlight = Annotated[
    str | None,
    Field(
        description="HTML: the text searched, escaped, with the words found between `<b>` and "
        "`</b>`. Only full-text search gives one.",
        examples=["<b>Yellow</b> Submarine / Revolver"],
    ),
]


class ArtistRow(BaseModel):
    """An artist that a search found."""

    id: int = Field(examples=[17])
    name: str = Field(examples=["The Beatles"])
    score: _Score
    highlight: _Highlight


class TrackRow(BaseModel):
    """A track that a search found."""

    id: int = Field(examples=[4711])
    title: str = Field(examples=["Yellow Submarine"])
    artist: str = Field(examples=["The Beatles"])
    album: str | None = Field(examples=["Revolver"])
    score: _Score
    highlight: _Highlight


class Results(BaseModel, Generic[R]):
    """What a search found, the best first."""

    query: str = Field(description="What was searched for, trimmed.", examples=["yelow submarine"])
    results: list[R]


class Health(BaseModel):
    """The database answers."""

    status: Literal["ok"] = "ok"


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str


def _searchable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("a NUL cannot be searched for")
    if not words(text):
        raise ValueError("at least one letter or digit is needed")
    return text


_Sought = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST),
    AfterValidator(_searchable),
    Query(
        description="What to search for: at least one letter or digit.",
        openapi_examples={"misspelt": {"value": "yelow submarine"}},
    ),
]
_Limit = Annotated[int, Query(ge=1, le=100, description="How many results at most.")]
_SEARCHES: tuple[tuple[Search, str], ...] = (
    (AsyncSearchRepository.fuzzy, "Find {} however misspelt"),
    (AsyncSearchRepository.full_text, "Find {} by words and phrases"),
    (AsyncSearchRepository.search, "Find {} by words and likeness together"),
    (AsyncSearchRepository.suggest, "Suggest {} while somebody types"),
)
_RESPONSES: dict[int | str, dict[str, Any]] = {
    500: {
        "model": Problem,
        "description": "A fault of the application's",
        "content": {"application/json": {"example": {"detail": _FAULT}}},
    },
    503: {
        "model": Problem,
        "description": "The database is away, too slow, or not migrated",
        "content": {"application/json": {"example": {"detail": _AWAY}}},
        "headers": {"Retry-After": {"description": "In seconds", "schema": {"type": "integer"}}},
    },
}


def create_app(engine: AsyncEngine, *, timeout: float = 5.0) -> FastAPI:
    """Return the application; when it ends it disposes the engine.

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
        summary="Search of tracks and artists, by words, phrases and misspelt names.",
        version=version("pgmodern"),
        lifespan=lifespan,
        responses=_RESPONSES,
        exception_handlers={Exception: _failed},
    )
    ask = _asking(engine, timeout)
    app.include_router(_searches("tracks", music.AsyncTrackRepository, TrackRow, ask))
    app.include_router(_searches("artists", music.AsyncArtistRepository, ArtistRow, ask))
    ask_briefly = _asking(engine, min(timeout, _HEALTH_TIMEOUT))

    @app.get("/healthz", summary="Whether the database answers", tags=["health"])
    async def healthz() -> Health:
        """Ask the database a trivial question, and do not wait long for the answer."""
        await ask_briefly(lambda session: session.execute(select(1)))
        return Health()

    return app


def _searches(
    kind: str, repository: Callable[[AsyncSession], Repository], row: type[BaseModel], ask: Ask
) -> APIRouter:
    router = APIRouter(prefix=f"/api/v1/{kind}", tags=[kind])

    def add(search: Search, summary: str) -> None:
        async def endpoint(q: _Sought, limit: _Limit = 10) -> Any:
            hits = await ask(lambda session: search(repository(session), q, limit))
            return {"query": q, "results": [asdict(hit) for hit in hits]}

        router.add_api_route(
            f"/{search.__name__.replace('_', '-')}",
            endpoint,
            response_model=Results[row],  # type: ignore[valid-type]
            summary=summary.format(kind),
            description=search.__doc__,
            operation_id=f"{search.__name__}_{kind}",
        )

    for each in _SEARCHES:
        add(*each)
    return router


def _asking(engine: AsyncEngine, timeout: float) -> Ask:
    # A read is one statement; without BEGIN and ROLLBACK it is one round trip, too.
    reading = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def once(question: Question) -> Any:
        async with AsyncSession(reading) as session:
            return await question(session)

    async def again_if_lost(question: Question) -> Any:
        try:
            return await once(question)
        except sa.DBAPIError as error:
            if not error.connection_invalidated:
                raise
        # The server had restarted, and with this connection the pool drops all of its age.
        # To ask a read again costs nothing until then; a ping costs every request a round trip.
        return await once(question)

    async def ask(question: Question) -> Any:
        answer = asyncio.create_task(again_if_lost(question))
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(answer)
        except (sa.DBAPIError, sa.TimeoutError, TimeoutError) as error:
            detail = why_unavailable(error)
            if detail is None:
                raise
            log.warning("%s %s", detail, getattr(error, "orig", None) or repr(error))
            raise HTTPException(503, detail, {"Retry-After": str(RETRY_AFTER)}) from error
        finally:
            answer.cancel()  # not waited for: a server that hangs does not take the cancel either

    return ask


def why_unavailable(error: sa.DBAPIError | sa.TimeoutError | TimeoutError) -> str | None:
    """Say why the database cannot answer now; None when the fault is the application's."""
    if not isinstance(error, sa.DBAPIError):
        return _AWAY
    sqlstate = getattr(error.orig, "sqlstate", None)
    if sqlstate is None:  # as libpq has it when no connection could be made
        return _AWAY if isinstance(error, sa.OperationalError) else None
    if sqlstate in _OLD_SCHEMA_STATES:
        return _OLD_SCHEMA
    return _AWAY if sqlstate.startswith(_AWAY_CLASSES) else None


async def _failed(_: Request, __: Exception) -> JSONResponse:
    # Once this is sent, Starlette raises the exception again for the server to log.
    return JSONResponse({"detail": _FAULT}, 500)
