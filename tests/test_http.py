"""Search over HTTP: what is found, what is refused, and what happens without the database."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import fields
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import errors
from pydantic import BaseModel
from sqlalchemy import URL, exc, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from pgmodern.engine import create_async_engine
from pgmodern.http import ArtistRow, TrackRow, create_app, why_unavailable
from pgmodern.pytest_plugin import migrate
from pgmodern.reference.music import Artist, ArtistHit, Track, TrackHit

SEARCHES = [
    f"/api/v1/{kind}/{search}"
    for kind in ("tracks", "artists")
    for search in ("fuzzy", "full-text", "search", "suggest")
]
ALBUMS = {
    "The Beatles": ("Revolver", ["Yellow Submarine", "Eleanor Rigby", "Here, There & Everywhere"]),
    "Beyoncé": (None, ["Halo", "Déjà Vu"]),
    "Сплин": (None, ["Выхода нет"]),
    "<img src=x onerror=alert(1) image": (None, ["a < b & 'all' love", "<<b>bold</b> love"]),
    "100%_proof": (None, ["It's 'over'; DROP TABLE tracks; --"]),
}
Stop = Callable[[], Awaitable[None]]


@asynccontextmanager
async def client_of(
    engine: AsyncEngine, seconds: float = 5.0, *, raising: bool = True
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application on this engine; closed by the application's own lifespan."""
    app = create_app(engine, timeout=seconds)
    transport = httpx.ASGITransport(app, raise_app_exceptions=raising)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


@pytest.fixture
async def library(async_session: AsyncSession) -> None:
    """A few artists and tracks, committed."""
    for name, (album, titles) in ALBUMS.items():
        artist = Artist(name=name)
        async_session.add(artist)
        await async_session.flush()
        async_session.add_all(
            Track(artist_id=artist.id, title=title, album=album) for title in titles
        )
    await async_session.commit()


@pytest.fixture
async def client(library: None, database_url: URL) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application on the library, over a pool as in production."""
    async with client_of(create_async_engine(database_url)) as client:
        yield client


@pytest.fixture
async def admin(async_engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection beside the application's, in autocommit mode."""
    async with async_engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")


@pytest.fixture
async def locked(async_engine: AsyncEngine) -> AsyncIterator[Stop]:
    """Have every search wait until the test calls what this returns."""
    async with async_engine.connect() as connection:
        await connection.execute(text("LOCK TABLE artists, tracks IN ACCESS EXCLUSIVE MODE"))
        yield connection.rollback


def at_port(listening: socket.socket) -> AsyncEngine:
    """Return an engine on something that listens but is no PostgreSQL."""
    return create_async_engine(f"postgresql://u:hidden@127.0.0.1:{listening.getsockname()[1]}/d")


def nowhere() -> AsyncEngine:
    """Return an engine on a port where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return at_port(closed)


async def found(client: httpx.AsyncClient, path: str, q: str, **more: Any) -> list[dict[str, Any]]:
    """Return the rows of a search that must succeed."""
    response = await client.get(f"/api/v1/{path}", params={"q": q, **more})
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["query"] == q.strip()
    assert all(0 <= row["score"] <= 1 for row in body["results"])
    return list(body["results"])


def assert_unavailable(response: httpx.Response, words: str = "cannot answer now") -> None:
    """The one shape of every 503, which tells nothing of the inside."""
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert response.headers["Content-Type"] == "application/json"
    (detail,) = response.json().values()
    assert words in detail
    assert not re.search(r"psycopg|sqlalchemy|SELECT|127\.0\.0\.1|Traceback", response.text)


async def others(admin: AsyncConnection, condition: str) -> list[int]:
    """Return the other sessions in this database of which the condition holds."""
    asked = text(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
        f"AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND {condition}"
    )
    return list(await admin.scalars(asked))


async def until(admin: AsyncConnection, condition: str, count: int) -> list[int]:
    """Ask until exactly so many other sessions meet the condition, and return them."""
    async with asyncio.timeout(10):
        while len(pids := await others(admin, condition)) != count:
            pass
    return pids


WAITS = "wait_event_type = 'Lock'"


async def kill(admin: AsyncConnection, *pids: int) -> None:
    """End sessions of the server, and return when they are gone."""
    for pid in pids:
        assert await admin.scalar(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


async def test_a_misspelt_title_is_found(client: httpx.AsyncClient) -> None:
    first, *_ = await found(client, "tracks/fuzzy", "yelow submarin")
    assert first.pop("score") > 0.5
    assert isinstance(first.pop("id"), int)
    assert first == {
        "title": "Yellow Submarine",
        "artist": "The Beatles",
        "album": "Revolver",
        "highlight": None,
    }


async def test_a_misspelt_artist_is_found(client: httpx.AsyncClient) -> None:
    first, *_ = await found(client, "artists/fuzzy", "the beetles")
    assert set(first) == {"id", "name", "score", "highlight"}
    assert first["name"] == "The Beatles"


async def test_a_phrase_is_found_and_highlighted(client: httpx.AsyncClient) -> None:
    (row,) = await found(client, "tracks/full-text", '"yellow submarine" -rain')
    assert row["highlight"] == "<b>Yellow</b> <b>Submarine</b> / Revolver"
    assert await found(client, "tracks/full-text", '"submarine yellow"') == []


async def test_words_of_an_artist_are_found_without_their_accents(
    client: httpx.AsyncClient,
) -> None:
    (row,) = await found(client, "artists/full-text", "beyonce")
    assert row["highlight"] == "<b>Beyoncé</b>"


@pytest.mark.parametrize(
    ("kind", "q", "name"),
    [("tracks", "yellow", "Yellow Submarine"), ("artists", "beatles", "The Beatles")],
)
async def test_the_combined_search_finds_what_one_word_is_enough_for(
    client: httpx.AsyncClient, kind: str, q: str, name: str
) -> None:
    first, *_ = await found(client, f"{kind}/search", q)
    assert name in first.values()
    assert first["highlight"] is None


@pytest.mark.parametrize(
    ("kind", "q", "name"), [("tracks", "elea", "Eleanor Rigby"), ("artists", "BEY", "Beyoncé")]
)
async def test_a_beginning_is_completed(
    client: httpx.AsyncClient, kind: str, q: str, name: str
) -> None:
    (row,) = await found(client, f"{kind}/suggest", q)
    assert name in row.values()


@pytest.mark.parametrize("search", ["fuzzy", "full-text", "search", "suggest"])
async def test_other_alphabets_are_searched_alike(client: httpx.AsyncClient, search: str) -> None:
    (row, *_) = await found(client, f"tracks/{search}", "выхода")
    assert row["artist"] == "Сплин"


INJECTIONS = (
    "'; DROP TABLE tracks; --",
    "x' OR '1'='1",
    '"unclosed (phrase & | ! <-> :* \\',
    "%a_",
    "-not -anything or or",
    "{a}:b%(c)s$1",
    "\U0001f600 a \u202e \u200b\ufeff",
    "a" * 512,
)


async def test_operators_and_injections_are_only_text(client: httpx.AsyncClient) -> None:
    for path, q in product(SEARCHES, INJECTIONS):
        response = await client.get(path, params={"q": q})
        assert (response.status_code, response.json()["query"]) == (200, q)
    assert await found(client, "tracks/suggest", "Halo")


async def test_wildcards_match_themselves_alone(client: httpx.AsyncClient) -> None:
    (row,) = await found(client, "artists/suggest", "100%_")
    assert row["name"] == "100%_proof"
    assert await found(client, "artists/suggest", "1%_") == []


@pytest.mark.parametrize(
    ("parameters", "name", "kind"),
    [
        ({}, "q", "missing"),
        ({"q": ""}, "q", "string_too_short"),
        ({"q": " \t\u3000"}, "q", "string_too_short"),
        ({"q": "a" * 513}, "q", "string_too_long"),
        ({"q": "?! __ %"}, "q", "value_error"),
        ({"q": "a\x00b"}, "q", "value_error"),
        ({"q": "\x00"}, "q", "value_error"),
        ({"q": "a", "limit": 0}, "limit", "greater_than_equal"),
        ({"q": "a", "limit": -1}, "limit", "greater_than_equal"),
        ({"q": "a", "limit": 101}, "limit", "less_than_equal"),
        ({"q": "a", "limit": "9" * 5000}, "limit", "int_parsing_size"),
        ({"q": "a", "limit": "ten"}, "limit", "int_parsing"),
    ],
)
async def test_bad_input_is_refused_before_the_database_is_asked(
    parameters: dict[str, Any], name: str, kind: str
) -> None:
    async with client_of(nowhere()) as client:
        for path in SEARCHES:
            response = await client.get(path, params=parameters)
            assert response.status_code == 422
            (error,) = response.json()["detail"]
            assert (error["loc"], error["type"]) == (["query", name], kind)


async def test_what_surrounds_a_text_does_not_count(client: httpx.AsyncClient) -> None:
    assert await found(client, "tracks/suggest", f"{' ' * 600}halo\n")


async def test_no_more_than_the_limit_is_returned(client: httpx.AsyncClient) -> None:
    assert len(await found(client, "tracks/full-text", "revolver")) == 3
    assert len(await found(client, "tracks/full-text", "revolver", limit=2)) == 2


async def test_a_highlight_is_escaped_for_html(client: httpx.AsyncClient) -> None:
    rows = await found(client, "tracks/full-text", "love")
    highlights = {row["title"]: row["highlight"] for row in rows}
    assert highlights["a < b & 'all' love"] == "a &lt; b &amp; &#x27;all&#x27; <b>love</b>"
    assert highlights["<<b>bold</b> love"] == "&lt;&lt;b&gt;bold&lt;/b&gt; <b>love</b>"
    (row,) = await found(client, "artists/full-text", "image")
    assert row["highlight"] == "&lt;img src=x onerror=alert(1) <b>image</b>"


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(title=st.text(alphabet="<>/b &;l\"'tg-!love", max_size=60))
async def test_the_highlight_of_any_title_is_balanced_and_holds_no_other_tag(
    admin: AsyncConnection, client: httpx.AsyncClient, title: str
) -> None:
    await admin.execute(text("UPDATE tracks SET title = :title, album = 'love'"), {"title": title})
    rows = await found(client, "tracks/full-text", "love")
    assert rows
    for row in rows:
        without = re.sub(r"<b>[^<>]*</b>", "", row["highlight"])
        assert not re.search(r"[<>\"']", without)


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    path=st.sampled_from(SEARCHES),
    q=st.one_of(
        st.text(max_size=40).map(quote),
        st.text(alphabet="aB9é'\"\\-|&!():*<>%_ $@\x00\t", max_size=40).map(quote),
        st.binary(max_size=40).map(quote),
        st.text(min_size=500, max_size=520).map(quote),
    ),
)
async def test_whatever_is_asked_is_answered_or_refused(
    client: httpx.AsyncClient, path: str, q: str
) -> None:
    response = await client.get(f"{path}?q={q}")
    assert response.status_code in {200, 422}


async def test_healthz_says_ok(client: httpx.AsyncClient) -> None:
    response = await client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_a_request_is_one_statement_without_begin_and_rollback(
    client: httpx.AsyncClient, admin: AsyncConnection
) -> None:
    await found(client, "tracks/fuzzy", "halo")
    await until(admin, "state = 'idle' AND query LIKE '%tracks%' AND query NOT LIKE 'LOCK%'", 1)


@pytest.mark.parametrize("path", [f"{SEARCHES[0]}?q=a", "/healthz"])
async def test_a_closed_port_is_503(path: str, caplog: pytest.LogCaptureFixture) -> None:
    async with client_of(nowhere()) as client:
        assert_unavailable(await client.get(path))
    assert "refused" in caplog.text
    assert "hidden" not in caplog.text


@pytest.mark.parametrize("path", [f"{SEARCHES[0]}?q=a", "/healthz"])
async def test_a_server_that_accepts_and_says_nothing_is_503(path: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with client_of(at_port(listening), seconds=0.2) as client, asyncio.timeout(10):
            assert_unavailable(await client.get(path))


async def test_a_server_with_no_connection_left_is_503(
    database_url: URL, admin: AsyncConnection
) -> None:
    role = f"{database_url.database}_limited"
    await admin.execute(text(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0 PASSWORD 'hidden'"))
    limited = database_url.set(username=role, password="hidden")
    try:
        async with client_of(create_async_engine(limited)) as client:
            assert_unavailable(await client.get("/healthz"))
    finally:
        await admin.execute(text(f"DROP ROLE {role}"))


async def test_a_pool_with_no_connection_left_is_503(database_url: URL) -> None:
    engine = create_async_engine(database_url, pool_size=1, max_overflow=0, pool_timeout=0.1)
    async with client_of(engine) as client:
        async with engine.connect():
            assert_unavailable(await client.get("/healthz"))
        assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize("path", [f"{SEARCHES[0]}?q=halo", "/healthz"])
async def test_after_a_restart_of_the_server_the_next_request_is_answered(
    client: httpx.AsyncClient, admin: AsyncConnection, path: str
) -> None:
    assert (await asyncio.gather(*(client.get("/healthz") for _ in range(3))))[0].is_success
    pooled = await until(admin, "state = 'idle'", 3)
    await kill(admin, *pooled)
    assert (await client.get(path)).status_code == 200
    assert not set(await others(admin, "true")) & set(pooled)


async def test_a_query_whose_session_is_killed_is_asked_once_more(
    client: httpx.AsyncClient, admin: AsyncConnection, locked: Stop
) -> None:
    request = asyncio.create_task(client.get(SEARCHES[0], params={"q": "halo"}))
    await kill(admin, *await until(admin, WAITS, 1))
    await until(admin, WAITS, 1)
    await locked()
    assert (await request).json()["results"][0]["title"] == "Halo"


async def test_a_query_whose_session_is_killed_twice_is_503_and_the_next_is_answered(
    client: httpx.AsyncClient, admin: AsyncConnection, locked: Stop
) -> None:
    request = asyncio.create_task(client.get(SEARCHES[0], params={"q": "halo"}))
    for _ in range(2):
        await kill(admin, *await until(admin, WAITS, 1))
    assert_unavailable(await request)
    await locked()
    assert await found(client, "tracks/fuzzy", "halo")


async def test_a_query_that_is_too_slow_is_503_and_cancelled_on_the_server(
    library: None, database_url: URL, admin: AsyncConnection, locked: Stop
) -> None:
    async with client_of(create_async_engine(database_url), seconds=1.0) as client:
        asked = (client.get(path, params={"q": "halo"}) for path in SEARCHES)
        async with asyncio.timeout(10):
            responses = await asyncio.gather(*asked)
        for response in responses:
            assert_unavailable(response)
        await until(admin, "state = 'active'", 0)
        await locked()
        assert await found(client, "tracks/fuzzy", "halo")


async def test_a_server_that_does_not_take_the_cancel_is_not_waited_for(
    library: None, database_url: URL, admin: AsyncConnection
) -> None:
    await admin.execute(
        text(
            "CREATE OR REPLACE FUNCTION similarity(text, text) RETURNS real LANGUAGE plpgsql AS $$ "
            "BEGIN PERFORM pg_sleep(60); RETURN 0; "
            "EXCEPTION WHEN query_canceled THEN PERFORM pg_sleep(60); RETURN 0; END $$"
        )
    )
    async with client_of(create_async_engine(database_url), seconds=0.3) as client:
        async with asyncio.timeout(5):
            assert_unavailable(await client.get(SEARCHES[0], params={"q": "halo"}))
        await kill(admin, *await until(admin, "wait_event = 'PgSleep'", 1))


async def test_a_statement_timeout_of_the_server_is_503(
    library: None, database_url: URL, locked: Stop
) -> None:
    impatient = {"options": "-c statement_timeout=50"}
    async with client_of(create_async_engine(database_url, connect_args=impatient)) as client:
        assert_unavailable(await client.get(SEARCHES[0], params={"q": "halo"}))


async def test_an_empty_database_asks_for_the_migrations(empty_database_url: URL) -> None:
    async with client_of(create_async_engine(empty_database_url)) as client:
        for path in SEARCHES:
            response = await client.get(path, params={"q": "halo"})
            assert_unavailable(response, "alembic upgrade head")
        assert (await client.get("/healthz")).status_code == 200


async def test_a_half_migrated_database_answers_or_asks_for_the_migrations(
    empty_database_url: URL, alembic_ini: Path
) -> None:
    async with client_of(create_async_engine(empty_database_url)) as client:
        for revision in ("0001", "0002", "0006", "0007", "head"):
            await asyncio.to_thread(migrate, empty_database_url, alembic_ini, revision)
            for path in SEARCHES:
                response = await client.get(path, params={"q": "halo"})
                if response.status_code != 200:
                    assert revision != "head"
                    assert_unavailable(response, "alembic upgrade head")


@pytest.fixture
async def broken(library: None, admin: AsyncConnection) -> None:
    """Have typo-tolerant search fail for a reason of its own."""
    await admin.execute(
        text(
            "CREATE OR REPLACE FUNCTION similarity(text, text) RETURNS real "
            "LANGUAGE plpgsql AS $$ BEGIN RAISE 'internal matter'; END $$"
        )
    )


async def test_a_fault_of_our_own_is_a_500_that_tells_nothing(
    broken: None, database_url: URL
) -> None:
    engine = create_async_engine(database_url)
    async with client_of(engine, raising=False) as client:
        response = await client.get(SEARCHES[0], params={"q": "halo"})
    assert response.status_code == 500
    assert response.json() == {"detail": "Internal server error."}


async def test_a_real_server_answers_logs_the_fault_once_and_leaves_no_session_behind(
    broken: None, database_url: URL, admin: AsyncConnection, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(create_async_engine(database_url))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(server.serve([listening]))
        at = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=at, trust_env=False) as client:
            assert (await client.get("/healthz")).json() == {"status": "ok"}
            response = await client.get(SEARCHES[0], params={"q": "halo"})
        server.should_exit = True
        await serving
    assert (response.status_code, "internal" in response.text) == (500, False)
    (fault,) = (record for record in caplog.records if record.exc_info)
    assert fault.exc_info is not None
    assert isinstance(fault.exc_info[1], exc.DBAPIError)
    await until(admin, "true", 0)


def raised(error: psycopg.Error) -> exc.DBAPIError:
    """Return the error as SQLAlchemy raises it."""
    wrapped = exc.DBAPIError.instance("SELECT", {}, error, psycopg.Error)
    assert isinstance(wrapped, exc.DBAPIError)
    return wrapped


@pytest.mark.parametrize(
    "sqlstate", ["08006", "53000", "53300", "57014", "57P01", "57P02", "57P03", "57P05"]
)
def test_that_the_database_is_away_is_told_by_the_sqlstate(sqlstate: str) -> None:
    error = errors.lookup(sqlstate)("words that nobody reads")
    assert "cannot answer now" in str(why_unavailable(raised(error)))


@pytest.mark.parametrize("sqlstate", ["42P01", "42703", "42883", "42704", "3F000"])
def test_that_migrations_are_missing_is_told_by_the_sqlstate(sqlstate: str) -> None:
    error = errors.lookup(sqlstate)("words that nobody reads")
    assert "alembic upgrade head" in str(why_unavailable(raised(error)))


@pytest.mark.parametrize("sqlstate", ["22021", "42501", "42601", "40P01", "XX000", "P0001"])
def test_any_other_sqlstate_is_a_fault_of_the_application(sqlstate: str) -> None:
    assert why_unavailable(raised(errors.lookup(sqlstate)("connection refused"))) is None


def test_an_error_without_a_sqlstate_is_away_only_where_it_is_operational() -> None:
    assert why_unavailable(raised(psycopg.OperationalError("words that nobody reads")))
    assert why_unavailable(raised(psycopg.ProgrammingError("connection refused"))) is None


@pytest.mark.parametrize(("row", "hit"), [(TrackRow, TrackHit), (ArtistRow, ArtistHit)])
def test_a_row_is_documented_field_by_field(row: type[BaseModel], hit: type[Any]) -> None:
    assert list(row.model_fields) == [field.name for field in fields(hit)]


async def test_the_openapi_document_lists_every_path_with_its_errors(
    client: httpx.AsyncClient,
) -> None:
    document = (await client.get("/openapi.json")).json()
    assert document["info"]["version"] == version("pgmodern")
    assert set(document["paths"]) > {*SEARCHES, "/healthz"}
    operations = {path: document["paths"][path]["get"] for path in (*SEARCHES, "/healthz")}
    assert len({operation["operationId"] for operation in operations.values()}) == 9
    for path, operation in operations.items():
        assert operation["summary"]
        assert operation["description"]
        assert "Retry-After" in operation["responses"]["503"]["headers"]
        expected = {"200", "500", "503"} | ({"422"} if path in SEARCHES else set())
        assert set(operation["responses"]) == expected
    q, limit = operations[SEARCHES[0]]["parameters"]
    assert (q["schema"]["minLength"], q["schema"]["maxLength"], q["required"]) == (1, 512, True)
    bounds = [limit["schema"][key] for key in ("minimum", "maximum", "default")]
    assert bounds == [1, 100, 10]
