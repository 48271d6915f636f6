"""What pg_stat_statements counted, on a server that loads it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL, text

from pgmodern import embedded
from pgmodern.doctor.partitioning.statements import called, reads
from tests.doctor.partitioning.conftest import PLAYS, READ
from tests.kills import libpq

# A server loads libraries as it starts: it is told by a process with which it stops again.
PROGRAM = """
import sys
from pathlib import Path
import psycopg
from pgmodern import embedded

url = embedded.start(Path(sys.argv[1])).set(drivername="postgresql")
with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as admin:
    admin.execute("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
"""


@pytest.fixture(scope="module")
def counting_server() -> Iterator[URL]:
    """An embedded server of its own that loads pg_stat_statements."""
    with tempfile.TemporaryDirectory(prefix="pgmodern-counting-") as home:
        subprocess.run([sys.executable, "-c", PROGRAM, home], check=True, env=os.environ)
        yield embedded.start(Path(home), keep=False)


@pytest.fixture
def counted(counting_server: URL, examined: Callable[[URL], Any]) -> Iterator[Any]:
    """A database on it with plays, of which nothing was counted yet."""
    with psycopg.connect(libpq(counting_server), autocommit=True) as admin:
        admin.execute("CREATE DATABASE plays")
        patient = examined(counting_server.set(database="plays"))
        patient.execute(
            "CREATE SCHEMA ext; CREATE EXTENSION pg_stat_statements SCHEMA ext",
            PLAYS,
            "ANALYZE plays",
            "SELECT ext.pg_stat_statements_reset()",
        )
        yield patient
        admin.execute("DROP DATABASE plays WITH (FORCE)")


@pytest.mark.quick
def test_calls_that_compare_a_column_are_told_from_those_that_do_not(
    counted: Any, advised: Callable[[Any], Any]
) -> None:
    counted.execute(
        *[READ] * 3,
        "SELECT * FROM plays p WHERE p.listener = 5 AND at BETWEEN '2020-01-01' AND '2020-02-01'",
        "SELECT * FROM plays WHERE id IN (1, 2, 3)",
        "SELECT * FROM plays WHERE date_trunc('day', at) = '2020-01-01'",
        "INSERT INTO plays (at) VALUES (now())",
        "DELETE FROM plays WHERE at < '2019-01-01'",
    )
    with counted.engine.connect() as connection:
        found = reads(called(connection), "public", "plays", ["id", "at"])
    assert (found.total, found.columns, found.removals) == (
        7,
        {"id": 1, "at": 5},
        {"id": 0, "at": 1},
    )
    advice = advised(counted).of("plays")
    assert advice.verdict == "yes"
    assert "71 % of its reads (pg_stat_statements) compare at" in advice.reason
    assert advice.reason.endswith("rows are deleted by it, which dropping a partition does at once")


def test_most_reads_by_another_column_are_a_no(counted: Any, advised: Callable[[Any], Any]) -> None:
    counted.execute(READ, *["SELECT * FROM plays WHERE listener = 7"] * 3)
    advice = advised(counted).of("plays")
    assert advice.verdict == "no"
    assert "only 25 % of its reads (pg_stat_statements) compare at" in advice.reason


def test_what_was_counted_in_another_database_is_not(counted: Any, counting_server: URL) -> None:
    with psycopg.connect(libpq(counting_server), autocommit=True) as other:
        other.execute("CREATE TEMPORARY TABLE plays (id int)")
        other.execute("SELECT * FROM plays WHERE id = 1")
    with counted.engine.connect() as connection:
        assert reads(called(connection), "public", "plays", ["id"]).total == 0


def test_the_statements_of_others_are_not_shown_to_everybody(
    counted: Any, counting_server: URL, examined: Callable[[URL], Any]
) -> None:
    counted.execute(READ, "CREATE ROLE reader LOGIN", "GRANT USAGE ON SCHEMA ext TO reader")
    reader = examined(counted.engine.url.set(username="reader"))
    with reader.engine.connect() as connection:
        assert reads(called(connection), "public", "plays", ["at"]).total == 0
    counted.execute("GRANT pg_read_all_stats TO reader")
    with reader.engine.connect() as connection:
        assert reads(called(connection), "public", "plays", ["at"]).total == 1
    counted.execute("DROP OWNED BY reader", "DROP ROLE reader")


@pytest.mark.quick
def test_an_extension_that_is_not_loaded_or_not_allowed_counts_nothing(
    patient: Any, stranger: Any
) -> None:
    patient.execute("CREATE SCHEMA ext; CREATE EXTENSION pg_stat_statements SCHEMA ext")
    with patient.engine.connect() as connection:
        libraries = str(connection.scalar(text("SHOW shared_preload_libraries")))
    for each in (patient, stranger):
        with each.engine.connect() as connection:
            counts = each is patient and "pg_stat_statements" in libraries
            assert bool(called(connection)) == counts
            assert connection.scalar(text("SELECT 1")) == 1
