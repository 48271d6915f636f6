"""Runs SQLAlchemy's tests of a dialect over its engines and ours: `python -m tools.dialect_suite`.

No test that passes over an engine of SQLAlchemy's may fail over one of ours, synchronous or not.
Nothing is deselected for either. What each run reports, as JUnit's XML, is left in `.suite`.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

from sqlalchemy import URL, create_engine, text
from sqlalchemy.pool import NullPool

from pgmodern import embedded
from pgmodern.testing.databases import database

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / ".suite"
TESTS = ROOT / "tests" / "dialect"
DRIVERS = ("psycopg", "psycopg_async")
# What the tests themselves say a database of PostgreSQL's must have.
_PREPARE = (
    "CREATE SCHEMA test_schema",
    "CREATE SCHEMA test_schema_2",
    "CREATE EXTENSION hstore",
    "CREATE EXTENSION citext",
)

Outcomes = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Compared:
    """What the tests said over both engines of one driver."""

    driver: str
    stock: Outcomes
    ours: Outcomes

    @property
    def worse(self) -> list[str]:
        """The tests that pass over SQLAlchemy's engine, and not over ours."""
        return sorted(
            name
            for name, outcome in self.stock.items()
            if outcome == "passed" and self.ours.get(name) != "passed"
        )


def outcomes(report: str) -> Outcomes:
    """Return what became of each test of a report in JUnit's XML."""
    found = {}
    for case in ET.fromstring(report).iter("testcase"):
        of = {child.tag for child in case} & {"failure", "error", "skipped"}
        name = f"{case.get('classname')}::{case.get('name')}"
        found[name] = next(iter(of), "passed")
    return found


def run(server: URL, engine: str, driver: str) -> Outcomes:
    """Run the tests once, in a database of their own."""
    REPORTS.mkdir(exist_ok=True)
    report = REPORTS / f"dialect.{engine}.{driver}.xml"
    report.unlink(missing_ok=True)
    with database(server) as url:
        admin = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            for statement in _PREPARE:
                connection.execute(text(statement))
        uri = url.set(drivername=f"postgresql+{driver}").render_as_string(hide_password=False)
        subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-c", str(TESTS / "setup.cfg"), "-q"),
                *(f"--dburi={uri}", f"--junit-xml={report}", "--tb=no"),
                str(TESTS / "test_suite.py"),
            ],
            cwd=TESTS,
            env={**os.environ, "PGMODERN_ENGINE": engine},
            check=False,
            stdout=(REPORTS / f"dialect.{engine}.{driver}.log").open("w"),
            stderr=subprocess.STDOUT,
        )
    return outcomes(report.read_text())


def compared() -> list[Compared]:
    """Run the tests over both engines of every driver."""
    with TemporaryDirectory(prefix="pgmodern-") as home:
        server = embedded.start(Path(home), keep=False)
        return [
            Compared(driver, run(server, "stock", driver), run(server, "ours", driver))
            for driver in DRIVERS
        ]


def main() -> int:
    """Print a row for each driver; return 1 where a test fails over our engine alone."""
    results = compared()
    print(f"{'dialect suite':<16}{'tests':>7}{'pass, stock':>13}{'pass, ours':>12}{'worse':>7}")
    for result in results:
        stock, ours = (Counter(found.values())["passed"] for found in (result.stock, result.ours))
        print(
            f"{result.driver:<16}{len(result.stock):>7}{stock:>13}{ours:>12}{len(result.worse):>7}"
        )
    for result in results:
        for name in result.worse:
            print(f"{result.driver}: passes over SQLAlchemy's engine, not over ours: {name}")
    print("deselected: none")
    return int(any(result.worse or not result.stock for result in results))


if __name__ == "__main__":
    sys.exit(main())
