"""Samples by vibe over HTTP: what is found, what is refused, and what is done without a model."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from pgmodern.embedders import Embedder, padded
from pgmodern.engine import create_async_engine
from pgmodern.errors import EmbedderError
from pgmodern.http import create_app
from pgmodern.http.audio import SampleRow
from pgmodern.reference.audio import Sample, SampleEmbedding, SampleHit, VibeAnalysis

SEARCH, SIMILAR = "/api/v1/vibe-search/search", "/api/v1/vibe-search/similar"
ODD = "50% :of {it} '\\"


class Words:
    """A model of three dimensions: how often a text says dark, how often bright, and one half."""

    model_name = "words"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array(
            [[text.count("dark"), text.count("bright"), 0.5] for text in texts], np.float32
        )


class Away(Words):
    """A model that does not answer."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise EmbedderError("The secret endpoint is away.", f"Ask it for {len(texts)} later.")


class Slow(Words):
    """A model that answers when it is let go."""

    def __init__(self) -> None:
        self.working, self.go = threading.Event(), threading.Event()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.working.set()
        self.go.wait(10)
        return super().embed(texts)


@asynccontextmanager
async def client_of(
    engine: AsyncEngine, model: Embedder | None, seconds: float = 5.0
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application on this engine and model."""
    app = create_app(engine, timeout=seconds, embedder=model)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


@pytest.fixture
async def library(async_session: AsyncSession) -> None:
    """Five samples; the last has no embedding."""
    texts = ["dark dark", "dark", "dark bright", "bright", "nothing"]
    vectors = padded(Words().embed(texts), 1536)
    for number, (title, vector) in enumerate(zip(texts, vectors, strict=True), start=1):
        async_session.add(Sample(id=number, title=title, bpm=60 + 10 * number, genre=ODD))
        await async_session.flush()
        if number < 5:
            async_session.add(SampleEmbedding(sample_id=number, vibe_vector=vector))
            async_session.add(VibeAnalysis(sample_id=number, mood="calm", energy=number / 10))
    await async_session.commit()


@pytest.fixture
async def client(library: None, database_url: URL) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application on the library, over a pool as in production."""
    async with client_of(create_async_engine(database_url), Words()) as client:
        yield client


def nowhere() -> AsyncEngine:
    """Return an engine on a port where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return create_async_engine(f"postgresql://u:hidden@127.0.0.1:{closed.getsockname()[1]}/d")


async def ids(client: httpx.AsyncClient, query: str, **more: Any) -> list[int]:
    """Return the samples of a search that must succeed."""
    response = await client.post(SEARCH, json={"query": query, **more})
    assert response.status_code == 200, response.text
    assert response.json()["query"] == query
    return [row["sample_id"] for row in response.json()["results"]]


def assert_unavailable(response: httpx.Response, words: str) -> None:
    """The one shape of every 503, which tells nothing of the inside."""
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert words in response.json()["detail"]
    assert "secret" not in response.text


async def test_what_sounds_like_the_query_comes_first_with_all_its_fields(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post(SEARCH, json={"query": " dark \n"})
    assert response.json()["query"] == "dark"
    first, second, *_ = response.json()["results"]
    assert first.pop("similarity") == pytest.approx(1)
    assert first == {
        "sample_id": 2,
        "title": "dark",
        "genre": ODD,
        "musical_key": None,
        "bpm": 80,
        "duration_s": None,
        "mood": "calm",
        "energy": 0.2,
        "descriptors": [],
    }
    assert second["similarity"] == pytest.approx(0.976, abs=1e-3)


async def test_the_threshold_is_0_7_unless_another_is_asked_for(client: httpx.AsyncClient) -> None:
    assert await ids(client, "dark") == [2, 1, 3]
    assert await ids(client, "dark", threshold=0.1) == [2, 1, 3, 4]
    assert await ids(client, "dark", threshold=0.97) == [2, 1]
    assert await ids(client, "dark", limit=1) == [2]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"bpm_min": 80, "bpm_max": 100}, [2, 3, 4]),
        ({"bpm_min": 90}, [3, 4]),
        ({"energy_max": 0.1}, [1]),
        ({"energy_min": 0.2, "energy_max": 0.3, "bpm_max": 80}, [2]),
        ({"genre": ODD}, [2, 1, 3, 4]),
        ({"genre": "other"}, []),
        ({"musical_key": "C"}, []),
        ({}, [2, 1, 3, 4]),
        (None, [2, 1, 3, 4]),
    ],
)
async def test_only_what_passes_the_filters_is_found(
    client: httpx.AsyncClient, filters: dict[str, Any] | None, found: list[int]
) -> None:
    assert await ids(client, "dark", filters=filters, threshold=0) == found


@pytest.mark.quick
async def test_the_others_like_a_sample_are_found(client: httpx.AsyncClient) -> None:
    response = await client.get(f"{SIMILAR}/2", params={"limit": 10})
    assert response.status_code == 200
    assert response.json()["sample_id"] == 2
    assert [row["sample_id"] for row in response.json()["results"]] == [1, 3]
    response = await client.get(f"{SIMILAR}/2", params={"limit": 1, "threshold": 0.1})
    assert [row["sample_id"] for row in response.json()["results"]] == [1]
    response = await client.get(f"{SIMILAR}/4", params={"threshold": 0.99})
    assert response.json() == {"sample_id": 4, "results": []}


@pytest.mark.parametrize("sample", [5, 6, 0, -1, 2**31 - 1, -(2**31)])
async def test_a_sample_that_is_not_there_or_not_embedded_is_404(
    client: httpx.AsyncClient, sample: int
) -> None:
    response = await client.get(f"{SIMILAR}/{sample}")
    assert response.status_code == 404
    assert response.json() == {"detail": "There is no such sample, or it has no embedding."}


BAD = [
    "{}",
    "[]",
    "",
    "{",
    '{"query": ""}',
    '{"query": " "}',
    '{"query": "?!"}',
    '{"query": "a\\u0000b"}',
    '{"query": "a\\ud800"}',
    '{"query": 7}',
    '{"query": null}',
    json.dumps({"query": "a" * 513}),
    '{"query": "a", "limit": 0}',
    '{"query": "a", "limit": 101}',
    '{"query": "a", "limit": 1e400}',
    '{"query": "a", "limit": NaN}',
    '{"query": "a", "threshold": 1.1}',
    '{"query": "a", "threshold": -0.1}',
    '{"query": "a", "threshold": NaN}',
    '{"query": "a", "offset": 1}',
    '{"query": "a", "filters": []}',
    '{"query": "a", "filters": {"bpm": 90}}',
    '{"query": "a", "filters": {"bpm_min": "fast"}}',
    '{"query": "a", "filters": {"bpm_min": NaN}}',
    '{"query": "a", "filters": {"bpm_max": Infinity}}',
    '{"query": "a", "filters": {"bpm_min": 100, "bpm_max": 80}}',
    '{"query": "a", "filters": {"energy_min": 1, "energy_max": 0}}',
    '{"query": "a", "filters": {"genre": "a\\u0000b"}}',
    '{"query": "a", "filters": {"genre": "\\udfff"}}',
    json.dumps({"query": "a", "filters": {"musical_key": "a" * 513}}),
]


@pytest.mark.parametrize("body", BAD, ids=lambda body: body[:60])
async def test_bad_input_is_refused_before_anybody_is_asked(body: str) -> None:
    async with client_of(nowhere(), Away()) as client:
        headers = {"Content-Type": "application/json"}
        response = await client.post(SEARCH, content=body, headers=headers)
    assert response.status_code == 422, response.text
    assert response.json()["detail"]


@pytest.mark.quick
@pytest.mark.parametrize(
    "path",
    ["x", "1.5", str(2**31), "1?limit=0", "1?limit=101", "1?threshold=2", "1?threshold=nan"],
)
async def test_a_bad_sample_is_refused_before_the_database_is_asked(path: str) -> None:
    async with client_of(nowhere(), None) as client:
        response = await client.get(f"{SIMILAR}/{path}")
    assert response.status_code == 422


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_numbers = st.floats() | st.integers(-(10**400), 10**400)
_filters = st.fixed_dictionaries(
    {},
    optional={
        **{f"{what}_{end}": _numbers for what in ("bpm", "energy") for end in ("min", "max")},
        "genre": st.text(),
        "musical_key": _json,
    },
)
_bodies = st.fixed_dictionaries(
    {"query": st.text(st.characters(exclude_categories=[]))},
    optional={"limit": _json, "threshold": _numbers, "filters": _filters},
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=_bodies | _json)
async def test_whatever_is_asked_is_answered_or_refused(
    client: httpx.AsyncClient, body: Any
) -> None:
    headers = {"Content-Type": "application/json"}
    response = await client.post(SEARCH, content=json.dumps(body), headers=headers)
    assert response.status_code in {200, 422}


async def test_numbers_that_json_does_not_have_are_null(
    client: httpx.AsyncClient, async_session: AsyncSession
) -> None:
    await async_session.execute(text("UPDATE samples SET bpm = 'NaN', duration_s = 'Infinity'"))
    await async_session.commit()
    response = await client.post(SEARCH, json={"query": "dark"})
    first, *_ = response.json()["results"]
    assert (first["bpm"], first["duration_s"]) == (None, None)


@pytest.mark.parametrize("model", [None, Away()], ids=["none", "away"])
async def test_without_the_model_a_search_is_503_and_the_rest_goes_on(
    library: None,
    database_url: URL,
    model: Embedder | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with client_of(create_async_engine(database_url), model) as client:
        response = await client.post(SEARCH, json={"query": "dark"})
        assert_unavailable(response, "embedding model cannot answer")
        assert (await client.get(f"{SIMILAR}/2")).status_code == 200
    assert ("secret endpoint" if model else "given no embedding model") in caplog.text


async def test_a_model_at_work_blocks_nobody(library: None, database_url: URL) -> None:
    model = Slow()
    async with client_of(create_async_engine(database_url), model, seconds=60) as client:
        request = asyncio.create_task(client.post(SEARCH, json={"query": "dark"}))
        await asyncio.to_thread(model.working.wait, 10)
        assert (await client.get(f"{SIMILAR}/2")).status_code == 200
        assert not request.done()
        model.go.set()
        assert (await request).status_code == 200


async def test_a_model_that_is_too_slow_is_503(library: None, database_url: URL) -> None:
    model = Slow()
    async with client_of(create_async_engine(database_url), model, seconds=0.4) as client:
        response = await client.post(SEARCH, json={"query": "dark"})
        assert_unavailable(response, "embedding model cannot answer")
        model.go.set()


async def test_a_database_that_is_away_is_503() -> None:
    async with client_of(nowhere(), Words()) as client:
        for response in (
            await client.post(SEARCH, json={"query": "dark"}),
            await client.get(f"{SIMILAR}/2"),
        ):
            assert_unavailable(response, "database cannot answer now")


async def test_an_empty_database_asks_for_the_migrations(empty_database_url: URL) -> None:
    async with client_of(create_async_engine(empty_database_url), Words()) as client:
        for response in (
            await client.post(SEARCH, json={"query": "dark"}),
            await client.get(f"{SIMILAR}/2"),
        ):
            assert_unavailable(response, "alembic upgrade head")


def test_a_row_is_documented_field_by_field() -> None:
    assert list(SampleRow.model_fields) == [field.name for field in fields(SampleHit)]


@pytest.mark.quick
async def test_the_openapi_document_has_examples_that_are_answered(
    client: httpx.AsyncClient,
) -> None:
    document = (await client.get("/openapi.json")).json()
    search = document["paths"][SEARCH]["post"]
    similar = document["paths"][f"{SIMILAR}/{{sample_id}}"]["get"]
    for operation, codes in ((search, {"422"}), (similar, {"404", "422"})):
        assert operation["summary"]
        assert operation["description"]
        assert set(operation["responses"]) == {"200", "500", "503"} | codes
    (example,) = document["components"]["schemas"]["VibeSearch"]["examples"]
    assert (await client.post(SEARCH, json=example)).status_code == 200
    assert example["filters"] == {"bpm_min": 80, "bpm_max": 100}
