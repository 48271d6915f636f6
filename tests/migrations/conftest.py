"""The applications' databases before, and how they are migrated."""

import itertools
import random
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.pool import NullPool

from pgmodern.testing import fixtures
from pgmodern.testing.databases import database
from tests.kills import (
    NEVER,
    SURVIVED,
    How,
    Run,
    Selection,
    Survival,
    libpq,
    operation_begins,
    run_doomed,
)
from tests.legacy import Legacy, Rows
from tests.legacy.applications import APPLICATIONS

# What a partition is called, and where it begins and ends.
BOUND = re.compile(r"(?<=_from_)\d{8}|(?<=_until_)\d{8}|\b\d{4}-\d\d-\d\d(?= 00:00:00\+00)")
Connect = Callable[[URL], psycopg.Connection]
Copied = Callable[[URL], AbstractContextManager[URL]]
Dump = Callable[..., str]
Migrate = Callable[..., None]
Struck = Callable[..., Iterator[URL]]


@pytest.fixture(scope="session")
def legacy_template(postgres_url: URL) -> Iterator[URL]:
    """The databases of all the applications in one, to be cloned."""
    with database(postgres_url) as url:
        with psycopg.connect(libpq(url), autocommit=True) as connection:
            for legacy in APPLICATIONS:
                legacy.create(connection)
        yield url


@pytest.fixture
def legacy_url(legacy_template: URL, clone: Callable[[URL], URL]) -> URL:
    """A database with the tables and rows of all the applications."""
    return clone(legacy_template)


@pytest.fixture(scope="session")
def upgraded_template(postgres_url: URL, legacy_template: URL, alembic_ini: Path) -> Iterator[URL]:
    """The same, upgraded to head, to be cloned."""
    with database(postgres_url, legacy_template.database) as url:
        fixtures.migrate(url, alembic_ini)
        yield url


@pytest.fixture
def upgraded_url(upgraded_template: URL, clone: Callable[[URL], URL]) -> URL:
    """A database with the tables and rows of all the applications, upgraded to head."""
    return clone(upgraded_template)


@pytest.fixture(params=APPLICATIONS, ids=[legacy.name for legacy in APPLICATIONS])
def legacy(request: pytest.FixtureRequest) -> Legacy:
    """Each of the applications."""
    found: Legacy = request.param
    return found


@pytest.fixture
def rows(connect: Connect) -> Callable[[URL], Rows]:
    """Every row of all the applications' tables, without what the migrations add."""

    def read(url: URL) -> Rows:
        with connect(url) as connection:
            found = (legacy.read(connection) for legacy in APPLICATIONS)
            return {table: rows for each in found for table, rows in each.items()}

    return read


@pytest.fixture(scope="session")
def modern() -> Callable[[Rows], Rows]:
    """The rows of all the applications as they are to be after an upgrade."""

    def make(rows: Rows) -> Rows:
        for legacy in APPLICATIONS:
            rows = legacy.modern(rows)
        return rows

    return make


@pytest.fixture
def wrong(connect: Connect) -> Callable[[URL], int]:
    """The number of rows to which the migrations have not added what they should."""

    def count(url: URL) -> int:
        with connect(url) as connection:
            found = [connection.execute(each.wrong.encode()).fetchone() for each in APPLICATIONS]
        return sum(int(row[0]) for row in found if row)

    return count


@pytest.fixture
def migrate(alembic_ini: Path) -> Migrate:
    """Upgrade or downgrade a database as a program does; to `base` is always down."""

    def run(target: URL | Engine, revision: str = "head", *, down: bool = False) -> None:
        engine = create_engine(target, poolclass=NullPool) if isinstance(target, URL) else target
        config = Config(alembic_ini, attributes={"connection": engine})
        direction = command.downgrade if down or revision == "base" else command.upgrade
        engine.connect().close()
        operation_begins()
        direction(config, revision)
        engine.dispose()

    return run


@pytest.fixture(scope="session")
def dump(dump: Dump) -> Dump:
    """As that of the whole suite, but the first month of the partitions is no matter."""

    def run(url: URL, *options: str) -> str:
        written = dump(url, *options)
        days = sorted({bound.replace("-", "") for bound in BOUND.findall(written)})
        return BOUND.sub(lambda found: f"bound {days.index(found[0].replace('-', ''))}", written)

    return run


@pytest.fixture(scope="module")
def head(migrated_database_url: URL, dump: Dump) -> str:
    """The schema of a new database at head."""
    return dump(migrated_database_url)


@pytest.fixture
def struck(
    postgres_url: URL,
    connect: Connect,
    copied: Copied,
    selection: Selection,
    record_property: Callable[[str, object], None],
) -> Struck:
    """Yield copies of a database on which a run died, each time before another statement.

    Before one of each of its parts, at random. A run that has no parts is a single revision: with
    --every-statement it dies before each one, and else before one.
    """
    admin = connect(postgres_url)

    def instants(url: URL, run: Run, parts: int | None, chance: random.Random) -> list[int]:
        with copied(url) as copy:
            total = run_doomed(admin, copy, run, NEVER, "SIGKILL").statements
        if parts is None and selection.every_statement:
            return list(range(total))
        fatal = selection.parts(parts or 1)
        edges = [total * part // fatal for part in range(fatal + 1)]
        return [chance.randrange(*part) for part in itertools.pairwise(edges)]

    def strike(
        what: str, url: URL, run: Run, parts: int | None, how: How = "SIGKILL"
    ) -> Iterator[URL]:
        survival = Survival(what, how)
        for instant in instants(url, run, parts, selection.chance(what, how)):
            with copied(url) as copy:
                outcome = run_doomed(admin, copy, run, instant, how)
                # Batches go by time: there may be a few less than in the run that was counted.
                assert outcome.struck or instant - outcome.statements < 5
                survival.kills += 1
                print(f"{how} before statement {instant}")  # shown when the test fails
                yield copy
                survival.survived += 1
        record_property(SURVIVED, str(survival))

    return strike
