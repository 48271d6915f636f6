"""What every repository has: a session, and how it runs statements in it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Executable, Result
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

Values = Mapping[str, Any]
Found = Result[*tuple[Any, ...]]
_NONE: Values = {}


class Repository:
    """Runs statements in a session, and never commits."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def _execute(self, statement: Executable, values: Values = _NONE) -> Found:
        return executed(self.session, statement, values)


class AsyncRepository:
    """The asynchronous twin of Repository."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def _execute(self, statement: Executable, values: Values = _NONE) -> Found:
        return await self.session.run_sync(executed, statement, values)


def executed(session: Session, statement: Executable, values: Values) -> Found:
    """Execute as `session.execute` does, but for what that does to make entities of rows.

    No row here is one, and it costs as much as all else that SQLAlchemy does. Where an application
    listens to `do_orm_execute`, to add conditions of its own, that is heard.
    """
    if session.dispatch.do_orm_execute:
        return session.execute(statement, values)
    if session.autoflush:
        session.flush()
    connection = session.connection(bind_arguments={"clause": statement})
    return connection.execute(statement, values)
