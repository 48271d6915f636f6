"""A table that partitioning pays for, on a server with little memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine

from pgmodern.doctor.partitioning import Advice, partition_advice

MEMORY = 2**20
# 100,000 rows of 400 days; `at` is in the key.
PLAYS = """
    CREATE TABLE plays (
        id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT now(), listener int,
        PRIMARY KEY (id, at)
    ) WITH (autovacuum_enabled = off);
    CREATE INDEX ix_plays_at ON plays (at);
    INSERT INTO plays (at, listener)
        SELECT now() - (100000 - i) * interval '400 days' / 100000, i % 1000
        FROM generate_series(1, 100000) AS i;
"""
READ = "SELECT count(*) FROM plays WHERE at > now() - interval '1 day'"
FLUSH = "SELECT pg_stat_force_next_flush()"


@dataclass(frozen=True, slots=True)
class Advised:
    """What is said of a database, on a server with a megabyte of memory."""

    engine: Engine

    def all(self, memory: int | None = MEMORY) -> list[Advice]:
        """Return what is said of all tables."""
        with self.engine.connect() as connection:
            return partition_advice(connection, memory=memory)

    def of(self, table: str, memory: int | None = MEMORY) -> Advice:
        """Return what is said of a table."""
        with self.engine.connect() as connection:
            (advice,) = partition_advice(connection, table, memory=memory)
        return advice


@pytest.fixture
def advised() -> Callable[[Any], Advised]:
    """Return what is said of a patient's database."""
    return lambda patient: Advised(patient.engine)


@pytest.fixture
def plays(patient: Any) -> Any:
    """A database with plays that are asked for by time."""
    patient.execute(PLAYS, FLUSH, "ANALYZE plays", *[READ] * 5, FLUSH, "SELECT 1")
    return patient
