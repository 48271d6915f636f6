"""Conditions of one call: built once for each shape, and never with the constants of another."""

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    ColumnElement,
    Engine,
    Text,
    bindparam,
    create_engine,
    event,
    func,
    insert,
    not_,
    or_,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.functions import FunctionElement

from pgmodern.reference.music import Archive, ArchiveRepository
from pgmodern.repositories import documents
from pgmodern.repositories.conditions import conditions
from pgmodern.testing.databases import database

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = [f"name {number}" for number in range(12)]
Condition = ColumnElement[bool]


@pytest.fixture(scope="module")
def database_url(postgres_url: Any, template_database: str) -> Iterator[Any]:
    """A database with a few archives; every test rolls back what it did."""
    with database(postgres_url, template_database) as url:
        engine = create_engine(url, poolclass=NullPool)
        rows = [
            {
                "id": uuid.UUID(int=number + 1),
                "user_id": uuid.UUID(int=number % 3),
                "name": name,
                "playlist_data": {"tracks": [], "year": 1980 + number, "genre": f"g{number % 4}"},
                "created_at": START + timedelta(hours=number),
            }
            for number, name in enumerate(NAMES)
        ]
        with engine.begin() as connection:
            connection.execute(insert(Archive), rows)
        yield url


_name = st.sampled_from([*NAMES, "none of them", "it's", "100%"])
_number = st.integers(0, 13)
_user = st.integers(0, 3).map(lambda number: uuid.UUID(int=number))
_leaf: st.SearchStrategy[Condition] = st.one_of(
    _name.map(lambda name: Archive.name == name),
    _name.map(lambda name: Archive.name != name),
    _name.map(lambda name: Archive.name.ilike(name + "%")),
    st.lists(_name, max_size=4).map(Archive.name.in_),
    st.lists(_name, max_size=4).map(Archive.name.not_in),
    _user.map(lambda user: Archive.user_id == user),
    _number.map(lambda n: Archive.created_at >= START + timedelta(hours=n)),
    st.tuples(_number, _number).map(lambda n: Archive.year.between(1980 + n[0], 1980 + n[1])),
    _number.map(lambda n: Archive.genre.equals(f"g{n}")),
    _user.map(
        lambda user: Archive.id.in_(select(Archive.id).where(Archive.user_id == user).limit(2))
    ),
    st.just(Archive.name.is_(None)),
)
_condition = st.recursive(
    _leaf,
    lambda inner: st.one_of(inner.map(not_), st.tuples(inner, inner).map(lambda two: or_(*two))),
    max_leaves=4,
)


@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(where=st.lists(_condition, max_size=3))
def test_every_condition_finds_what_a_plain_select_does(
    session: Session, where: list[Condition]
) -> None:
    found = ArchiveRepository(session).where(*where, size=100).rows
    plain = select(Archive.name).where(*where).order_by(Archive.created_at.desc())
    assert [hit.name for hit in found] == list(session.scalars(plain))


def test_conditions_of_the_same_shape_are_equal_and_their_constants_are_not() -> None:
    one, other = ([Archive.name == name, Archive.year.equals(7)] for name in ("a", "b"))
    assert conditions(one) == conditions(other)
    assert hash(conditions(one)) == hash(conditions(other))
    assert "a" in conditions(one).values.values()
    assert "b" in conditions(other).values.values()
    assert conditions(one) != conditions(one[:1])
    assert conditions([Archive.name == "a"]) != conditions([Archive.name != "a"])
    assert conditions([Archive.name.in_(["a"])]) == conditions([Archive.name.in_(["a", "b"])])


@pytest.fixture
def built() -> Callable[[], int]:
    """Return how many statements have been built since the last call."""
    documents._page.cache_clear()
    last = 0

    def since() -> int:
        nonlocal last
        before, last = last, documents._page.cache_info().misses
        return last - before

    return since


def test_a_statement_is_built_once_for_each_shape(
    session: Session, built: Callable[[], int]
) -> None:
    archives = ArchiveRepository(session)
    for number in range(5):
        archives.with_key("genre", f"g{number}")
        archives.of_user(uuid.UUID(int=number))
        archives.where(Archive.name.in_(NAMES[:number]))
    assert built() == 3


def test_a_parameter_with_a_value_of_its_own_has_that_of_its_call(session: Session) -> None:
    archives = ArchiveRepository(session)
    for name in NAMES[:3]:
        found = archives.where(Archive.name == bindparam("called", name)).rows
        assert [hit.name for hit in found] == [name]
    required = Archive.name == bindparam("called", type_=Text)
    for name in NAMES[:3]:
        assert [hit.name for hit in archives.where(required, called=name).rows] == [name]


def test_what_two_conditions_share_stays_one(session: Session) -> None:
    chosen = select(Archive.id).where(Archive.name.in_(NAMES[2:5])).cte("chosen")
    where = [
        Archive.id.in_(select(chosen.c.id)),
        Archive.id != select(chosen.c.id).limit(0).scalar_subquery(),
    ]
    sent: list[str] = []
    engine = session.get_bind()
    assert isinstance(engine, Engine)
    event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    ArchiveRepository(session).where(*where)
    assert sent[0].count("chosen AS") == 1


class Uncacheable(FunctionElement[bool]):
    """An element that SQLAlchemy keeps no statement of."""

    inherit_cache = False
    name = "uncacheable"


@compiles(Uncacheable)
def _compile(element: Uncacheable, compiler: Any, **kw: Any) -> str:
    return f"({compiler.process(element.clauses, **kw)})"


def test_what_has_no_shape_is_built_each_time(session: Session, built: Callable[[], int]) -> None:
    for name in NAMES[:3]:
        where = Uncacheable(func.coalesce(Archive.name, "") == name)
        found = ArchiveRepository(session).where(where).rows
        assert [hit.name for hit in found] == [name]
    assert built() == 3
