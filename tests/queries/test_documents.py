"""Rows chosen by what their document holds."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, insert, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgmodern.errors import DocumentError, ServerTooOld
from pgmodern.indexes import JsonbIndex, JsonbKeyIndex
from pgmodern.queries import documents, page
from pgmodern.queries.documents import is_json_path, json_path, require_json_paths
from pgmodern.queries.explain import Explain, indexes_used


class Base(DeclarativeBase):
    """The metadata of this file."""


class Note(Base):
    """A document, indexed whole and where it is published."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    published: Mapped[bool] = mapped_column(default=True)
    document: Mapped[Any] = mapped_column(JSONB)
    whole = JsonbIndex("ix_notes_document", document)
    public = JsonbIndex("ix_notes_public", document, where=published.is_(True))
    year = JsonbKeyIndex("ix_notes_year", document, "year", kind="number")


TABLE = Note.__table__
DOCUMENTS = [
    {"year": 1999, "genre": "pop", "tracks": [{"artist": "A", "title": "T"}], "day": "2020-01-01"},
    {"year": 2001, "genre": "rock", "tracks": [{"artist": "B", "title": "T"}]},
    {"year": "1999", "genre": ["pop"], "tracks": []},
    {"a b": {"c": [1, 2, 3]}, "costs": "$5", "long": {"x" * 300: {"y" * 300: 1}}},
    ["year", 1999],
    "text",
    5,
]


@pytest.fixture
def notes(session: Session) -> Session:
    """A session that has the table and the documents."""
    Base.metadata.create_all(session.connection())
    rows = [
        {"id": number, "published": number % 2 == 0, "document": document}
        for number, document in enumerate(DOCUMENTS)
    ]
    session.execute(insert(Note), rows)
    return session


def _matching(session: Session, path: str) -> Sequence[int]:
    found = documents(Note.whole, [Note.whole.matches(json_path(path))])
    return sorted(session.scalars(found))


def test_the_keys_of_the_rows_that_meet_all_conditions_come(notes: Session) -> None:
    pop = documents(Note.whole, [Note.whole.contains({"genre": "pop"})])
    assert notes.execute(pop).all() == [(0,)]
    both = [Note.whole.contains({"tracks": [{"title": "T"}]}), Note.year.between(2000, None)]
    assert notes.execute(documents(Note.whole, both)).all() == [(1,)]
    assert len(notes.execute(documents(Note.whole, [])).all()) == len(DOCUMENTS)


def test_the_columns_to_order_by_come_too_and_once(notes: Session) -> None:
    order = [TABLE.c.published, TABLE.c.id]
    found = notes.execute(documents(Note.whole, [Note.whole.contains({"year": 2001})], order))
    assert list(found.keys()) == ["id", "published"]
    assert found.all() == [(1, False)]


def test_a_partial_index_finds_its_own_rows(notes: Session) -> None:
    condition = Note.public.contains({"tracks": []})
    assert sorted(notes.scalars(documents(Note.public, [condition]))) == [0, 2]
    notes.execute(text("SET LOCAL enable_seqscan = off"))
    plan = notes.scalar(Explain(documents(Note.public, [condition])))
    assert indexes_used(plan) in (["ix_notes_public"], ["ix_notes_document"])


def test_rows_are_found_before_they_are_ordered(notes: Session) -> None:
    notes.execute(text("SET LOCAL enable_seqscan = off"))
    found = documents(Note.whole, [Note.whole.contains({"genre": "pop"})], [TABLE.c.id])
    newest = found.subquery("found")
    plan = notes.scalar(Explain(page(newest.select(), [newest.c.id], None, 1)))
    assert "notes_pkey" not in indexes_used(plan)
    assert "CTE Scan" in str(plan)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$.year", [0, 1, 2]),
        ("$.year ? (@ > 2000)", [1]),
        ('$.tracks[*] ? (@.artist == "A" || @.artist == "B")', [0, 1]),
        ('$.tracks[*].title ? (@ starts with "T")', [0, 1]),
        ('$.genre ? (@ like_regex "^p.p$")', [0, 2]),
        ('$."a b".c[last] ? (@ == 3)', [3]),
        ('$.costs ? (@ == "$5")', [3]),
        ('$.costs ? (@ like_regex "\\\\$5$")', [3]),
        ("strict $.nothing", []),
        ("$.nothing", []),
        ("  $.year  ", [0, 1, 2]),
        ("$[*] ? (@ == 1999)", [4]),
        ("$ ? (@ == 5)", [6]),
        ("$.* ? (@ == 1999)", [0]),
        ("$.year * 2", [0, 1]),
        ("$.year / 0", []),
        ("$/* the root */.year", [0, 1, 2]),
        ('$.year /* "a quote */ ? (@ > 2000)', [1]),
        ('$.costs ? (@ == "/*" || @ == "$5")', [3]),
        (f"$.long.{'x' * 300}.{'y' * 300}", [3]),
        (f"$.long.{'x' * 300}.{'z' * 300}", []),
    ],
)
def test_a_path_finds_what_postgresql_says(path: str, expected: list[int], notes: Session) -> None:
    assert _matching(notes, path) == expected
    assert notes.scalar(is_json_path(path))


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tracks[*]",
        "$..((",
        "$.",
        "$[",
        "$.a ? (@ == )",
        '$.a ? (@ like_regex "(")',
        "\ud800",
        "'; DROP TABLE notes; --",
    ],
)
def test_what_is_no_path_finds_nothing_and_fails_nothing(path: str, notes: Session) -> None:
    assert _matching(notes, path) == []
    assert not notes.scalar(is_json_path(path))


@pytest.mark.parametrize(
    "path",
    [
        "$tracks[*].artist",
        "$.year ? (@ > $low)",
        '$.year ? (@ > $"low")',
        '$.day ? (@.datetime() < "2021-01-01T00:00:00+00:00".datetime())',
        '$.day.date() ? (@ < "2021-01-01T00:00:00+00:00".timestamp_tz())',
        "$." + "x" * 100_000,
        "$" + ".a" * 50_000,
        "$.a ? " + "(" * 10_000 + "1 == 1" + ")" * 10_000,
    ],
    ids=["root", "variable", "quoted", "datetime", "date", "key", "keys", "parentheses"],
)
def test_a_path_that_could_only_fail_on_the_server_is_refused(path: str, notes: Session) -> None:
    with pytest.raises(DocumentError):
        json_path(path)
    with pytest.raises(DocumentError):
        is_json_path(path)


_TOKENS = """
    $ @ . .. * ** [ ] ( ) ? ! && || == != < > <= + - / % , to last strict lax true false null 0 1
    -1 1e400 0x1 year tracks genre "year" "T" "" ' " \\ { } {1} exists starts with like_regex flag
    is unknown .size() .type() .double() .ceiling() .floor() .abs() .keyvalue() .string()
    .datetime() .date() .time() .timestamp_tz() .integer() .bigint() .decimal(1,2) .boolean()
    .number() $x $"x" /* */
"""
_tokens = st.sampled_from([*_TOKENS.split(), "\x00", " "])
_written = st.builds(
    "{}{}".format,
    st.sampled_from(["", "$", "$.year", "$.tracks[*]", "$ ? ("]),
    st.lists(_tokens, max_size=12).map("".join) | st.lists(_tokens, max_size=12).map(" ".join),
)


@settings(
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(path=_written | st.text(st.characters(exclude_categories=[])))
@example(path="$.year ? (@ > 1e400)")
@example(path="$.year[1e400]")
@example(path='$.** ? (@ like_regex "^(a+)+$" flag "q")')
def test_no_path_ever_fails_the_transaction(notes: Session, path: str) -> None:
    try:
        condition = Note.whole.matches(json_path(path))
    except DocumentError:
        return
    notes.execute(documents(Note.whole, [condition])).all()
    assert notes.scalar(is_json_path(path)) in (True, False)


@pytest.mark.quick
def test_a_server_that_cannot_tell_what_is_a_path_is_refused() -> None:
    dialect = create_engine("postgresql+psycopg://").dialect
    dialect.server_version_info = (16, 1)
    require_json_paths(dialect)
    dialect.server_version_info = (15, 4)
    with pytest.raises(ServerTooOld, match=r"JSON path need PostgreSQL 16; the server is 15\."):
        require_json_paths(dialect)
