"""Tracks and artists, by words, phrases and misspelt names."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from pgmodern.http.asking import Ask
from pgmodern.http.shapes import Limit, Results, Text
from pgmodern.reference import music
from pgmodern.repositories import AsyncSearchRepository

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


_Sought = Annotated[
    Text,
    Query(
        description="What to search for: at least one letter or digit.",
        openapi_examples={"misspelt": {"value": "yelow submarine"}},
    ),
]
_SEARCHES: tuple[tuple[Search, str], ...] = (
    (AsyncSearchRepository.fuzzy, "Find {} however misspelt"),
    (AsyncSearchRepository.full_text, "Find {} by words and phrases"),
    (AsyncSearchRepository.search, "Find {} by words and likeness together"),
    (AsyncSearchRepository.suggest, "Suggest {} while somebody types"),
)


def routers(ask: Ask) -> tuple[APIRouter, ...]:
    """Return the routes of each kind."""
    return (
        _searches("tracks", music.AsyncTrackRepository, TrackRow, ask),
        _searches("artists", music.AsyncArtistRepository, ArtistRow, ask),
    )


def _searches(
    kind: str, repository: Callable[[AsyncSession], Repository], row: type[BaseModel], ask: Ask
) -> APIRouter:
    router = APIRouter(prefix=f"/api/v1/{kind}", tags=[kind])

    def add(search: Search, summary: str) -> None:
        async def endpoint(q: _Sought, limit: Limit = 10) -> Any:
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
