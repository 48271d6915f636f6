"""Backfills that were not finished, or not stamped: what becomes of them when other things are."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from psycopg.errors import CheckViolation
from sqlalchemy import URL, create_engine
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.pool import NullPool

Connect = Callable[[URL], psycopg.Connection]
Revise = Callable[..., Path]

ADD = 'op.execute("ALTER TABLE songs ADD plays int DEFAULT 0")'
DROP = 'op.execute("ALTER TABLE songs DROP plays")'
FILL = """
statement = "UPDATE songs SET plays = plays + 1 WHERE {range}"
op.backfill_online("plays", table="songs", statement=statement)
"""
FAIL = 'op.create_index_online("ix", "songs", ["nothing"])'
OTHER = 'op.execute("CREATE TABLE other ()")'


@pytest.fixture
def database(empty_database_url: URL, connect: Connect) -> psycopg.Connection:
    """A connection that looks at the songs."""
    database = connect(empty_database_url)
    database.execute("CREATE TABLE songs (id bigint PRIMARY KEY)")
    database.execute("INSERT INTO songs SELECT generate_series(1, 2000)")
    return database


@pytest.fixture
def configure(empty_database_url: URL) -> Callable[[Path], Config]:
    """Return a project's configuration for the database."""
    engine = create_engine(empty_database_url, poolclass=NullPool)
    return lambda ini: Config(ini, attributes={"connection": engine})


def plays(database: psycopg.Connection) -> list[tuple[object, ...]]:
    """Return how often the rows were visited, and how many were."""
    return database.execute("SELECT plays, count(*) FROM songs GROUP BY 1 ORDER BY 1").fetchall()


def has_state(database: psycopg.Connection) -> bool:
    """Tell whether the table of states is there."""
    return database.execute("SELECT to_regclass('pgmodern_backfill')").fetchone() != (None,)


def as_branches(ini: Path) -> None:
    """Have the third revision stand on the first, beside the second."""
    path = ini.parent / "migrations" / "versions" / "r3.py"
    path.write_text(path.read_text().replace("down_revision = 'r2'", "down_revision = 'r1'"))


@pytest.mark.parametrize("go_on", [command.upgrade, command.stamp])
def test_another_branch_leaves_what_was_finished_and_not_stamped(
    database: psycopg.Connection,
    configure: Callable[[Path], Config],
    revise: Revise,
    go_on: Callable[[Config, str], None],
) -> None:
    ini = revise(ADD, FILL + FAIL, OTHER)
    as_branches(ini)
    with pytest.raises(ProgrammingError):
        command.upgrade(configure(ini), "r2")
    go_on(configure(ini), "r3")
    assert has_state(database)
    as_branches(revise(ADD, FILL, OTHER))
    command.upgrade(configure(ini), "heads")
    assert plays(database) == [(1, 2000)]
    assert not has_state(database)


def test_a_stamp_beyond_it_says_that_it_is_done(
    database: psycopg.Connection, configure: Callable[[Path], Config], revise: Revise
) -> None:
    ini = revise(ADD, FILL + FAIL, OTHER)
    with pytest.raises(ProgrammingError):
        command.upgrade(configure(ini), "head")
    command.stamp(configure(ini), "head")
    assert not has_state(database)
    command.stamp(configure(ini), "base")


def test_what_stood_on_a_revision_that_was_undone_begins_again(
    database: psycopg.Connection, configure: Callable[[Path], Config], revise: Revise
) -> None:
    barrier = '\nop.execute("ALTER TABLE songs ADD CHECK (id <= 500 OR plays = 0)")'
    ini = revise(
        ADD + barrier, OTHER, FILL, downgrades=(DROP, 'op.execute("DROP TABLE other")', "pass")
    )
    with pytest.raises(CheckViolation):
        command.upgrade(configure(ini), "head")
    assert plays(database) == [(0, 1500), (1, 500)]
    command.downgrade(configure(ini), "base")
    assert not has_state(database)
    ini = revise(ADD, OTHER, FILL)
    command.upgrade(configure(ini), "head")
    assert plays(database) == [(1, 2000)]


def test_a_second_backfill_of_one_name_is_run_too(
    database: psycopg.Connection, configure: Callable[[Path], Config], revise: Revise
) -> None:
    ini = revise(ADD, FILL + FILL + FAIL)
    with pytest.raises(ProgrammingError):
        command.upgrade(configure(ini), "head")
    revise(ADD, FILL + FILL)
    command.upgrade(configure(ini), "head")
    assert plays(database) == [(2, 2000)]
    assert not has_state(database)


def test_whoever_reads_the_states_holds_up_no_revision(
    database: psycopg.Connection, configure: Callable[[Path], Config], revise: Revise
) -> None:
    ini = revise(ADD, FILL + FAIL)
    with pytest.raises(ProgrammingError):
        command.upgrade(configure(ini), "head")
    revise(ADD, FILL)
    with database.transaction():
        database.execute("SELECT FROM pgmodern_backfill")
        command.upgrade(configure(ini), "head")
    assert has_state(database)
    command.upgrade(configure(ini), "head")
    assert not has_state(database)
    assert plays(database) == [(1, 2000)]
