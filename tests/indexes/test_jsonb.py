"""JSONB indexes: what they serve, and that no document ever makes an INSERT fail."""

import json
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import ColumnElement, Index, Text, cast, delete, insert, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgmodern.errors import DocumentError
from pgmodern.indexes import JsonbIndex, JsonbKeyIndex
from pgmodern.indexes.jsonb import encoded
from pgmodern.queries.documents import json_path
from pgmodern.queries.explain import Explain, indexes_used


class Base(DeclarativeBase):
    """The metadata of this file."""


class Note(Base):
    """A document."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    document: Mapped[Any] = mapped_column(JSONB)
    whole = JsonbIndex("ix_notes_document", document)
    words = JsonbKeyIndex("ix_notes_words", document, "v")
    number = JsonbKeyIndex("ix_notes_number", document, "v", kind="number")


@pytest.fixture
def notes(session: Session) -> Session:
    """A session that has the table."""
    Base.metadata.create_all(session.connection())
    return session


def _add(session: Session, *documents: object) -> None:
    for document in documents:
        session.execute(insert(Note).values(document=document))


def _add_written(session: Session, document: str) -> None:
    session.execute(insert(Note).values(document=cast(literal(document, Text), JSONB)))


def _found(session: Session, condition: ColumnElement[bool]) -> Sequence[Any]:
    return session.scalars(select(Note.document["v"]).where(condition).order_by(Note.id)).all()


def _indexes(session: Session, condition: ColumnElement[bool]) -> list[str]:
    session.execute(text("SET LOCAL enable_seqscan = off"))
    return indexes_used(session.scalar(Explain(select(Note.id).where(condition))))


EXACT: Any = Decimal("1.5")


@pytest.mark.parametrize(
    ("index", "condition"),
    [
        (Note.whole, Note.whole.contains({"v": 1})),
        (Note.whole, Note.whole.matches(json_path("$.v ? (@ == 1)"))),
        (Note.words, Note.words.equals("x")),
        (Note.words, Note.words.equals("x" * 300)),
        (Note.words, Note.words.between("a", "b")),
        (Note.words, Note.words.between("a" * 255, "b" * 255)),
        (Note.words, Note.words.between(None, "b")),
        (Note.words, Note.words.between(None, None)),
        (Note.number, Note.number.equals(1)),
        (Note.number, Note.number.equals(1.5)),
        (Note.number, Note.number.equals(EXACT)),
        (Note.number, Note.number.between(1.5, 2)),
        (Note.number, Note.number.between(1, None)),
        (Note.number, Note.number.between(None, None)),
    ],
    ids=lambda each: str(each.name if isinstance(each, Index) else each),
)
def test_the_index_serves_each_condition(
    index: JsonbIndex | JsonbKeyIndex, condition: ColumnElement[bool], notes: Session
) -> None:
    assert _indexes(notes, condition) == [index.name]


DOCUMENTS = [
    {"v": 1, "w": [1, 2, {"x": "y"}]},
    {"v": "1", "w": []},
    {"v": None},
    {"w": 1},
    ["v"],
    "v",
    7,
    None,
]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"v": 1}, [0]),
        ({"v": "1"}, [1]),
        ({"v": None}, [2]),
        ({"w": [{"x": "y"}]}, [0]),
        ({"w": [2, 1]}, [0]),
        ({"w": []}, [0, 1]),
        ({}, [0, 1, 2, 3]),
        (["v"], [4]),
        ("v", [4, 5]),
        (7, [6]),
        (None, [7]),
        ({"v": 1.0}, [0]),
        ({"v": True}, []),
    ],
)
def test_a_document_is_contained_as_postgresql_says(
    document: Any, expected: list[int], notes: Session
) -> None:
    for number, each in enumerate(DOCUMENTS):
        notes.execute(insert(Note).values(id=number, document=each if each is not None else None))
    found = select(Note.id).where(Note.whole.contains(document)).order_by(Note.id)
    assert notes.scalars(found).all() == expected


def test_a_key_is_found_by_its_exact_value(notes: Session) -> None:
    _add(notes, {"v": "pop"}, {"v": "Pop"}, {"v": "pop "}, {"v": ["pop"]}, {"v": None}, {}, "pop")
    assert _found(notes, Note.words.equals("pop")) == ["pop"]
    assert _found(notes, Note.words.equals("")) == []


def test_a_range_holds_both_ends_and_is_open_where_none_is_given(notes: Session) -> None:
    _add(notes, *({"v": number} for number in (1, 2.5, 3, "2")), {"v": None}, {}, {"v": [2]})
    assert _found(notes, Note.number.between(1, 2.5)) == [1, 2.5]
    assert _found(notes, Note.number.between(2.5, None)) == [2.5, 3]
    assert _found(notes, Note.number.between(None, 2.5)) == [1, 2.5]
    assert _found(notes, Note.number.between(None, None)) == [1, 2.5, 3]
    assert _found(notes, Note.number.between(3, 1)) == []
    assert _found(notes, Note.words.between("2", "2.5")) == [2.5, "2"]


@pytest.mark.parametrize("value", [np.float64(2.5), np.float32(2.5), np.int64(3), np.uint8(3)])
def test_numbers_of_numpy_are_numbers(value: Any, notes: Session) -> None:
    _add(notes, {"v": 2.5}, {"v": 3})
    assert _found(notes, Note.number.equals(value)) == [value]
    assert _found(notes, Note.number.between(value, value)) == [value]


LONG = "x" * 256


def test_texts_beyond_what_the_index_holds_are_told_apart(notes: Session) -> None:
    _add(notes, {"v": LONG}, {"v": LONG + "a"}, {"v": LONG + "b"}, {"v": LONG + "c"})
    assert _found(notes, Note.words.equals(LONG)) == [LONG]
    assert _found(notes, Note.words.equals(LONG + "b")) == [LONG + "b"]


def test_a_range_of_texts_has_ends_that_are_soon_compared(notes: Session) -> None:
    _add(notes, {"v": "w"}, {"v": LONG}, {"v": LONG + "a"}, {"v": "y"})
    almost = LONG[1:]
    assert _found(notes, Note.words.between(almost, None)) == [LONG, LONG + "a", "y"]
    assert _found(notes, Note.words.between(None, almost)) == ["w"]
    assert _found(notes, Note.words.between(almost, "xy")) == [LONG, LONG + "a"]
    for low, high in ((LONG, None), (None, LONG), ("a", LONG)):
        with pytest.raises(DocumentError, match=r"'v' ends at a text of 256 characters"):
            Note.words.between(low, high)


@pytest.mark.quick
@pytest.mark.parametrize(
    "value", ["1", True, False, float("nan"), float("inf"), Decimal("sNaN"), -Decimal("inf")]
)
def test_what_is_no_number_is_refused_where_numbers_are_held(value: Any) -> None:
    with pytest.raises(DocumentError, match="'v' holds numbers"):
        Note.number.equals(value)
    with pytest.raises(DocumentError, match="'v' holds numbers"):
        Note.number.between(value, None)


@pytest.mark.quick
@pytest.mark.parametrize("value", ["\x00", "pop\x00", "\ud800", "x" * 300 + "\x00"])
def test_what_no_jsonb_text_holds_is_refused(value: str) -> None:
    for condition in (Note.words.equals, lambda each: Note.words.between(None, each)):
        with pytest.raises(DocumentError):
            condition(value)


@pytest.mark.parametrize(
    "number",
    [10**101, -(10**400), 10**5000, Decimal(10) ** 140_000],
    ids=["102 digits", "401 digits below zero", "5,001 digits", "more than numeric holds"],
)
def test_a_number_longer_than_any_that_is_held_bounds_or_is_refused_but_never_fails(
    number: Any, notes: Session
) -> None:
    _add(notes, {"v": 1})
    try:
        equal, above = Note.number.equals(number), Note.number.between(number, None)
    except DocumentError:
        return
    assert _found(notes, equal) == []
    assert _found(notes, above) == ([1] if number < 0 else [])


_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=300)
)
_json = st.recursive(
    _scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text("vw"), inner), max_leaves=8
).map(lambda value: json.dumps(value, ensure_ascii=False))
_numbers = st.one_of(
    st.builds("{}{}".format, st.sampled_from(["", "-"]), st.integers(1, 9000).map("9".__mul__)),
    st.integers(1, 9000).map(lambda digits: f"0.{'1' * digits}"),
    st.builds("{}e{}".format, st.integers(1, 99), st.integers(-16_000, 130_000)),
)
_texts = st.builds(
    lambda unit, count: json.dumps(unit * count, ensure_ascii=False),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1),
    st.integers(1, 20_000),
)
_quick = settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@_quick
@given(document=_json | st.builds('{{"v": {}}}'.format, _json | _numbers | _texts))
@example(document=json.dumps({"v": "\U0001f600" * 100_000}))
@example(document='{"v": 1e-16000}')
@example(document="[" * 2000 + "]" * 2000)
def test_no_document_makes_an_insert_fail(notes: Session, document: str) -> None:
    with notes.begin_nested() as savepoint:
        _add_written(notes, document)
        savepoint.rollback()


@_quick
@given(number=st.integers(-(10**99), 10**99) | st.floats(allow_nan=False, allow_infinity=False))
@example(number=0.1 + 0.2)
@example(number=5e-324)
@example(number=1.7976931348623157e308)
def test_a_number_is_found_by_itself_when_it_is_held(notes: Session, number: float) -> None:
    held = len(f"{Decimal(repr(number)):f}") <= 100
    with notes.begin_nested() as savepoint:
        _add(notes, {"v": number})
        assert len(_found(notes, Note.number.equals(number))) == held
        assert len(_found(notes, Note.number.between(number, number))) == held
        savepoint.rollback()


@_quick
@given(
    value=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
    | st.integers(254, 258).map("é".__mul__)
)
def test_a_text_is_found_by_itself(notes: Session, value: str) -> None:
    with notes.begin_nested() as savepoint:
        _add(notes, {"v": value}, {"v": value + "!"})
        assert _found(notes, Note.words.equals(value)) == [value]
        if len(value) < 256:
            assert _found(notes, Note.words.between(value, value)) == [value]
        assert _found(notes, Note.whole.contains({"v": value})) == [value]
        savepoint.rollback()


def test_a_number_that_is_not_held_keeps_its_document(notes: Session) -> None:
    _add_written(notes, f'{{"v": {"9" * 5000}}}')
    assert _found(notes, Note.number.between(None, None)) == []
    assert notes.scalar(select(Note.document["v"].astext)) == "9" * 5000
    notes.execute(delete(Note))


def _endless() -> list[Any]:
    endless: list[Any] = []
    endless.append(endless)
    return endless


@pytest.mark.parametrize(
    "document",
    [
        {"a": math.nan},
        [math.inf],
        {"a": {"b": -math.inf}},
        "a\x00b",
        {"a\x00": 1},
        ["\\\x00"],
        "\ud800",
        {"\udfff": 1},
        _endless(),
        {"a": {1, 2}},
        b"bytes",
        {("a", "b"): 1},
        {"a": object()},
        10**5000,
    ],
    ids=lambda document: type(document).__name__,
)
def test_what_jsonb_cannot_hold_is_refused(document: Any) -> None:
    with pytest.raises(DocumentError):
        encoded(document)
    with pytest.raises(DocumentError):
        Note.whole.contains(document)


def test_a_string_longer_than_jsonb_can_hold_is_refused() -> None:
    with pytest.raises(DocumentError):
        Note.whole.contains({"a": "x" * 2**28})


@pytest.mark.parametrize("depth", [5_000, 100_000])
def test_a_document_too_deep_to_be_read_is_refused(depth: int) -> None:
    document: Any = []
    for _ in range(depth):
        document = [document]
    with pytest.raises(DocumentError):
        Note.whole.contains(document)


@pytest.mark.parametrize(
    "document",
    [
        "\\u0000",
        "\\\\u0000",
        {"\\u0000": ["\\\\\\u0000"]},
        {"a": 10**4000},
        {"a": 1e308, "b": 5e-324},
        {"é": "雪\U0001f600\x01\x1f\x7f"},
        {1: 2, None: 3},
        [[]] * 100,
    ],
    ids=lambda document: type(document).__name__,
)
def test_whatever_jsonb_can_hold_is_sent(document: Any, notes: Session) -> None:
    _add_written(notes, encoded(document))
    count = select(Note.id).where(Note.whole.contains(document))
    assert len(notes.scalars(count).all()) == 1


def test_a_deep_document_that_can_be_read_is_sent(notes: Session) -> None:
    document: Any = []
    for _ in range(500):
        document = [document]
    assert notes.scalars(select(Note.id).where(Note.whole.contains(document))).all() == []
