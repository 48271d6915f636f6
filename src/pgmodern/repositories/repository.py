"""What every repository has: a session, and how it runs statements in it.

The two classes are written by hand, as what they differ in is how each kind of session is asked.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from sqlalchemy import Connection, Executable, Result
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from pgmodern.queries.statement import Statement
from pgmodern.repositories.compiled import compiled, is_heard

Values = Mapping[str, Any]
Found = Result[*tuple[Any, ...]]
_NONE: Values = {}


class Repository:
    """Runs statements in a session, and never commits."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def _execute(self, statement: Executable, values: Values = _NONE) -> Found:
        return executed(self.session, statement, values)

    def _fetch(self, statement: Statement, values: Values = _NONE) -> Sequence[Any]:
        return fetched(self.session, statement, values)

    def _driver_connection(self) -> psycopg.Connection:
        driver = self.session.connection().connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        return driver


class AsyncRepository:
    """Runs statements in an asynchronous session, and never commits."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def _execute(self, statement: Executable, values: Values = _NONE) -> Found:
        return await self.session.run_sync(executed, statement, values)

    async def _fetch(self, statement: Statement, values: Values = _NONE) -> Sequence[Any]:
        return await self.session.run_sync(fetched, statement, values)

    async def _driver_connection(self) -> psycopg.AsyncConnection:
        connection = await self.session.connection()
        driver = (await connection.get_raw_connection()).driver_connection
        assert isinstance(driver, psycopg.AsyncConnection)
        return driver


def executed(session: Session, statement: Executable, values: Values) -> Found:
    """Execute as `session.execute` does, but for what that does to make entities of rows.

    No row here is one, and it costs as much as all else that SQLAlchemy does. Where an application
    listens to `do_orm_execute`, to add conditions of its own, that is heard.
    """
    if session.dispatch.do_orm_execute:
        return session.execute(statement, values)
    return _connection(session, statement).execute(statement, values)


def fetched(session: Session, statement: Statement, values: Values) -> Sequence[Any]:
    """Return all rows of a statement that is built once, as `executed` would.

    Where nobody listens it is compiled once, too, and the driver is asked directly.
    """
    if not session.dispatch.do_orm_execute:
        connection = _connection(session, statement)
        read = compiled(statement, connection.dialect)
        if read.is_whole and not is_heard(connection):
            return read.fetch(connection, values)
    return executed(session, statement, values).all()


def _connection(session: Session, statement: Executable) -> Connection:
    if session.autoflush:
        session.flush()
    return session.connection(bind_arguments={"clause": statement})
