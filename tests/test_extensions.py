"""Extensions: which version will do, and whether it can be had."""

import itertools
from collections.abc import Callable, Iterator

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import URL, Connection, create_engine
from sqlalchemy.pool import NullPool

from pgmodern.errors import ExtensionError
from pgmodern.extensions import (
    PG_TRGM,
    UNACCENT,
    VECTOR,
    Extension,
    available,
    installed,
    preflight,
    refusal,
    version_key,
)

Connect = Callable[[URL], psycopg.Connection]

parts = st.lists(st.integers(0, 10**9), min_size=1, max_size=5)


@pytest.fixture
def connection(empty_database_url: URL) -> Iterator[Connection]:
    """A connection to a database with nothing in it."""
    engine = create_engine(empty_database_url, poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def written(numbers: list[int]) -> str:
    """Return a version's text."""
    return ".".join(map(str, numbers))


@given(parts, parts)
def test_versions_are_in_the_order_of_their_numbers(one: list[int], other: list[int]) -> None:
    padded = list(zip(*itertools.zip_longest(one, other, fillvalue=0), strict=True))
    assert (version_key(written(one)) < version_key(written(other))) == (padded[0] < padded[1])
    assert (version_key(written(one)) == version_key(written(other))) == (padded[0] == padded[1])


@given(parts, st.sampled_from(["", "dev", "-rc", "beta", " (Debian)"]))
def test_what_is_no_number_does_not_count(numbers: list[int], suffix: str) -> None:
    assert version_key(written(numbers) + suffix) == version_key(written(numbers))


@given(st.text())
def test_any_text_has_a_place_in_the_order(text: str) -> None:
    assert version_key(text) >= ()


@pytest.mark.parametrize(
    ("have", "offered", "cause", "cure"),
    [
        (None, None, "The server does not have the extension 'vector'.", "pgvector/pgvector"),
        (None, "0.7.4", "is 0.7.4; 0.8.0 or later is needed: reason.", "Upgrade vector"),
        ("0.7.4", "0.7.4", "is 0.7.4; 0.8.0 or later is needed: reason.", "Upgrade vector"),
        ("0.7.4", None, "is 0.7.4; 0.8.0 or later is needed: reason.", "Upgrade vector"),
        ("0.7.4", "0.8.0", "is 0.7.4; 0.8.0 or later", 'ALTER EXTENSION "vector" UPDATE;'),
        ("0.7.4", "0.10.0", "is 0.7.4; 0.8.0 or later", 'ALTER EXTENSION "vector" UPDATE;'),
    ],
)
def test_a_refusal_names_cause_and_cure(
    have: str | None, offered: str | None, cause: str, cure: str
) -> None:
    error = refusal(Extension("vector", "0.8.0", "reason"), have, offered)
    assert error is not None
    assert cause in error.cause
    assert cure in error.cure


@pytest.mark.parametrize(
    ("have", "offered"),
    [("0.8.0", None), ("0.10.0", "0.7.0"), (None, "0.8"), (None, "0.8.0.1"), ("1.0", "0.1")],
)
def test_a_version_that_is_new_enough_will_do(have: str | None, offered: str | None) -> None:
    assert refusal(Extension("vector", "0.8.0", "reason"), have, offered) is None


def test_the_server_says_what_it_has_and_what_it_offers(connection: Connection) -> None:
    assert set(installed(connection)) == {"plpgsql"}
    assert {"vector", "pg_trgm", "unaccent", "plpgsql"} <= set(available(connection))


@pytest.mark.contrib
@pytest.mark.vector
@pytest.mark.parametrize("before", [[], ["vector"], ["unaccent", "pg_trgm", "vector"]])
def test_a_preflight_leaves_nothing_behind(
    connection: Connection, empty_database_url: URL, connect: Connect, before: list[str]
) -> None:
    database = connect(empty_database_url)
    for name in before:
        database.execute(f"CREATE EXTENSION {name}".encode())
    preflight(connection, [VECTOR, PG_TRGM, UNACCENT, VECTOR])
    assert set(installed(connection)) == {"plpgsql", *before}
    connection.commit()
    assert set(installed(connection)) == {"plpgsql", *before}


def test_a_preflight_asks_for_each_version_that_somebody_needs(connection: Connection) -> None:
    newer = Extension("pg_trgm", "99", "of tomorrow")
    with pytest.raises(ExtensionError, match="of tomorrow"):
        preflight(connection, [PG_TRGM, newer])
    with pytest.raises(ExtensionError, match="of tomorrow"):
        preflight(connection, [newer, PG_TRGM])


def test_a_failed_preflight_leaves_the_transaction_usable(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE mine ()")
    connection.exec_driver_sql("CREATE ROLE nobody_special")
    try:
        connection.exec_driver_sql("SET LOCAL ROLE nobody_special")
        with pytest.raises(ExtensionError, match="may not create the extension 'unaccent'"):
            preflight(connection, [UNACCENT])
        connection.exec_driver_sql("RESET ROLE")
        assert connection.exec_driver_sql("SELECT count(*) FROM mine").scalar() == 0
    finally:
        connection.rollback()


@pytest.mark.parametrize(
    "extension", [pytest.param(VECTOR, marks=pytest.mark.vector), PG_TRGM, UNACCENT]
)
def test_a_probe_tells_a_usable_extension_from_one_out_of_reach(
    empty_database_url: URL, connect: Connect, extension: Extension
) -> None:
    database = connect(empty_database_url)
    database.execute(f"CREATE EXTENSION {extension.name}".encode())
    assert database.execute(f"SELECT {extension.probe}".encode()).fetchone() is not None
    database.execute("CREATE SCHEMA elsewhere")
    database.execute(f"ALTER EXTENSION {extension.name} SET SCHEMA elsewhere".encode())
    with pytest.raises(psycopg.errors.ProgrammingError):
        database.execute(f"SELECT {extension.probe}".encode())


def test_one_that_is_too_old_will_do_where_it_is_going_to_be_updated(
    connection: Connection, empty_database_url: URL, connect: Connect
) -> None:
    connect(empty_database_url).execute("CREATE EXTENSION pg_trgm VERSION '1.3'")
    with pytest.raises(ExtensionError, match="ALTER EXTENSION"):
        preflight(connection, [PG_TRGM])
    preflight(connection, [PG_TRGM], updating=True)
    assert installed(connection)["pg_trgm"] == "1.3"
    with pytest.raises(ExtensionError, match="of tomorrow"):
        preflight(connection, [Extension("pg_trgm", "99", "of tomorrow")], updating=True)


def test_an_update_to_come_asks_nothing_of_what_is_new_enough(connection: Connection) -> None:
    """The server may offer less than the database has: its package went back."""
    connection.exec_driver_sql("CREATE EXTENSION pg_trgm")
    connection.exec_driver_sql(
        "UPDATE pg_extension SET extversion = '9.9' WHERE extname <> 'plpgsql'"
    )
    preflight(connection, [Extension("pg_trgm", "9.8", "of tomorrow")], updating=True)
