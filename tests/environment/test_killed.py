"""A backfill in a revision that is killed before each of its statements."""

from collections.abc import Callable
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

from tests.kills import NEVER, libpq, run_doomed

Connect = Callable[[URL], psycopg.Connection]
Revise = Callable[..., Path]

BODY = """
statement = "UPDATE songs SET plays = plays + 1 WHERE {range}"
op.backfill_online("plays", table="songs", statement=statement)
op.create_index_online("ix", "songs", ["plays"])
"""


def test_a_backfill_that_is_done_does_not_begin_again_before_it_is_stamped(
    empty_database_url: URL,
    postgres_url: URL,
    connect: Connect,
    clone: Callable[[URL], URL],
    revise: Revise,
) -> None:
    ini = revise(BODY)
    with psycopg.connect(libpq(empty_database_url), autocommit=True) as database:
        database.execute("CREATE TABLE songs (id bigint PRIMARY KEY, plays int DEFAULT 0)")
        database.execute("INSERT INTO songs SELECT generate_series(1, 700)")

    def upgrade(url: URL) -> None:
        engine = create_engine(url, poolclass=NullPool)
        command.upgrade(Config(ini, attributes={"connection": engine}), "head")

    admin = connect(postgres_url)
    whole = run_doomed(admin, clone(empty_database_url), upgrade, NEVER, "SIGKILL").statements
    wrong = []
    for fatal in range(whole):
        url = clone(empty_database_url)
        assert run_doomed(admin, url, upgrade, fatal, "SIGKILL").struck
        upgrade(url)
        database = connect(url)
        plays = database.execute("SELECT plays, count(*) FROM songs GROUP BY 1").fetchall()
        left = database.execute("SELECT to_regclass('pgmodern_backfill') IS NULL").fetchone()
        if plays != [(1, 700)] or left != (True,):
            wrong.append((fatal, plays, left))
        database.close()
    assert not wrong
    assert whole > 30
