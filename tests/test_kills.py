"""The proofs' own proof: every statement counts, and each kill is one."""

import signal
import sys
from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import URL, create_engine, text

from tests.kills import NEVER, How, Outcome, Selection, libpq, operation_begins, run_doomed

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
        operation_begins()
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


def test_all_that_sqlalchemy_sends_counts_when_it_has_connected(doomed: Doomed) -> None:
    def run(url: URL) -> None:
        with create_engine(url).connect() as connection:
            operation_begins()
            for _ in range(3):
                connection.execute(text("SELECT 1"))

    assert doomed(run).statements == 5  # BEGIN, SELECT, ROLLBACK


def test_a_client_whose_operation_has_not_begun_is_not_struck(doomed: Doomed) -> None:
    def run(url: URL) -> None:
        psycopg.connect(libpq(url)).execute("SELECT 1")

    assert doomed(run, 0) == Outcome(struck=False, exit_code=0, statements=0)


def test_a_client_that_fails_by_itself_was_not_struck(doomed: Doomed) -> None:
    outcome = doomed(lambda url: psycopg.connect(libpq(url)).execute("nonsense"))
    assert not outcome.struck
    assert outcome.exit_code == 1


@pytest.mark.parametrize("how", ["SIGKILL", "terminate"])
def test_the_session_that_the_operation_uses_counts_and_others_are_relayed(
    doomed: Doomed, how: How
) -> None:
    def run(url: URL) -> None:
        with psycopg.connect(libpq(url)) as before, psycopg.connect(libpq(url)) as operation:
            before.execute("SELECT 1")
            operation_begins()
            operation.execute("SELECT 1")
            before.execute("SELECT 1")
            try:
                operation.execute("SELECT 1")
            except psycopg.OperationalError:
                before.execute("SELECT 1")  # only the operation's session is ended
                sys.exit(3)

    assert doomed(run).statements == 4  # BEGIN, SELECT, SELECT, COMMIT
    assert doomed(run, 2, how).exit_code == (-signal.SIGKILL if how == "SIGKILL" else 3)


def test_fewer_statements_are_fatal_where_a_proof_is_the_second_one() -> None:
    whole, first, second = (Selection(7, *options) for options in WAYS)
    assert [each.stride("SIGKILL") for each in (whole, first, second)] == [1, 1, 4]
    assert [each.stride("terminate") for each in (whole, first, second)] == [1, 2, 8]
    assert [each.stride("SIGKILL", 7) for each in (whole, first, second)] == [1, 7, 28]
    assert [each.parts(16) for each in (first, second)] == [16, 4]


WAYS = [(True, False), (False, False), (False, True)]  # every statement, the second proof


def test_a_seed_draws_the_same_statements_again() -> None:
    seed = Selection(7, False, False)
    drawn = [seed.chance("an operation", "SIGKILL").randrange(1 << 32) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert drawn[0] != seed.chance("another", "SIGKILL").randrange(1 << 32)
    assert drawn[0] != Selection(8, False, False).chance("an operation", "SIGKILL").randrange(
        1 << 32
    )


def test_the_server_has_seen_the_end_of_the_client(
    database: psycopg.Connection, doomed: Doomed
) -> None:
    there = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    for fatal in range(3):
        doomed(sing, fatal)
        assert database.execute(there + " AND backend_type = 'client backend'").fetchone() == (1,)
