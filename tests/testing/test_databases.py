"""Databases made ahead: each is the taker's own, and none is left."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import URL

from pgmodern.testing.databases import ClonePool, create, database, drop
from tests.kills import libpq

NAMES = "SELECT datname FROM pg_database WHERE datname LIKE 'pgmodern\\_%'"


@pytest.fixture
def admin(postgres_url: URL, connect: Callable[[URL], psycopg.Connection]) -> psycopg.Connection:
    """A connection to the server's own database."""
    return connect(postgres_url)


@pytest.fixture
def pool(postgres_url: URL) -> Iterator[ClonePool]:
    """A pool of empty databases."""
    pool = ClonePool(postgres_url, copy_files=True)
    yield pool
    pool.close()


def names(admin: psycopg.Connection) -> set[str]:
    """Return the names of the databases of this and other tests."""
    return {str(name) for (name,) in admin.execute(NAMES)}


def tables(url: URL) -> int:
    """Create a table and return how many there are."""
    with psycopg.connect(libpq(url), autocommit=True) as connection:
        connection.execute("CREATE TABLE made (id int)")
        found = connection.execute("SELECT count(*) FROM pg_class WHERE relname = 'made'")
        return int((found.fetchone() or (0,))[0])


def test_each_taker_has_a_database_of_its_own(pool: ClonePool) -> None:
    taken = [pool.take() for _ in range(3)]
    assert len({url.database for url in taken}) == 3
    assert [tables(url) for url in taken] == [1, 1, 1]
    for url in taken:
        pool.give_back(url)


def test_a_pool_that_is_closed_leaves_nothing(postgres_url: URL, admin: psycopg.Connection) -> None:
    pool = ClonePool(postgres_url)
    urls = [pool.take(), pool.take()]
    assert {url.database for url in urls} <= names(admin)
    made = set(pool._names)
    assert len(made) == 3  # the next one, too
    for url in urls:
        pool.give_back(url)
    pool.close()
    assert not names(admin) & made


def test_a_pool_of_which_nothing_was_taken_opens_no_session(postgres_url: URL) -> None:
    ClonePool(postgres_url.set(port=1, host="127.0.0.1")).close()


def test_what_is_given_back_is_dropped_whoever_is_connected(
    pool: ClonePool, admin: psycopg.Connection, connect: Callable[[URL], psycopg.Connection]
) -> None:
    url = pool.take()
    holder = connect(url)
    pool.give_back(url)
    pool.close()
    assert url.database not in names(admin)
    with pytest.raises(psycopg.OperationalError):
        holder.execute("SELECT 1")


@pytest.mark.parametrize("copy_files", [False, True])
def test_clones_hold_what_their_template_holds(postgres_url: URL, copy_files: bool) -> None:
    with database(postgres_url) as template:
        with psycopg.connect(libpq(template)) as connection:
            connection.execute("CREATE TABLE songs AS SELECT 'calm' AS title")
        pool = ClonePool(postgres_url, template.database, copy_files=copy_files)
        for _ in range(2):
            url = pool.take()
            with psycopg.connect(libpq(url)) as connection:
                assert connection.execute("SELECT title FROM songs").fetchall() == [("calm",)]
            pool.give_back(url)
        pool.close()


def end_session(pool: ClonePool, admin: psycopg.Connection) -> None:
    """End the session of a pool, as an administrator may."""
    connection = pool._session._connection
    assert connection is not None
    driver = connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    admin.execute("SELECT pg_terminate_backend(%s, 5000)", [driver.info.backend_pid])


def test_a_session_that_was_ended_is_replaced(
    pool: ClonePool, admin: psycopg.Connection, postgres_url: URL
) -> None:
    first = pool.take()
    end_session(pool, admin)
    second = pool.take()
    end_session(pool, admin)
    pool.give_back(first)
    pool.give_back(second)
    pool.close()
    assert not {first.database, second.database} & names(admin)


def test_what_a_test_dropped_itself_is_no_error(pool: ClonePool, admin: psycopg.Connection) -> None:
    first, second = pool.take(), pool.take()
    admin.execute(f"DROP DATABASE {first.database}".encode())
    pool.give_back(first)
    pool.give_back(second)
    pool.close()
    assert second.database not in names(admin)


def test_what_cannot_be_dropped_is_dropped_in_the_end(
    pool: ClonePool, admin: psycopg.Connection, connect: Callable[[URL], psycopg.Connection]
) -> None:
    url = pool.take()
    admin.execute(f"ALTER DATABASE {url.database} IS_TEMPLATE true".encode())
    pool.give_back(url)
    pool.give_back(pool.take())
    assert url.database in names(admin)
    admin.execute(f"ALTER DATABASE {url.database} IS_TEMPLATE false".encode())
    pool.close()
    assert url.database not in names(admin)


def test_whoever_waits_can_be_interrupted_and_nothing_is_left(
    postgres_url: URL, admin: psycopg.Connection, connect: Callable[[URL], psycopg.Connection]
) -> None:
    with database(postgres_url) as template:
        holder = connect(template)  # CREATE DATABASE waits 5 s for it to leave
        pool = ClonePool(postgres_url, template.database)
        timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            pool.take()
        assert time.monotonic() - started < 3
        holder.close()
        made = set(pool._names)
        pool.close()
    assert not names(admin) & {*made, template.database}


@pytest.mark.quick
def test_a_template_that_is_not_there_is_the_server_s_error(postgres_url: URL) -> None:
    pool = ClonePool(postgres_url, "pgmodern_of_nobody")
    with pytest.raises(psycopg.errors.InvalidCatalogName):
        pool.take()
    pool.close()


def test_a_database_is_created_and_dropped(postgres_url: URL, admin: psycopg.Connection) -> None:
    url = create(postgres_url)
    assert url.database is not None
    assert url.database in names(admin)
    drop(postgres_url, url.database)
    assert url.database not in names(admin)
