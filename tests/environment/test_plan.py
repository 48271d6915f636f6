"""What a run shows before it does it, and what it refuses before anything is done."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

Run = Callable[..., subprocess.CompletedProcess[str]]
Connect = Callable[[URL], psycopg.Connection]
Revise = Callable[..., Path]

CREATE = 'op.execute("CREATE TABLE songs (id bigint PRIMARY KEY, title text)")'
BUILD = 'op.create_index_online("ix", "songs", ["title"])'
BUILD_IN_TURN = f"""
for _ in range(1):
    {BUILD}
"""


def tables(database: psycopg.Connection) -> set[str]:
    """Return the tables that are there."""
    return {str(name) for (name,) in database.execute("SELECT relname FROM pg_stat_user_tables")}


def test_a_dry_run_shows_the_plan_and_changes_nothing(
    empty_database_url: URL, connect: Connect, alembic: Run, revise: Revise
) -> None:
    ini = revise(CREATE, BUILD, "pass", downgrades=("pass", 'op.drop_index_online("ix")', "pass"))
    ran = alembic("-x", "dry-run=true", "upgrade", "head", url=empty_database_url, ini=ini)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "upgrade  -> r1  (transactional)",
        "    op.execute, line 7",
        "upgrade r1 -> r2  (online)",
        "    op.create_index_online, line 7",
        "upgrade r2 -> r3  (transactional)",
    ]
    assert tables(connect(empty_database_url)) == set()
    assert alembic("upgrade", "head", url=empty_database_url, ini=ini).returncode == 0
    ran = alembic("-x", "dry-run=true", "downgrade", "r1", url=empty_database_url, ini=ini)
    assert ran.stdout.splitlines()[1:] == [
        "downgrade r2 -> r1  (online)",
        "    op.drop_index_online, line 10",
    ]
    ran = alembic("current", url=empty_database_url, ini=ini)
    assert ran.stdout.startswith("r3")


@pytest.mark.parametrize(
    ("argument", "cure"),
    [
        ("dry-run=maybe", "dry-run=true"),
        ("lock-timeout=soon", "lock-timeout=1"),
        ("lock-timeout=0", "lock-timeout=1"),
        ("lock-deadline=-1", "lock-timeout=1"),
        ("lock-timeout=nan", "lock-timeout=1"),
        ("lock-deadline=inf", "lock-timeout=1"),
    ],
)
def test_an_argument_that_cannot_be_is_refused(
    empty_database_url: URL,
    connect: Connect,
    alembic: Run,
    revise: Revise,
    argument: str,
    cure: str,
) -> None:
    ran = alembic("-x", argument, "upgrade", "head", url=empty_database_url, ini=revise(CREATE))
    assert ran.returncode == 1
    assert f"error: -x {argument} is n" in ran.stderr
    assert cure in ran.stderr
    assert tables(connect(empty_database_url)) == set()


@pytest.mark.parametrize("body", [f"{CREATE}\n{BUILD}", f"{BUILD_IN_TURN}\n{CREATE}"])
def test_a_mixed_revision_is_refused_before_anything_is_done(
    empty_database_url: URL, connect: Connect, alembic: Run, revise: Revise, body: str
) -> None:
    ini = revise("op.execute('CREATE TABLE first ()')", body)
    ran = alembic("upgrade", "head", url=empty_database_url, ini=ini)
    assert ran.returncode == 1
    message = ran.stderr.partition("error: ")[2]
    assert message.startswith("Revision r2: upgrade() mixes op.create_index_online (line ")
    assert "Split it" in message
    assert tables(connect(empty_database_url)) <= {"alembic_version"}


def test_a_mixed_downgrade_is_refused_too(
    empty_database_url: URL, alembic: Run, revise: Revise
) -> None:
    ini = revise(CREATE, downgrades=('op.drop_index_online("ix")\nop.execute("DROP TABLE songs")',))
    assert alembic("upgrade", "head", url=empty_database_url, ini=ini).returncode == 0
    ran = alembic("downgrade", "base", url=empty_database_url, ini=ini)
    assert ran.returncode == 1
    assert "downgrade() mixes op.drop_index_online" in ran.stderr


def test_what_was_applied_and_how_long_it_took_is_told(
    empty_database_url: URL, alembic: Run, revise: Revise
) -> None:
    ran = alembic("upgrade", "head", url=empty_database_url, ini=revise(CREATE, BUILD))
    assert ran.returncode == 0
    assert "[pgmodern] upgrade  -> r1: 0." in ran.stderr
    assert "[pgmodern] upgrade r1 -> r2: 0." in ran.stderr
    ran = alembic("upgrade", "head", url=empty_database_url, ini=revise(CREATE, BUILD))
    assert "upgrade " not in ran.stderr


def test_an_upgrade_of_one_that_commits_by_hand_is_left_to_it(
    empty_database_url: URL, connect: Connect, alembic: Run, revise: Revise
) -> None:
    by_hand = """
        with op.get_context().autocommit_block():
            op.execute("CREATE INDEX CONCURRENTLY ix ON songs (title)")
    """
    ran = alembic("upgrade", "head", url=empty_database_url, ini=revise(CREATE, by_hand))
    assert ran.returncode == 0, ran.stderr
    found = connect(empty_database_url).execute("SELECT to_regclass('ix') IS NOT NULL").fetchone()
    assert found == (True,)


@pytest.mark.parametrize("option", [{}, {"pgbouncer": "true"}])
def test_behind_a_pooler_migrations_are_refused_and_reading_is_not(
    option: dict[str, str],
    empty_database_url: URL,
    connect: Connect,
    alembic: Run,
    revise: Revise,
    pooled: Callable[[URL], URL],
) -> None:
    ini, url = revise(CREATE), pooled(empty_database_url).update_query_dict(option)
    ran = alembic("upgrade", "head", url=url, ini=ini)
    assert ran.returncode == 1
    assert "pooler, such as PgBouncer" in ran.stderr
    assert "need a direct connection" in ran.stderr
    assert tables(connect(empty_database_url)) == set()
    ran = alembic("current", url=url, ini=ini)
    assert ran.returncode == 0, ran.stderr


def test_a_dry_run_without_a_value_is_no_run(
    empty_database_url: URL, connect: Connect, alembic: Run, revise: Revise
) -> None:
    ran = alembic("-x", "dry-run", "upgrade", "head", url=empty_database_url, ini=revise(CREATE))
    assert ran.returncode == 1
    assert "-x dry-run=true" in ran.stderr
    assert tables(connect(empty_database_url)) == set()


HIDDEN = """
op.execute("CREATE TABLE songs (id bigint)")
getattr(op, "create_index_" + "online")("ix", "songs", ["id"])
"""


def test_an_online_operation_that_the_source_hides_is_refused_and_undone(
    empty_database_url: URL, connect: Connect, alembic: Run, revise: Revise
) -> None:
    ran = alembic("upgrade", "head", url=empty_database_url, ini=revise(HIDDEN))
    assert ran.returncode == 1
    assert "an online operation, called by what" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert tables(connect(empty_database_url)) <= {"alembic_version"}


def test_a_mixed_revision_is_not_written_as_a_script(alembic: Run, revise: Revise) -> None:
    ran = alembic("upgrade", "head", "--sql", ini=revise(f"{CREATE}\n{BUILD}"))
    assert ran.returncode == 1
    assert "mixes" in ran.stderr
