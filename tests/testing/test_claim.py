"""Whose a database is: what a run left that is no more is dropped, and nothing else."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import URL, make_url

from pgmodern.errors import DatabaseUnavailable
from pgmodern.testing.claim import abandoned, claimed, new_name
from pgmodern.testing.databases import ClonePool, create, drop
from tests.kills import libpq
from tests.waiting import until

DEAD, ALIVE = "dead" * 4, "a11e" * 4
OF_OTHERS = [
    "postgres",
    "pgmodern",
    "pgmodern_test",
    "pgmodern_test_shop",
    "pgmodern_" + "0" * 32,
    f"pgmodern_test_{DEAD}",
    f"pgmodern_test_{DEAD}_",
    f"pgmodern_test_{DEAD}_mine",
    f"pgmodern_test_{DEAD.upper()}_{'0' * 16}",
    f"my_{new_name(DEAD)}",
    f"{new_name(DEAD)}_kept",
    f"{new_name(DEAD)}\n",
]


@pytest.fixture
def admin(postgres_url: URL, connect: Callable[[URL], psycopg.Connection]) -> psycopg.Connection:
    """A connection to the server's own database."""
    return connect(postgres_url)


@pytest.fixture
def made(postgres_url: URL) -> Iterator[Callable[..., str]]:
    """Create a database of a run; it is dropped in the end, if it is still there."""
    names = []

    def make(run: str) -> str:
        name = create(postgres_url, run=run).database
        assert name is not None
        names.append(name)
        return name

    yield make
    for name in names:
        drop(postgres_url, name)


def is_there(admin: psycopg.Connection, name: str) -> bool:
    """Tell whether there is a database of this name."""
    query = "SELECT 1 FROM pg_database WHERE datname = %s"
    return admin.execute(query, [name]).fetchone() is not None


@pytest.mark.quick
def test_only_what_bears_the_name_of_a_run_that_is_no_more_is_abandoned() -> None:
    left, kept = new_name(DEAD), new_name(ALIVE)
    assert abandoned([*OF_OTHERS, left, kept], {ALIVE}) == [left]


@pytest.mark.quick
def test_what_a_run_left_is_dropped_by_the_next_and_its_own_is_kept(
    postgres_url: URL, admin: psycopg.Connection, made: Callable[..., str]
) -> None:
    left = made(DEAD)
    with claimed(postgres_url, ALIVE):
        assert not is_there(admin, left)
        kept = made(ALIVE)
        with claimed(postgres_url, DEAD):
            assert is_there(admin, kept)
    with claimed(postgres_url, DEAD):
        assert not is_there(admin, kept)


def test_a_claim_is_seen_from_every_database(
    postgres_url: URL, empty_database_url: URL, admin: psycopg.Connection, made: Callable[..., str]
) -> None:
    with claimed(empty_database_url, ALIVE):
        kept = made(ALIVE)
        with claimed(postgres_url, DEAD):
            assert is_there(admin, kept)


def test_each_process_of_a_run_has_its_claim(
    postgres_url: URL, admin: psycopg.Connection, made: Callable[..., str]
) -> None:
    with claimed(postgres_url, ALIVE):
        with claimed(postgres_url, ALIVE):
            kept = made(ALIVE)
        with claimed(postgres_url, DEAD):
            assert is_there(admin, kept)


def test_what_somebody_looks_at_is_left(
    postgres_url: URL, admin: psycopg.Connection, made: Callable[..., str]
) -> None:
    left = made(DEAD)
    with (
        psycopg.connect(libpq(postgres_url.set(database=left))) as observer,
        claimed(postgres_url, ALIVE),
    ):
        observer.execute("SELECT 1")
        assert is_there(admin, left)
    until(lambda: not _is_used(admin, left))
    with claimed(postgres_url, ALIVE):
        assert not is_there(admin, left)


def _is_used(admin: psycopg.Connection, name: str) -> bool:
    query = "SELECT 1 FROM pg_stat_activity WHERE datname = %s"
    return admin.execute(query, [name]).fetchone() is not None


def test_what_a_role_may_not_drop_is_no_error(
    postgres_url: URL, admin: psycopg.Connection, made: Callable[..., str]
) -> None:
    left = made(DEAD)
    admin.execute("CREATE ROLE pgmodern_of_no_rights LOGIN PASSWORD 'none'")
    try:
        role = postgres_url.set(username="pgmodern_of_no_rights", password="none")
        with claimed(role, ALIVE):
            assert is_there(admin, left)
    finally:
        admin.execute("DROP ROLE pgmodern_of_no_rights")


def test_a_run_whose_sessions_were_ended_claims_anew(
    postgres_url: URL, admin: psycopg.Connection
) -> None:
    with claimed(postgres_url, ALIVE):
        pool = ClonePool(postgres_url, run=ALIVE)
        first = pool.take()
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' "
            "AND classid::bigint = %s",
            [int(ALIVE[:8], 16)],
        )
        second = pool.take()
        with claimed(postgres_url, DEAD):
            assert first.database is not None
            assert second.database is not None
            assert is_there(admin, first.database)
            assert is_there(admin, second.database)
        pool.close()


def test_through_a_pooler_nothing_is_claimed_or_dropped(
    postgres_url: URL,
    admin: psycopg.Connection,
    made: Callable[..., str],
    pooled: Callable[..., URL],
) -> None:
    left = made(DEAD)
    with claimed(pooled(postgres_url), ALIVE) as run:
        assert run is None
        assert is_there(admin, left)


@pytest.mark.quick
def test_a_server_that_does_not_answer_is_named_without_the_password() -> None:
    nobody = make_url("postgresql+psycopg://ann:geheim@127.0.0.1:1/db")
    with pytest.raises(DatabaseUnavailable, match="DATABASE_URL") as raised, claimed(nobody, ALIVE):
        pass
    assert "127.0.0.1" in str(raised.value)
    assert "geheim" not in str(raised.value)
