"""Runs SQLAlchemy's tests of a dialect over our engines: `python -m tools.dialect_suite [--all]`.

No test that passes over an engine of SQLAlchemy's may fail over one of ours, synchronous or not.
So what does not pass over ours is run over SQLAlchemy's; with `--all`, everything is. Nothing else
is left out for either. What each run reports, as JUnit's XML, is left in `.suite`.
"""

import argparse
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

import pytest
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


def run(server: URL, engine: str, driver: str, only: Iterable[str] | None = None) -> Outcomes:
    """Run the tests once, in a database of their own: all of them, or `only` some by name."""
    REPORTS.mkdir(exist_ok=True)
    report = REPORTS / f"dialect.{engine}.{driver}.xml"
    report.unlink(missing_ok=True)
    named = report.with_suffix(".only")
    named.write_text("\n".join(only or ()))
    with database(server) as url:
        admin = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            for statement in _PREPARE:
                connection.execute(text(statement))
        uri = url.set(drivername=f"postgresql+{driver}").render_as_string(hide_password=False)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-c", str(TESTS / "setup.cfg"), "-q"),
                *(f"--dburi={uri}", f"--junit-xml={report}", "--tb=no"),
                *([] if only is None else ["-p", "only"]),
                str(TESTS / "test_suite.py"),
            ],
            cwd=TESTS,
            env={**os.environ, "PGMODERN_ENGINE": engine, "PGMODERN_ONLY": str(named)},
            check=False,
            stdout=(REPORTS / f"dialect.{engine}.{driver}.log").open("w"),
            stderr=subprocess.STDOUT,
        )
    # What is not reported would not be missed.
    assert done.returncode in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}, report
    return outcomes(report.read_text())


def compared(*, everything: bool = True) -> list[Compared]:
    """Run the tests over our engine of every driver, and over SQLAlchemy's.

    Over the latter only what does not pass over ours, unless `everything` is asked for.
    """
    with TemporaryDirectory(prefix="pgmodern-") as home:
        server = embedded.start(Path(home), keep=False)
        return [_compared(server, driver, everything=everything) for driver in DRIVERS]


def _compared(server: URL, driver: str, *, everything: bool) -> Compared:
    ours = run(server, "ours", driver)
    not_passed = [name for name, outcome in ours.items() if outcome != "passed"]
    return Compared(driver, run(server, "stock", driver, None if everything else not_passed), ours)


def main() -> int:
    """Print a row for each driver; return 1 where a test fails over our engine alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="every test over both engines")
    results = compared(everything=parser.parse_args().all)
    print(f"{'dialect suite':<16}{'ours: tests':>12}{'pass':>6}{'stock: tests':>14}{'pass':>6}")
    for result in results:
        counts = [
            (len(found), Counter(found.values())["passed"]) for found in (result.ours, result.stock)
        ]
        (tests, ours), (asked, stock) = counts
        print(f"{result.driver:<16}{tests:>12}{ours:>6}{asked:>14}{stock:>6}")
    for result in results:
        for name in result.worse:
            print(f"{result.driver}: passes over SQLAlchemy's engine, not over ours: {name}")
    print("deselected: none")
    return int(any(result.worse or not result.ours for result in results))


if __name__ == "__main__":
    sys.exit(main())
