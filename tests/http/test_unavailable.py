"""A database that is away, slow or not migrated is a 503; a fault of our own is a 500."""

import asyncio
import re
import socket
from pathlib import Path

import httpx
import psycopg
import pytest
import uvicorn
from psycopg import errors
from sqlalchemy import URL, exc, text
from sqlalchemy.ext.asyncio import AsyncConnection

from pgmodern.engine import create_async_engine
from pgmodern.http import create_app, why_unavailable
from pgmodern.testing.fixtures import migrate
from tests.http.requests import SEARCHES, Stop, at_port, client_of, found, nowhere, others, until


def assert_unavailable(response: httpx.Response, words: str = "cannot answer now") -> None:
    """The one shape of every 503, which tells nothing of the inside."""
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert response.headers["Content-Type"] == "application/json"
    (detail,) = response.json().values()
    assert words in detail
    assert not re.search(r"psycopg|sqlalchemy|SELECT|127\.0\.0\.1|Traceback", response.text)


WAITS = "wait_event_type = 'Lock'"


async def kill(admin: AsyncConnection, *pids: int) -> None:
    """End sessions of the server, and return when they are gone."""
    for pid in pids:
        assert await admin.scalar(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


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


@pytest.mark.reference
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


@pytest.mark.quick
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


@pytest.mark.quick
def test_an_error_without_a_sqlstate_is_away_only_where_it_is_operational() -> None:
    assert why_unavailable(raised(psycopg.OperationalError("words that nobody reads")))
    assert why_unavailable(raised(psycopg.ProgrammingError("connection refused"))) is None
