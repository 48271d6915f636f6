"""The settings of a migration's session: there while it migrates, gone afterwards."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import URL, Connection, create_engine
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

from pgmodern.locks import LockPolicy, driver
from pgmodern.session import settings, settled

Connect = Callable[[URL], psycopg.Connection]
Settings = dict[str, tuple[str, str]]

POLICY = LockPolicy(timeout=0.7)


def show(connection: Connection) -> Settings:
    """Return all settings of a session, and where each comes from."""
    rows = connection.exec_driver_sql("SELECT name, setting, source FROM pg_settings")
    found = {name: (value, source) for name, value, source in rows if "." not in name}
    connection.rollback()
    return found


@pytest.fixture
def connection(empty_database_url: URL, connect: Connect) -> Iterator[Connection]:
    """A connection with settings of the database, of its connection string and of its own."""
    alter = f"ALTER DATABASE \"{empty_database_url.database}\" SET statement_timeout = '1h'"
    connect(empty_database_url).execute(alter.encode())
    options = "-c idle_in_transaction_session_timeout=50min"
    url = empty_database_url.update_query_dict({"options": options})
    with create_engine(url, poolclass=NullPool).connect() as connection:
        connection.exec_driver_sql("SET lock_timeout = '7s'")
        connection.exec_driver_sql("SET default_transaction_isolation = 'serializable'")
        connection.commit()
        yield connection


def test_they_are_there_in_every_transaction(connection: Connection) -> None:
    ours = settings(POLICY, driver(connection).info.server_version)
    with settled(connection, POLICY):
        for _ in range(2):
            for name, value in ours.items():
                assert connection.exec_driver_sql(f"SHOW {name}").scalar() == value
            connection.rollback()


def test_a_session_has_its_own_back_whatever_became_of_them(connection: Connection) -> None:
    before = show(connection)
    with pytest.raises(ProgrammingError), settled(connection, POLICY):  # noqa: PT012
        connection.exec_driver_sql("SET statement_timeout = '9s'")
        connection.commit()
        connection.exec_driver_sql("SET lock_timeout = '9s'")
        connection.exec_driver_sql("SELECT nothing")
    connection.rollback()
    assert show(connection) == before
    connection.exec_driver_sql("RESET lock_timeout")
    assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "0"


def test_a_session_that_was_lost_has_nothing_to_be_set_back(
    connection: Connection, empty_database_url: URL, connect: Connect
) -> None:
    pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    connection.rollback()
    with settled(connection, POLICY):
        connect(empty_database_url).execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        with pytest.raises(OperationalError):
            connection.exec_driver_sql("SELECT")


@pytest.mark.parametrize(("version", "has"), [(169_999, False), (170_000, True)])
def test_a_setting_that_the_server_does_not_know_is_not_set(version: int, has: bool) -> None:
    assert ("transaction_timeout" in settings(POLICY, version)) == has
