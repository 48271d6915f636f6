"""A backfill in a revision that is killed before each of its statements."""

from collections.abc import Callable
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

from tests.kills import NEVER, Selection, operation_begins, run_doomed

Connect = Callable[[URL], psycopg.Connection]
Revise = Callable[..., Path]

BODY = """
statement = "UPDATE songs SET plays = plays + 1 WHERE {range}"
op.backfill_online("plays", table="songs", statement=statement)
op.create_index_online("ix", "songs", ["plays"])
"""
FILL = """
    CREATE TABLE songs (id bigint PRIMARY KEY, plays int DEFAULT 0);
    INSERT INTO songs SELECT generate_series(1, 700)
"""


def test_a_backfill_that_is_done_does_not_begin_again_before_it_is_stamped(
    empty_database_url: URL,
    postgres_url: URL,
    connect: Connect,
    revise: Revise,
    selection: Selection,
) -> None:
    ini, url = revise(BODY), empty_database_url
    admin, database = connect(postgres_url), connect(url)

    def upgrade(url: URL) -> None:
        engine = create_engine(url, poolclass=NullPool)
        engine.connect().close()
        operation_begins()
        command.upgrade(Config(ini, attributes={"connection": engine}), "head")

    database.execute(FILL)
    whole = run_doomed(admin, url, upgrade, NEVER, "SIGKILL").statements
    wrong = []
    stride = selection.stride("SIGKILL")
    for fatal in range(selection.chance("a revision").randrange(stride), whole, stride):
        database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        database.execute(FILL)
        assert run_doomed(admin, url, upgrade, fatal, "SIGKILL").struck
        upgrade(url)
        plays = database.execute("SELECT plays, count(*) FROM songs GROUP BY 1").fetchall()
        left = database.execute("SELECT to_regclass('pgmodern_backfill') IS NULL").fetchone()
        if plays != [(1, 700)] or left != (True,):
            wrong.append((fatal, plays, left))
    assert not wrong
    assert whole > 30
