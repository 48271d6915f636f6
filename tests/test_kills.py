"""The proofs' own proof: every statement counts, and each kill is one."""

import signal
from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import URL, create_engine, text

from tests.kills import NEVER, How, Outcome, libpq, run_doomed

Connect = Callable[[URL], psycopg.Connection]
Doomed = Callable[..., Outcome]


@pytest.fixture
def database(empty_database_url: URL, connect: Connect) -> psycopg.Connection:
    """A connection that looks at what a client left behind."""
    database = connect(empty_database_url)
    database.execute("CREATE TABLE songs (title text)")
    return database


@pytest.fixture
def doomed(empty_database_url: URL, database: psycopg.Connection) -> Doomed:
    """Run a function in a client that dies before a statement."""

    def run(function: Callable[[URL], None], fatal: int = NEVER, how: How = "SIGKILL") -> Outcome:
        return run_doomed(database, empty_database_url, function, fatal, how)

    return run


def sing(url: URL) -> None:
    """Send eight statements in every way that psycopg has."""
    with psycopg.connect(libpq(url), autocommit=True) as session:
        session.execute("INSERT INTO songs VALUES ('simple')")
        session.execute("INSERT INTO songs VALUES (%s)", ["extended"])
        session.execute("INSERT INTO songs VALUES (%s)", ["prepared"], prepare=True)
        with (
            session.transaction(),  # BEGIN and COMMIT
            session.cursor().copy("COPY songs FROM STDIN") as copy,  # and CopyDone
        ):
            copy.write_row(["copied"])


def titles(database: psycopg.Connection) -> set[str]:
    """Return the titles that were committed."""
    return {str(title) for (title,) in database.execute("SELECT title FROM songs")}


def test_every_statement_counts_however_it_is_sent(
    database: psycopg.Connection, doomed: Doomed
) -> None:
    outcome = doomed(sing)
    assert outcome == Outcome(struck=False, exit_code=0, statements=8)
    assert titles(database) == {"simple", "extended", "prepared", "copied"}


@pytest.mark.parametrize(("how", "exit_code"), [("SIGKILL", -signal.SIGKILL), ("terminate", 1)])
def test_what_came_before_the_strike_is_done_and_nothing_else(
    database: psycopg.Connection, doomed: Doomed, how: How, exit_code: int
) -> None:
    done = []
    for fatal in range(8):
        database.execute("TRUNCATE songs")
        assert doomed(sing, fatal, how) == Outcome(True, exit_code, fatal + (how == "terminate"))
        done.append(len(titles(database)))
    assert done == [0, 1, 2, 2, 3, 3, 3, 3]


def test_all_that_sqlalchemy_sends_counts(doomed: Doomed) -> None:
    def run(url: URL, statements: int) -> None:
        with create_engine(url).begin() as connection:
            for _ in range(statements):
                connection.execute(text("SELECT 1"))

    few, many = (doomed(lambda url, n=n: run(url, n)).statements for n in (1, 4))
    assert many - few == 3


def test_a_client_that_fails_by_itself_was_not_struck(doomed: Doomed) -> None:
    outcome = doomed(lambda url: psycopg.connect(libpq(url)).execute("nonsense"))
    assert not outcome.struck
    assert outcome.exit_code == 1


def test_a_second_session_is_relayed_and_not_counted(doomed: Doomed) -> None:
    def run(url: URL) -> None:
        with psycopg.connect(libpq(url)) as first, psycopg.connect(libpq(url)) as second:
            for _ in range(3):
                second.execute("SELECT 1")
            first.execute("SELECT 1")

    assert doomed(run).statements == 3  # BEGIN, SELECT, COMMIT


def test_the_server_has_seen_the_end_of_the_client(
    database: psycopg.Connection, doomed: Doomed
) -> None:
    there = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    for fatal in range(3):
        doomed(sing, fatal)
        assert database.execute(there + " AND backend_type = 'client backend'").fetchone() == (1,)
