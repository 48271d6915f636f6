"""Databases made ahead: each is the taker's own, and none is left."""

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
    before = names(admin)
    pool = ClonePool(postgres_url)
    urls = [pool.take(), pool.take()]
    assert {url.database for url in urls} <= names(admin)
    for url in urls:
        pool.give_back(url)
    pool.close()
    assert names(admin) <= before


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
