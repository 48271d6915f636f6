"""A question to the database, and why it is not answered."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import HTTPException
from sqlalchemy import exc as sa
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

log = logging.getLogger("pgmodern")

RETRY_AFTER = 5
AWAY = "The database cannot answer now. Try again in a moment."
_OLD_SCHEMA = "The database lacks what is searched. Run the migrations: alembic upgrade head."
# Connection exception, insufficient resources, operator intervention (manual, appendix A).
_AWAY_CLASSES = ("08", "53", "57")
# An undefined table, column, function or operator, object, schema: the models are ahead.
_OLD_SCHEMA_STATES = {"42P01", "42703", "42883", "42704", "3F000"}

Question = Callable[[AsyncSession], Awaitable[Any]]
Ask = Callable[[Question], Awaitable[Any]]


def asking(engine: AsyncEngine, timeout: float) -> Ask:
    """Return what asks a question within so many seconds, or raises HTTPException with 503."""
    # A read is one statement; without BEGIN and ROLLBACK it is one round trip, too.
    reading = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def once(question: Question) -> Any:
        async with AsyncSession(reading) as session:
            return await question(session)

    async def again_if_lost(question: Question) -> Any:
        try:
            return await once(question)
        except sa.DBAPIError as error:
            if not error.connection_invalidated:
                raise
        # The server had restarted, and with this connection the pool drops all of its age.
        # To ask a read again costs nothing until then; a ping costs every request a round trip.
        return await once(question)

    async def ask(question: Question) -> Any:
        answer = asyncio.create_task(again_if_lost(question))
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(answer)
        except (sa.DBAPIError, sa.TimeoutError, TimeoutError) as error:
            detail = why_unavailable(error)
            if detail is None:
                raise
            log.warning("%s %s", detail, getattr(error, "orig", None) or repr(error))
            raise HTTPException(503, detail, {"Retry-After": str(RETRY_AFTER)}) from error
        finally:
            answer.cancel()  # not waited for: a server that hangs does not take the cancel either

    return ask


def why_unavailable(error: sa.DBAPIError | sa.TimeoutError | TimeoutError) -> str | None:
    """Say why the database cannot answer now; None when the fault is the application's."""
    if not isinstance(error, sa.DBAPIError):
        return AWAY
    sqlstate = getattr(error.orig, "sqlstate", None)
    if sqlstate is None:  # as libpq has it when no connection could be made
        return AWAY if isinstance(error, sa.OperationalError) else None
    if sqlstate in _OLD_SCHEMA_STATES:
        return _OLD_SCHEMA
    return AWAY if sqlstate.startswith(_AWAY_CLASSES) else None
