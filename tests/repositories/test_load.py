"""Very many rows: what cannot be stored is named, and what was stored before stays."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import (
    URL,
    CheckConstraint,
    Engine,
    Identity,
    Integer,
    String,
    create_engine,
    event,
    func,
    select,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool

from pgmodern.errors import LoadError, PgmodernError
from pgmodern.indexes import HnswIndex, TrigramIndex
from pgmodern.repositories import VectorRepository, load
from pgmodern.testing.databases import database
from pgmodern.types import Vector
from tests.conftest import ROOT


class Base(DeclarativeBase):
    """The metadata of this file."""


class Shell(Base):
    """A row that may be wrong in many ways."""

    __tablename__ = 'shells of "50%"'

    number: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(String(5), unique=True)
    size: Mapped[int] = mapped_column(Integer)
    shape: Mapped[Any | None] = mapped_column(Vector(3))
    near = HnswIndex('ix "near"', shape)
    alike = TrigramIndex("ix_alike", name)
    __table_args__ = (CheckConstraint("size > 0"),)


class ShellRepository(VectorRepository[tuple[Any, ...]]):
    """Shells by their shape."""

    row, payload = (lambda *row: row), select(Shell.name)
    vectors = Shell.near
    stored, unique = ("name", "size", "shape"), ("name",)


@pytest.fixture
def database_url(postgres_url: URL, template_database: str) -> Iterator[URL]:
    """A database with the table, for each test."""
    with database(postgres_url, template_database) as url:
        Base.metadata.create_all(create_engine(url, poolclass=NullPool))
        yield url


def _rows(count: int) -> list[tuple[Any, ...]]:
    return [(f"n{number}", number + 1, [number, 1, 2]) for number in range(count)]


def _count(engine: Engine) -> int:
    with Session(engine) as session:
        return session.execute(select(func.count()).select_from(Shell)).scalar_one()


@pytest.mark.quick
@pytest.mark.parametrize("whole", [True, False])
def test_rows_are_stored_in_batches_and_a_second_load_updates_them(
    engine: Engine, whole: bool
) -> None:
    told: list[int] = []
    assert (
        load(engine, ShellRepository, _rows(25), batch=10, whole=whole, advance=told.append) == 25
    )
    assert told == [10, 10, 5]
    larger = [(name, size * 10, shape) for name, size, shape in _rows(25)]
    assert load(engine, ShellRepository, iter(larger), batch=7, whole=whole) == 25
    assert _count(engine) == 25
    with Session(engine) as session:
        assert session.scalar(select(Shell.size).where(Shell.name == "n24")) == 250
    assert load(engine, ShellRepository, []) == 0


BAD: dict[str, tuple[Any, ...]] = {
    "too long for the server": ("abcdef", 1, [1, 2, 3]),
    "against a constraint": ("a", 0, [1, 2, 3]),
    "without a value": (None, 1, [1, 2, 3]),
    "of another dimension": ("a", 1, [1, 2]),
    "not a number": ("a", 1, [1, 2, float("nan")]),
    "too large a number": ("a", 2**31, [1, 2, 3]),
    "no number": ("a", "one", [1, 2, 3]),
    "NUL": ("a\0", 1, [1, 2, 3]),
    "too few values": ("a", 1),
}


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("place", [0, 9, 10, 17, 24])
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_row_is_named_by_its_position_and_nothing_of_its_batch_is_left(
    engine: Engine, bad: tuple[Any, ...], place: int, whole: bool
) -> None:
    rows = _rows(25)
    rows[place] = bad
    with pytest.raises(LoadError, match=f"Row {place} cannot be stored") as raised:
        load(engine, ShellRepository, rows, batch=10, whole=whole)
    before = 0 if whole else place // 10 * 10
    assert (raised.value.position, raised.value.stored) == (place, before)
    assert isinstance(raised.value, PgmodernError)
    assert _count(engine) == before
    rows[place] = ("ok", 1, None)
    rest = itertools.islice(rows, raised.value.stored, None)
    assert load(engine, ShellRepository, rest, batch=10, whole=whole) == 25 - before
    assert _count(engine) == 25


@pytest.mark.quick
def test_the_first_of_several_bad_rows_is_named(engine: Engine) -> None:
    rows = _rows(100)
    rows[40] = rows[33] = rows[77] = ("a", -1, None)
    with pytest.raises(LoadError) as raised:
        load(engine, ShellRepository, rows)
    assert (raised.value.position, raised.value.stored) == (33, 0)


@pytest.mark.quick
def test_what_the_rows_iterator_raises_is_its_own(engine: Engine) -> None:
    def rows() -> Iterator[tuple[Any, ...]]:
        yield from _rows(12)
        raise RuntimeError("the file ends here")

    with pytest.raises(RuntimeError, match="the file ends here"):
        load(engine, ShellRepository, rows(), batch=10)
    assert _count(engine) == 10


def _indexes(engine: Engine) -> dict[str, bool]:
    """Return whether each index of the table is valid."""
    found = text(
        "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON oid = indexrelid "
        'WHERE indrelid = \'"shells of ""50%"""\'::regclass'
    )
    with engine.connect() as connection:
        valid: dict[str, bool] = dict(connection.execute(found).all())
        return valid


def test_in_the_end_the_table_is_analyzed_and_no_list_is_pending(engine: Engine) -> None:
    load(engine, ShellRepository, _rows(300), batch=100)
    counted = text("SELECT reltuples FROM pg_class WHERE relname = 'shells of \"50%\"'")
    pending = text("SELECT pending_tuples FROM pgstatginindex('ix_alike'::regclass)")
    with engine.connect() as connection:
        connection.execute(text("CREATE EXTENSION pgstattuple"))
        assert (connection.scalar(pending), connection.scalar(counted)) == (0, 300)


@pytest.mark.quick
@pytest.mark.parametrize("fails", [True, False])
def test_deferred_indexes_are_away_while_rows_come_and_there_in_the_end(
    engine: Engine, fails: bool
) -> None:
    declared = _indexes(engine)
    seen: list[set[str] | None] = []

    def rows() -> Iterator[tuple[Any, ...]]:
        for row in _rows(30):
            seen.append(set(_indexes(engine)) if len(seen) % 10 == 0 else None)
            yield row
        if fails:
            yield ("a", 0, None)

    defer = (Shell.near, Shell.alike)
    if fails:
        with pytest.raises(LoadError):
            load(engine, ShellRepository, rows(), batch=10, defer=defer)
    else:
        load(engine, ShellRepository, rows(), batch=10, defer=defer)
    away = {str(index.name) for index in defer}
    assert all(not away & each for each in seen if each is not None)
    assert _indexes(engine) == declared
    assert all(declared.values())


@pytest.mark.quick
def test_no_round_is_made_for_what_is_not_there(engine: Engine) -> None:
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    load(engine, ShellRepository, [])
    assert not [each for each in sent if "COPY" in each or "INSERT" in each]


PROGRAM = """
import sys
from sqlalchemy import inspect
from pgmodern import create_engine
from pgmodern.repositories import load
from tests.repositories.products import Base, Neighbours, Product, row
from tests.conftest import ROOT

engine = create_engine(sys.argv[1])
Base.metadata.create_all(engine)
before = {index["name"] for index in inspect(engine).get_indexes("products")}
rows = [row(number) for number in range(5)]
assert load(engine, Neighbours, rows, defer=[Product.near, Product.name_trgm]) == 5
assert {index["name"] for index in inspect(engine).get_indexes("products")} == before
"""


def test_indexes_are_deferred_in_a_process_that_ran_no_env_py(empty_database_url: URL) -> None:
    url = empty_database_url.render_as_string(hide_password=False)
    subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM, url], check=True, cwd=ROOT)
