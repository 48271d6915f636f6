"""What every repository has: a session, and how it runs statements in it.

The two classes are written by hand, as what they differ in is how each kind of session is asked.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg
from sqlalchemy import Connection, Executable, Result
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from pgmodern.queries.staging import Staging
from pgmodern.queries.statement import Statement
from pgmodern.repositories.compiled import compiled, is_heard

Values = Mapping[str, Any]
Found = Result[*tuple[Any, ...]]
_NONE: Values = {}


class Repository:
    """Runs statements in a session, and never commits."""

    def __init__(self, session: Session | scoped_session[Any]) -> None:
        self.session = session

    def _execute(self, statement: Executable, values: Values = _NONE) -> Found:
        return executed(self._current, statement, values)

    def _fetch(self, statement: Statement, values: Values = _NONE) -> Sequence[Any]:
        return fetched(self._current, statement, values)

    @property
    def _current(self) -> Session:
        """The session; of a registry the one that it has for this scope, or thread, now."""
        if isinstance(self.session, scoped_session):
            current: Session = self.session()
            return current
        return self.session

    def _copy(
        self, connection: Connection, staging: Staging, rows: Iterable[Sequence[Any]]
    ) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        with driver.cursor() as cursor, cursor.copy(staging.copy) as copy:
            for row in staging.encoded(rows):
                copy.write_row(row)


class AsyncRepository:
    """Runs statements in an asynchronous session, and never commits."""

    def __init__(self, session: AsyncSession | async_scoped_session[Any]) -> None:
        self.session = session

    async def _execute(self, statement: Executable, values: Values = _NONE) -> Found:
        return await self._current.run_sync(executed, statement, values)

    async def _fetch(self, statement: Statement, values: Values = _NONE) -> Sequence[Any]:
        return await self._current.run_sync(fetched, statement, values)

    @property
    def _current(self) -> AsyncSession:
        """The session; of a registry the one that it has for this scope now."""
        if isinstance(self.session, async_scoped_session):
            current: AsyncSession = self.session()
            return current
        return self.session

    async def _copy(
        self, connection: AsyncConnection, staging: Staging, rows: Iterable[Sequence[Any]]
    ) -> None:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        if not isinstance(
            driver, psycopg.AsyncConnection
        ):  # asyncpg's, which need not be installed
            names = [column.name for column in staging.columns]
            records = staging.encoded(rows)
            await driver.copy_records_to_table(staging.name, columns=names, records=records)
            return
        async with driver.cursor() as cursor, cursor.copy(staging.copy) as copy:
            for row in staging.encoded(rows):
                await copy.write_row(row)


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
