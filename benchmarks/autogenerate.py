"""What `alembic check` takes on 1,000 tables, and what it finds though nothing has changed."""

import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import (
    URL,
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    Engine,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
    create_engine,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.pool import NullPool

from benchmarks.database import ROOT, administer
from benchmarks.dataset import Dataset
from benchmarks.report import Figure, Report
from pgmodern import operations
from pgmodern.indexes import FullTextIndex, HnswIndex, JsonbIndex, JsonbKeyIndex, TrigramIndex
from pgmodern.types import Vector

TABLES, ROUNDS = 1_000, 5
AT_MOST = 1.5

OURS = """
from benchmarks.autogenerate import models
from pgmodern import environment
environment.run(models())
"""
# What Alembic's own template says.
PLAIN = """
import os
from alembic import context
from benchmarks.autogenerate import models
from sqlalchemy import create_engine, pool
url = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:")
with create_engine(url, poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection, target_metadata=models())
    with context.begin_transaction():
        context.run_migrations()
"""


def models(number: int = TABLES) -> MetaData:
    """Return tables of nine columns and four to eight indexes, as applications have them."""
    metadata = MetaData()
    for at in range(number):
        table = Table(
            f"table_{at}",
            metadata,
            Column("id", BigInteger, Identity(), primary_key=True),
            Column("title", Text, nullable=False, unique=True),
            Column("album", Text, index=True),
            Column("plays", Integer, nullable=False, server_default=text("0")),
            Column("price", Numeric(10, 2)),
            Column("more", JSONB),
            Column("small", Vector(8)),
            Column("created_at", DateTime(timezone=True), server_default=func.now()),
        )
        if at:
            key = ForeignKey(f"table_{at - 1}.id")
            table.append_column(Column("parent_id", BigInteger, key, index=True))
        Index(f"newest_{at}", table.c.created_at.desc(), table.c.id)
        TrigramIndex(f"trgm_{at}", table.c.title)
        JsonbIndex(f"more_{at}", table.c.more)
        _sometimes(at, table)
    return metadata


def _sometimes(at: int, table: Table) -> None:
    if at % 2 == 0:
        HnswIndex(f"small_{at}", table.c.small)
    if at % 5 == 0:
        Index(f"active_{at}", table.c.plays, postgresql_where=table.c.plays > 0)
        table.append_constraint(CheckConstraint("plays >= 0", name=f"played_{at}"))
    if at % 10 == 0:
        JsonbKeyIndex(f"year_{at}", table.c.more, "year", kind="number")
        Index(f"lower_{at}", func.lower(table.c.title))
    if at % 20 == 0:
        table.append_column(Column("found", TSVECTOR))
        FullTextIndex(f"found_{at}", [(table.c.title, "A")], stored=table.c.found)
        table.append_column(Column("twice", Integer, Computed("plays * 2", persisted=True)))


def ask(engine: Engine, _: Dataset) -> Report:
    """Check in turns, each in a process of its own, as pipelines do."""
    name = f"autogenerate_{uuid.uuid4().hex}"
    administer(engine, f"CREATE DATABASE {name}")
    try:
        return _measure(engine.url.set(database=name))
    finally:
        administer(engine, f"DROP DATABASE {name} WITH (FORCE)")


def _measure(url: URL) -> Report:
    _build(url)
    seconds: dict[str, list[float]] = {OURS: [], PLAIN: []}
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            for environment, each in seconds.items():
                started = time.perf_counter()
                found[environment] = _check(Path(folder), environment, url)
                each.append(time.perf_counter() - started)
    ours, plain = (float(np.median(each)) for each in (seconds[OURS], seconds[PLAIN]))
    return Report(
        f"alembic check on {TABLES:,} tables, nothing changed",
        "plain Alembic",
        [
            Figure("seconds", ours, "s", plain),
            Figure("of plain Alembic's", ours / plain, "x", at_most=AT_MOST),
            Figure("differences found", found[OURS], "", found[PLAIN], at_most=0),
        ],
        [f"Medians of {ROUNDS} processes each, in turns."],
    )


def _build(url: URL) -> None:
    operations.register()
    engine, metadata = create_engine(url, poolclass=NullPool), models()
    with engine.begin() as connection:
        op: Any = Operations(MigrationContext.configure(connection))
        for extension in ("vector", "pg_trgm", "unaccent"):
            op.create_extension(extension)
        op.create_text_search_configuration("public.simple_unaccent")
    for table in metadata.sorted_tables:  # one by one: a transaction can hold only so many locks
        table.create(engine)
    with engine.begin() as connection:
        op = Operations(MigrationContext.configure(connection))
        for index in _stored(metadata):
            op.add_search_vector(index.parent.name, index.stored, index.weights)


def _stored(metadata: MetaData) -> list[FullTextIndex]:
    indexes: Any = (index for table in metadata.tables.values() for index in table.indexes)
    return [each for each in indexes if isinstance(each, FullTextIndex)]


def _check(folder: Path, environment: str, url: URL) -> int:
    """Return how many differences a check finds."""
    (folder / "versions").mkdir(exist_ok=True)
    (folder / "env.py").write_text(environment)
    (folder / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s\n")
    given = url.set(drivername="postgresql").render_as_string(hide_password=False)
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "-c", folder / "alembic.ini", "check"],
        env=os.environ | {"DATABASE_URL": given, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return 0
    change = r"\('(?:add|remove|modify|create|drop|replace|set)_\w+'"
    detected = re.findall(change, done.stdout + done.stderr)
    if not detected:
        raise RuntimeError(done.stdout + done.stderr)
    return len(detected)
