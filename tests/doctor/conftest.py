"""A database to be examined, and what executes a cure as a revision of its own."""

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Engine, NullPool

from pgmodern import create_engine, doctor
from pgmodern.doctor import Kind, diagnose

ENV = """
from sqlalchemy import MetaData
from pgmodern import environment

environment.run(MetaData())
"""


@dataclass(frozen=True, slots=True)
class Patient:
    """A database, looked at through the eyes of one role, by one check or by all."""

    database: psycopg.Connection
    engine: Engine
    migrations: Path
    kinds: Sequence[Kind]

    def execute(self, *statements: str) -> None:
        """Execute statements as superuser, each by itself."""
        for statement in statements:
            self.database.execute(statement.encode())

    def findings(self, *kinds: Kind, days: int = 0) -> list[dict[str, Any]]:
        """Return what is found, of these kinds or of the check's, as JSON has it."""
        with self.engine.connect() as connection:
            found = diagnose(connection, kinds=kinds or self.kinds, days=days)
        written: list[dict[str, Any]] = json.loads(json.dumps([asdict(each) for each in found]))
        return written

    def names(self, *kinds: Kind, days: int = 0) -> list[str]:
        """Return the names of what is found."""
        return [str(each["name"]) for each in self.findings(*kinds, days=days)]

    def cure(self, finding: dict[str, Any]) -> None:
        """Run the cure of a finding as the only line of the next revision."""
        versions = self.migrations / "versions"
        versions.mkdir(exist_ok=True)
        (self.migrations / "env.py").write_text(ENV)
        number = len(list(versions.glob("*.py")))
        (versions / f"r{number}.py").write_text(
            f"from alembic import op\nrevision = 'r{number}'\n"
            f"down_revision = {f'r{number - 1}' if number else None!r}\n"
            f"\ndef upgrade():\n    {finding['cure']}\n"
        )
        config = Config(attributes={"connection": self.engine})
        config.set_main_option("script_location", str(self.migrations))
        command.upgrade(config, "head")


@pytest.fixture
def kinds(request: pytest.FixtureRequest) -> Sequence[Kind]:
    """The kinds of the check whose tests these are: others may find more. Of none: all kinds."""
    check = getattr(doctor, request.module.__name__.rpartition("test_")[2], None)
    return getattr(check, "KINDS", tuple(Kind))


@pytest.fixture
def examined(
    connect: Callable[[URL], psycopg.Connection], tmp_path: Path, kinds: Sequence[Kind]
) -> Iterator[Callable[[URL], Patient]]:
    """Return the patient at a URL."""
    engines = []

    def open_(url: URL) -> Patient:
        engines.append(create_engine(url, poolclass=NullPool))
        return Patient(connect(url), engines[-1], tmp_path, kinds)

    yield open_
    for engine in engines:
        engine.dispose()


@pytest.fixture
def patient(empty_database_url: URL, examined: Callable[[URL], Patient]) -> Patient:
    """An empty database."""
    return examined(empty_database_url)


@pytest.fixture
def stranger(
    patient: Patient, examined: Callable[[URL], Patient], empty_database_url: URL
) -> Iterator[Patient]:
    """The same database through the eyes of a role that may nothing."""
    role = f"stranger_{uuid.uuid4().hex}"  # roles are the whole server's
    patient.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'stranger'")
    yield examined(empty_database_url.set(username=role, password="stranger"))
    patient.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")
