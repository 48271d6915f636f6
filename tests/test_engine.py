"""Engines for application code."""

import asyncio
import sys
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from benchmarks import pgbouncer
from benchmarks import pooled as load
from sqlalchemy import (
    URL,
    BigInteger,
    Boolean,
    Connection,
    Date,
    DateTime,
    Double,
    Engine,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    Text,
    Uuid,
    cast,
    literal,
    select,
    text,
)
from sqlalchemy import create_engine as sa_create_engine
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.exc import DBAPIError, NotSupportedError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool, QueuePool
from sqlalchemy.types import TypeEngine

from pgmodern.engine import (
    MINIMUM_SERVER,
    PRESETS,
    create_async_engine,
    create_engine,
    is_pooled,
    require_server,
    unavailable,
)
from pgmodern.errors import PackageUnavailable, ServerTooOld, SettingsError
from pgmodern.locks import driver

# Nothing listens there, so whatever connects fails.
NOWHERE = "postgresql://ann:geheim@127.0.0.1:1/db"

Create = Callable[..., Engine | AsyncEngine]
both = pytest.mark.parametrize("create", [create_engine, create_async_engine])


@both
def test_making_an_engine_opens_nothing(create: Create) -> None:
    assert repr(create(NOWHERE).url) == "postgresql+psycopg://ann:***@127.0.0.1:1/db"


@both
@pytest.mark.parametrize("scheme", ["postgres", "postgresql+psycopg", "postgresql+psycopg2"])
def test_an_engine_takes_any_postgresql_url(create: Create, scheme: str) -> None:
    url = create(f"{scheme}://h/db?application_name=shop").url
    assert str(url) == "postgresql+psycopg://h/db?application_name=shop"


@both
@pytest.mark.parametrize("url", ["mysql://h/db", "geheim", "postgresql://ann:x@h:geheim/db"])
def test_an_engine_takes_no_other_url_and_does_not_show_it(create: Create, url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        create(url)
    assert "geheim" not in str(raised.value)


def _prepared_after_ten(connection: Connection) -> int:
    for number in range(10):
        connection.execute(select(literal(number, Integer).label("mark")))
    prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%% AS mark'"
    return int(connection.exec_driver_sql(prepared).scalar_one())


def test_the_caller_s_decoder_of_json_wins(postgres_url: URL) -> None:
    engine = create_engine(postgres_url, poolclass=NullPool, json_deserializer=len)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT CAST('[1, 2]' AS jsonb)").scalar() == 6


def test_a_repeated_statement_is_prepared_once(postgres_url: URL) -> None:
    with create_engine(postgres_url, poolclass=NullPool).connect() as connection:
        assert _prepared_after_ten(connection) == 1


PLAYS = text("SELECT id, plays FROM songs")


def _on_three_at_once(engine: Engine) -> None:
    """Run a query often enough to be prepared, on three connections that are open together."""
    with ExitStack() as stack:
        for connection in [stack.enter_context(engine.connect()) for _ in range(3)]:
            for _ in range(7):
                connection.execute(PLAYS)
            connection.commit()  # a rollback would end what is prepared


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "AUTOCOMMIT"])
def test_a_statement_that_an_altered_table_outdated_fails_once_in_the_whole_pool(
    empty_database_url: URL, connect: Callable[[URL], psycopg.Connection], isolation: str
) -> None:
    database = connect(empty_database_url)
    database.execute("CREATE TABLE songs (id int, plays int)")
    engine = create_engine(empty_database_url, pool_size=3, isolation_level=isolation)
    _on_three_at_once(engine)
    database.execute("ALTER TABLE songs ALTER plays TYPE bigint")
    with pytest.raises(NotSupportedError) as raised, engine.connect() as connection:
        connection.execute(PLAYS)
    assert raised.value.connection_invalidated
    _on_three_at_once(engine)
    engine.dispose()


@pytest.mark.quick
async def test_asynchronous_code_sees_an_outdated_statement_once_too(
    empty_database_url: URL, connect: Callable[[URL], psycopg.Connection]
) -> None:
    database = connect(empty_database_url)
    database.execute("CREATE TABLE songs (id int, plays int)")
    engine = create_async_engine(empty_database_url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        for _ in range(7):
            await connection.execute(PLAYS)
        database.execute("ALTER TABLE songs ALTER plays TYPE bigint")
        with pytest.raises(NotSupportedError, match="cached plan"):
            await connection.execute(PLAYS)
        await connection.rollback()
        assert (await connection.execute(PLAYS)).all() == []
    await engine.dispose()


def test_what_is_not_supported_for_another_reason_keeps_the_connection(postgres_url: URL) -> None:
    with create_engine(postgres_url, poolclass=NullPool).connect() as connection:
        with pytest.raises(NotSupportedError) as raised:
            connection.execute(text("SELECT count(*) FROM pg_class FOR UPDATE"))
        assert not raised.value.connection_invalidated
        assert not connection.invalidated


def test_what_the_caller_says_of_the_connection_wins(postgres_url: URL) -> None:
    options = {"prepare_threshold": None, "application_name": "shop"}
    engine = create_engine(postgres_url, connect_args=options, poolclass=NullPool)
    with engine.connect() as connection:
        assert _prepared_after_ten(connection) == 0
        assert connection.execute(text("SHOW application_name")).scalar_one() == "shop"


@both
def test_a_preset_sizes_the_pool_and_what_the_caller_says_wins(create: Create) -> None:
    pool = create(NOWHERE, preset="web").pool
    assert isinstance(pool, QueuePool)
    assert (pool.size(), pool.timeout(), pool._max_overflow, pool._recycle) == (10, 5, 0, 1800)
    pool = create(NOWHERE, preset="worker", pool_size=7).pool
    assert isinstance(pool, QueuePool)
    assert (pool.size(), pool.timeout(), pool._max_overflow) == (7, 30, 0)
    assert isinstance(create(NOWHERE, preset="serverless").pool, NullPool)


@pytest.mark.quick
@both
def test_an_unknown_preset_is_refused_with_those_that_there_are(create: Create) -> None:
    with pytest.raises(SettingsError, match=r"'huge'(?s:.*)web, worker, serverless"):
        create(NOWHERE, preset="huge")


def test_no_preset_pings() -> None:
    for preset in PRESETS:
        assert not create_engine(NOWHERE, preset=preset).pool._pre_ping


@pytest.mark.parametrize("in_the_url", [True, False])
def test_through_pgbouncer_nothing_is_prepared(
    in_the_url: bool, empty_database_url: URL, pooled: Callable[..., URL]
) -> None:
    url = pooled(empty_database_url)
    named = url.update_query_dict({"pgbouncer": "true"})
    engine = create_engine(named) if in_the_url else create_engine(url, pgbouncer=True)
    with engine.connect() as connection:
        assert _prepared_after_ten(connection) == 0
        assert is_pooled(driver(connection))
    engine.dispose()
    with create_engine(empty_database_url, poolclass=NullPool).connect() as connection:
        assert not is_pooled(driver(connection))


@pytest.mark.quick
@both
def test_pgbouncer_is_an_option_that_libpq_does_not_see(create: Create) -> None:
    for given in ("true", "false"):
        engine = create(f"{NOWHERE}?pgbouncer={given}", pgbouncer=given == "true")
        assert "pgbouncer" not in engine.url.query
    with pytest.raises(SettingsError, match="neither true nor false"):
        create(f"{NOWHERE}?pgbouncer=yes")


def test_the_keyword_goes_before_the_url(empty_database_url: URL) -> None:
    url = empty_database_url.update_query_dict({"pgbouncer": "true"})
    with create_engine(url, pgbouncer=False, poolclass=NullPool).connect() as connection:
        assert _prepared_after_ten(connection) == 1


@pytest.mark.quick
@both
def test_prepared_statements_through_pgbouncer_need_a_libpq_that_closes_them(
    create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"prepare_threshold": 3}
    monkeypatch.setattr(psycopg.capabilities, "has_send_close_prepared", lambda: True)
    create(NOWHERE, pgbouncer=True, connect_args=asked)
    monkeypatch.setattr(psycopg.capabilities, "has_send_close_prepared", lambda: False)
    with pytest.raises(SettingsError, match="need libpq 17"):
        create(NOWHERE, pgbouncer=True, connect_args=asked)
    create(NOWHERE, pgbouncer=True)


def test_nobody_is_given_the_answer_to_another_client_s_statement(
    empty_database_url: URL, pooled: Callable[..., URL]
) -> None:
    engine = create_engine(pooled(empty_database_url, servers=2), pgbouncer=True)
    with engine.connect() as ann, engine.connect() as bob, engine.connect() as other:
        for each in (ann, bob):  # each in a session of its own, and often enough to be prepared
            each.execute(text("SELECT 1"))
        for each, name in ((ann, "ann"), (bob, "bob")):
            for _ in range(8):
                each.execute(text(f"SELECT '{name}'"))
        for each in (ann, bob):
            each.commit()
        found = set()
        for _ in range(4):
            other.execute(text("SELECT 1"))  # so that one session is left, now this, now that
            found.add(bob.execute(text("SELECT 'bob'")).scalar_one())
            bob.commit()
            other.commit()
            ann.execute(text("SELECT 'ann'"))
            ann.commit()
        assert found == {"bob"}
    engine.dispose()


@pytest.mark.quick
async def test_asyncpg_shares_sessions_through_pgbouncer(
    empty_database_url: URL, pooled: Callable[..., URL]
) -> None:
    url = pooled(empty_database_url.set(drivername="postgresql+asyncpg"), servers=2)
    engine = create_async_engine(url, pgbouncer=True, pool_size=8)

    async def ask(number: int) -> set[object]:
        found = set[object]()
        several = select(literal(number, Integer)).select_from(text("generate_series(1, 9)"))
        async with engine.connect() as connection:
            for _ in range(8):
                async with connection.stream(several, execution_options={"yield_per": 4}) as rows:
                    async for row in rows.scalars():
                        found |= {row, await connection.scalar(text(f"SELECT {number}"))}
                await connection.commit()
                with pytest.raises(DBAPIError, match="division"):
                    await connection.scalar(text("SELECT 1 / 0"))
                await connection.rollback()
        return found

    answers = await asyncio.gather(*map(ask, range(8)))
    assert answers == [{number} for number in range(8)]
    async with engine.connect() as connection:
        left = text("SELECT count(*) FROM pg_prepared_statements")
        assert await connection.scalar(left) == 0
    await engine.dispose()


@pytest.mark.quick
async def test_asyncpg_through_pgbouncer_refuses_autocommit(
    empty_database_url: URL, pooled: Callable[..., URL]
) -> None:
    url = pooled(empty_database_url).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, pgbouncer=True)
    autocommit: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"}
    refused = pytest.raises(SettingsError, match=r"(?s)AUTOCOMMIT.*postgresql\+psycopg")
    with refused:
        create_async_engine(url, pgbouncer=True, **autocommit)
    with refused:
        create_async_engine(url, pgbouncer=True, execution_options=autocommit)
    with refused:
        engine.execution_options(**autocommit)
    async with engine.connect() as connection:
        with refused:
            await connection.execution_options(**autocommit)
    await engine.dispose()
    keeps = {"statement_cache_size": 100}
    own = {"statement_cache_size": 0}
    for pgbouncer_is_there, arguments in ((False, own), (True, keeps)):
        create_async_engine(url, pgbouncer=pgbouncer_is_there, connect_args=arguments, **autocommit)


@pytest.mark.parametrize("threshold", [None, 3])
def test_500_client_connections_share_20_sessions_without_an_error(
    threshold: int | None,
    empty_database_url: URL,
    connect: Callable[[URL], psycopg.Connection],
    pooled: Callable[..., URL],
) -> None:
    url = pooled(empty_database_url, clients=load.CLIENTS, servers=load.SERVERS)
    if threshold and not pgbouncer.keeps_prepared_statements():
        pytest.skip(f"{pgbouncer.version()} does not keep prepared statements: 1.24 does")
    with create_engine(empty_database_url, poolclass=NullPool).begin() as connection:
        load.make(connection)
    options: dict[str, Any] = {
        "pgbouncer": True,
        "pool_size": load.CLIENTS // 2,
        "max_overflow": 0,
        "connect_args": {"prepare_threshold": threshold},
    }
    engines = create_engine(url, **options), create_async_engine(url, **options)
    found = load.storm(empty_database_url, *engines, seconds=3)
    assert found.errors == {}
    assert found.sessions <= load.SERVERS
    assert all(client.seconds for client in found.clients)
    rows = connect(empty_database_url).execute("SELECT id, n FROM visits ORDER BY id").fetchall()
    assert rows == [(client.number, client.n) for client in found.clients]
    assert sum(client.n for client in found.clients) > 0


VALUES: list[tuple[TypeEngine[Any], Any]] = [
    (Boolean(), True),
    (Integer(), -(2**31)),
    (BigInteger(), 2**63 - 1),
    (Double(), 0.1 + 0.2),
    (Numeric(), Decimal("12345678901234567890.0987654321")),
    (Text(), "é, 雪, % and ' and \\"),
    (LargeBinary(), bytes(range(256))),
    (Uuid(), uuid.UUID(int=2**127 + 1)),
    (Date(), date(2026, 2, 28)),
    (DateTime(), datetime(2026, 2, 28, 23, 59, 59, 999_999)),
    (DateTime(timezone=True), datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC)),
    (Interval(), timedelta(days=400, microseconds=1)),
    (JSONB(), {"a": [1, 2.5, None, True, "é"], "b": {}}),
    (JSONB(), "a string"),
    (ARRAY(Integer), [1, None, 3]),
    (ARRAY(Text), ["a", "é,", '"']),
]


@pytest.mark.parametrize("create", [create_engine, sa_create_engine])
@pytest.mark.parametrize(("kind", "value"), VALUES)
def test_what_applications_store_comes_back_the_same(
    create: Callable[..., Engine], kind: TypeEngine[Any], value: object, postgres_url: URL
) -> None:
    with create(postgres_url, poolclass=NullPool).connect() as connection:
        both_ways = select(literal(value, kind), cast(literal(None, kind), kind))
        assert connection.execute(both_ways).one() == (value, None)


@pytest.mark.parametrize("url", [NOWHERE, "postgresql://127.0.0.1:1/db?user=ann&password=geheim"])
def test_what_cannot_be_reached_is_said_without_the_password(url: str) -> None:
    engine = create_engine(url)
    with pytest.raises(OperationalError) as raised:
        engine.connect()
    error = unavailable(engine.url, raised.value)
    assert "127.0.0.1:1/db" in error.cause
    assert "refused" in error.cause
    assert "DATABASE_URL" in error.cure
    assert "geheim" not in str(error)


def test_a_password_in_the_server_s_own_words_is_hidden() -> None:
    url = create_engine(NOWHERE).url
    error = unavailable(url, psycopg.OperationalError('bad option "geheim" in "geheim"'))
    assert "geheim" not in str(error)
    assert '"***" in "***"' in error.cause


@pytest.mark.quick
def test_an_old_server_is_refused_with_both_versions_named() -> None:
    require_server(MINIMUM_SERVER)
    with pytest.raises(ServerTooOld, match=rf"PostgreSQL 13\b.*\b{MINIMUM_SERVER} or later"):
        require_server(13)


@pytest.mark.quick
def test_asyncpg_that_is_not_installed_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(PackageUnavailable, match=r"pgmodern\[asyncpg\]"):
        create_async_engine("postgresql+asyncpg://h/db")
