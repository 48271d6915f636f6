"""How a repository executes its statements, beside SQLAlchemy's own way."""

from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import PendingRollbackError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria
from sqlalchemy.orm.session import sessionmaker

from pgmodern.reference.music import Artist, ArtistRepository, AsyncArtistRepository


def _beatles(session: Session) -> None:
    session.add_all([Artist(name="The Beatles"), Artist(name="The Beetles")])


def _names(found: list[Any]) -> list[str]:
    return [hit.name for hit in found]


def test_what_is_pending_is_flushed_before_a_read_and_only_then(session: Session) -> None:
    _beatles(session)
    assert _names(ArtistRepository(session).fuzzy("beatles", 1)) == ["The Beatles"]
    session.add(Artist(name="Beatles"))
    with session.no_autoflush:
        assert _names(ArtistRepository(session).fuzzy("beatles", 1)) == ["The Beatles"]
    assert _names(ArtistRepository(session).fuzzy("beatles", 1)) == ["Beatles"]


@pytest.mark.quick
async def test_asynchronous_reads_flush_too(async_session: AsyncSession) -> None:
    _beatles(async_session.sync_session)
    found = await AsyncArtistRepository(async_session).fuzzy("beatles", 1)
    assert _names(found) == ["The Beatles"]


@pytest.mark.quick
def test_conditions_that_an_application_adds_to_every_read_are_heard(session: Session) -> None:
    _beatles(session)

    @event.listens_for(session, "do_orm_execute")
    def hide(state: ORMExecuteState) -> None:
        hidden = with_loader_criteria(Artist, Artist.name != "The Beatles", include_aliases=True)
        state.statement = state.statement.options(hidden)

    assert _names(ArtistRepository(session).suggest("the be")) == ["The Beetles"]


def test_a_session_of_several_engines_asks_the_one_of_the_table(engine: Engine) -> None:
    with sessionmaker(binds={Artist: engine})() as session:
        _beatles(session)
        assert len(ArtistRepository(session).suggest("the be")) == 2


def test_a_failed_transaction_stays_failed(session: Session) -> None:
    with pytest.raises(ProgrammingError):
        session.connection().exec_driver_sql("SELECT nonsense")
    with pytest.raises(Exception, match="aborted") as raised:
        ArtistRepository(session).fuzzy("beatles")
    assert not isinstance(raised.value, PendingRollbackError)
    session.rollback()
    assert ArtistRepository(session).fuzzy("beatles") == []
