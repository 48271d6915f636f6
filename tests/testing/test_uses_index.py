"""`assert_uses_index`: passes where an index serves a read, and says what to do where none does."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import (
    URL,
    Column,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    create_engine,
    func,
    select,
    text,
)
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

METADATA = MetaData()
NOTES = Table(
    "notes",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("words", Text),
    Column("n", Integer),
)
WORDS, NUMBERS = Index("ix_words", NOTES.c.words), Index("ix_numbers", NOTES.c.n)
LOWER = Index("ix_lower", func.lower(NOTES.c.words))
AssertUsesIndex = Callable[..., None]


@pytest.fixture
def notes(empty_database_url: URL) -> Iterator[Session]:
    """A session on a table of three rows."""
    engine = create_engine(empty_database_url, poolclass=NullPool)
    METADATA.create_all(engine)
    with Session(engine) as session:
        session.execute(NOTES.insert(), [{"id": n, "words": f"w{n}", "n": n} for n in range(3)])
        session.execute(text("ANALYZE notes"))
        yield session


def find(session: Session) -> object:
    """Ask for what one index serves."""
    return session.execute(select(NOTES.c.id).where(NOTES.c.words == "w1")).all()


@pytest.mark.quick
def test_a_table_of_few_rows_is_said_to_be_the_reason(
    notes: Session, assert_uses_index: AssertUsesIndex
) -> None:
    with pytest.raises(AssertionError) as raised:
        assert_uses_index(notes, lambda: find(notes), WORDS)
    message = str(raised.value)
    assert message.startswith("ix_words is not in the custom plan, which uses no index.\n")
    assert "The index can serve the read" in message
    assert "notes" in message
    assert "enable_seqscan=False" in message
    assert "ANALYZE" in message
    assert_uses_index(notes, lambda: find(notes), WORDS, enable_seqscan=False)


def test_of_many_rows_the_planner_is_believed(
    notes: Session, assert_uses_index: AssertUsesIndex
) -> None:
    notes.execute(text("INSERT INTO notes SELECT n, 'w' || n, n FROM generate_series(3, 9999) n"))
    notes.execute(text("ANALYZE notes"))
    assert_uses_index(notes, lambda: find(notes), WORDS)


@pytest.mark.quick
@pytest.mark.parametrize("enable_seqscan", [True, False])
def test_an_index_that_cannot_serve_the_read_is_shown(
    enable_seqscan: bool, notes: Session, assert_uses_index: AssertUsesIndex
) -> None:
    with pytest.raises(AssertionError) as raised:
        assert_uses_index(notes, lambda: find(notes), LOWER, enable_seqscan=enable_seqscan)
    message = str(raised.value)
    assert "can serve" not in message
    assert "USING btree (lower(words))" in message
    assert "operator" in message


@pytest.mark.parametrize("enable_seqscan", [True, False])
def test_an_index_that_is_not_there_is_named(
    enable_seqscan: bool, notes: Session, assert_uses_index: AssertUsesIndex
) -> None:
    with pytest.raises(AssertionError, match="no index ix_none"):
        assert_uses_index(notes, lambda: find(notes), "ix_none", enable_seqscan=enable_seqscan)


def test_the_read_is_run_once_and_the_setting_is_left_as_it_was(
    notes: Session, assert_uses_index: AssertUsesIndex
) -> None:
    runs = []

    def read() -> None:
        runs.append(find(notes))

    with pytest.raises(AssertionError):
        assert_uses_index(notes, read, WORDS)
    assert len(runs) == 1
    notes.execute(text("SET LOCAL enable_seqscan = off"))
    assert_uses_index(notes, read, WORDS)
    assert_uses_index(notes, read, WORDS, enable_seqscan=False)
    assert notes.scalar(text("SHOW enable_seqscan")) == "off"


def test_two_indexes_of_which_one_serves_leave_the_other_to_be_named(
    notes: Session, assert_uses_index: AssertUsesIndex
) -> None:
    with pytest.raises(AssertionError) as raised:
        assert_uses_index(notes, lambda: find(notes), WORDS, NUMBERS, enable_seqscan=False)
    first, *_ = str(raised.value).splitlines()
    assert first == "ix_numbers is not in the custom plan, which uses ix_words."
