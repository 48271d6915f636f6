"""What is on record of backfills: as long as it must be, and no longer."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg.errors import CheckViolation
from sqlalchemy import URL, Connection, create_engine
from sqlalchemy.pool import NullPool

from pgmodern.backfill import Backfill, run
from pgmodern.unfinished import STATE, drop_state, forget, forget_revisions, keeping

Connect = Callable[[URL], psycopg.Connection]

VISIT = Backfill(
    "songs.visits", "songs", "id", "bigint", "UPDATE songs SET visits = visits + 1 WHERE {range}"
)
VISITS = "SELECT DISTINCT visits FROM songs"


@pytest.fixture
def database(empty_database_url: URL, connect: Connect) -> psycopg.Connection:
    """A connection that looks at what was done; `songs` count their visits."""
    database = connect(empty_database_url)
    database.execute("CREATE TABLE songs (id bigint PRIMARY KEY, visits int DEFAULT 0)")
    database.execute("INSERT INTO songs (id) SELECT generate_series(1, 2000)")
    return database


@pytest.fixture
def connection(empty_database_url: URL) -> Iterator[Connection]:
    """A connection as a backfill wants it."""
    engine = create_engine(empty_database_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection


def state(database: psycopg.Connection) -> list[object] | None:
    """Return how far each backfill came; None without a table of states."""
    if database.execute("SELECT to_regclass(%s)", [STATE]).fetchone() == (None,):
        return None
    rows = database.execute(f"SELECT last_key FROM {STATE} ORDER BY revision".encode())
    return [key for (key,) in rows]


def test_what_a_revision_finished_does_not_begin_again_until_it_is_stamped(
    database: psycopg.Connection, connection: Connection
) -> None:
    for visited in (2000, 0):
        with keeping(connection, "r1"):
            assert run(connection, VISIT) == visited
    assert database.execute(VISITS).fetchall() == [(1,)]
    forget_revisions(connection, ["r1"])
    drop_state(connection)
    assert state(database) is None
    with keeping(connection, "r1"):
        assert run(connection, VISIT) == 2000


def test_what_other_revisions_keep_is_not_forgotten(
    database: psycopg.Connection, connection: Connection
) -> None:
    database.execute("ALTER TABLE songs ADD CONSTRAINT c CHECK (id <= 500 OR visits < 2)")
    with keeping(connection, "r1"):
        run(connection, VISIT)
    with keeping(connection, "r2"), pytest.raises(CheckViolation):
        run(connection, VISIT)
    forget_revisions(connection, ["r3"])
    drop_state(connection)
    assert state(database) == ["2000", "500"]
    with keeping(connection, "r1"):
        assert run(connection, VISIT) == 0
    forget_revisions(connection, ["r1"])
    assert state(database) == ["500"]


def test_a_second_one_of_a_name_in_a_revision_is_another(
    database: psycopg.Connection, connection: Connection
) -> None:
    database.execute("ALTER TABLE songs ADD CONSTRAINT c CHECK (id <= 500 OR visits < 2)")
    with keeping(connection, "r1"):
        assert run(connection, VISIT) == 2000
        with pytest.raises(CheckViolation):
            run(connection, VISIT)
    database.execute("ALTER TABLE songs DROP CONSTRAINT c")
    with keeping(connection, "r1"):
        assert [run(connection, VISIT), run(connection, VISIT)] == [0, 1500]
    assert database.execute(VISITS).fetchall() == [(2,)]


@pytest.mark.quick
def test_the_table_of_states_is_left_to_the_next_run_while_somebody_reads_it(
    database: psycopg.Connection, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="pgmodern")
    with keeping(connection, "r1"):
        run(connection, VISIT)
    connection.exec_driver_sql("SET lock_timeout = '10s'")
    with database.transaction():
        database.execute(f"SELECT FROM {STATE}".encode())
        forget_revisions(connection, ["r1"])
        drop_state(connection)
    assert f"the table {STATE} is left to the next run" in caplog.text
    assert state(database) == []
    drop_state(connection)
    assert state(database) is None


def test_one_that_is_forgotten_is_so_in_every_revision(
    database: psycopg.Connection, connection: Connection
) -> None:
    for revision in ("r1", "r2"):
        with keeping(connection, revision):
            assert run(connection, VISIT) == 2000
    forget(connection, "another")
    assert state(database) == ["2000", "2000"]
    forget(connection, VISIT.name)
    assert state(database) is None
    forget(connection, VISIT.name)
