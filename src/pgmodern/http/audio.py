"""Samples by what they sound like."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Self

import numpy as np
from fastapi import APIRouter, HTTPException, Path, Query
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from pgmodern.embedders import AsyncEmbedder, Embedder
from pgmodern.errors import EmbedderError
from pgmodern.http.asking import Ask
from pgmodern.http.shapes import Limit, Problem, Results, Text
from pgmodern.queries.text import LONGEST
from pgmodern.reference.audio import AsyncSampleRepository
from pgmodern.reference.audio.statements import THRESHOLD

_SMALLEST, _LARGEST = -(2**31), 2**31 - 1
_ALIKE = "The least similarity of a result."
_NO_SAMPLE = "There is no such sample, or it has no embedding."


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("a NUL cannot be searched for")
    return text


_Name = Annotated[str, StringConstraints(max_length=LONGEST), AfterValidator(_storable)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Threshold = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class VibeFilters(BaseModel):
    """What a sample has to meet; bounds are included, names are compared exactly."""

    model_config = ConfigDict(extra="forbid")

    bpm_min: _Number | None = Field(None, examples=[80])
    bpm_max: _Number | None = Field(None, examples=[100])
    genre: _Name | None = Field(None, examples=["hip hop"])
    musical_key: _Name | None = Field(None, examples=["F# minor"])
    energy_min: _Number | None = Field(None, examples=[0.2])
    energy_max: _Number | None = Field(None, examples=[0.6])

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for what in ("bpm", "energy"):
            low, high = getattr(self, f"{what}_min"), getattr(self, f"{what}_max")
            if low is not None and high is not None and low > high:
                raise ValueError(f"{what}_min is greater than {what}_max")
        return self


class VibeSearch(BaseModel):
    """What to search for."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "query": "dark moody loop",
                    "limit": 5,
                    "filters": {"bpm_min": 80, "bpm_max": 100},
                }
            ]
        },
    )

    query: Text = Field(description="How it sounds: at least one letter or digit.")
    limit: int = Field(10, ge=1, le=100, description="How many results at most.")
    threshold: _Threshold = Field(THRESHOLD, description=_ALIKE)
    filters: VibeFilters | None = None


class SampleRow(BaseModel):
    """A sample that a search found."""

    sample_id: int = Field(examples=[4711])
    title: str = Field(examples=["Night Drive"])
    genre: str | None = Field(examples=["hip hop"])
    musical_key: str | None = Field(examples=["F# minor"])
    bpm: float | None = Field(examples=[92.0])
    duration_s: float | None = Field(examples=[7.5])
    mood: str | None = Field(examples=["dark"])
    energy: float | None = Field(examples=[0.4])
    descriptors: Any = Field(examples=[["gritty", "moody"]])
    similarity: float = Field(
        ge=0,
        le=1,
        description="1 less the cosine distance of the vectors, at least 0. 1 is best.",
        examples=[0.83],
    )


class SimilarSamples(BaseModel):
    """The samples that are most like one, the best first."""

    sample_id: int = Field(examples=[17])
    results: list[SampleRow]


class _Bounded(AsyncEmbedder):
    """A model that has so many seconds."""

    def __init__(self, embedder: Embedder, seconds: float) -> None:
        super().__init__(embedder)
        self._seconds = seconds

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        try:
            async with asyncio.timeout(self._seconds):
                return await super().embed(texts)
        except TimeoutError as error:
            raise EmbedderError(
                f"{self.model_name} did not answer in {self._seconds:g} s.", "Try again later."
            ) from error


def router(ask: Ask, embedder: Embedder | None, seconds: float) -> APIRouter:
    """Return the routes; the model has so many seconds for a text."""
    routes = APIRouter(prefix="/api/v1/vibe-search", tags=["vibe-search"])
    model = None if embedder is None else _Bounded(embedder, seconds)

    @routes.post("/search", summary="Find samples by how they sound")
    async def search_by_vibe(wanted: VibeSearch) -> Results[SampleRow]:
        """Find the samples that sound most like a text, among those that pass the filters."""
        filters = wanted.filters.model_dump() if wanted.filters else {}
        hits = await ask(
            lambda session: AsyncSampleRepository(session, model).search_by_vibe(
                wanted.query, wanted.limit, threshold=wanted.threshold, **filters
            )
        )
        return Results[SampleRow](query=wanted.query, results=_rows(hits))

    @routes.get(
        "/similar/{sample_id}",
        summary="Find samples that sound like one",
        responses={404: {"model": Problem, "description": _NO_SAMPLE}},
    )
    async def find_similar(
        sample_id: Annotated[int, Path(ge=_SMALLEST, le=_LARGEST)],
        limit: Limit = 10,
        threshold: Annotated[
            _Threshold, Query(description="How alike they have to be.")
        ] = THRESHOLD,
    ) -> SimilarSamples:
        """Find the other samples whose embeddings are nearest to this one's."""
        hits = await ask(
            lambda session: AsyncSampleRepository(session).find_similar(
                sample_id, limit, threshold=threshold
            )
        )
        if hits is None:
            raise HTTPException(404, _NO_SAMPLE)
        return SimilarSamples(sample_id=sample_id, results=_rows(hits))

    return routes


def _rows(hits: Sequence[Any]) -> list[SampleRow]:
    return [SampleRow(**asdict(hit)) for hit in hits]
