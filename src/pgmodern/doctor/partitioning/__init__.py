"""Whether partitioning pays for a table, by which column and interval, and what it would break."""

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from pgmodern.doctor.partitioning import catalogue, statements
from pgmodern.doctor.partitioning.advice import VERDICTS, Advice, Verdict, advise
from pgmodern.doctor.partitioning.facts import Refusal, Server
from pgmodern.doctor.reading import UNREADABLE, reading
from pgmodern.errors import MigrationError

__all__ = ["Advice", "Refusal", "Verdict", "partition_advice"]


def partition_advice(
    connection: Connection, table: str | None = None, *, memory: int | None = None
) -> list[Advice]:
    """Advise on a table, or on all of the application's, those that pay first; changes nothing.

    `memory` is the server's in bytes, by default its effective_cache_size. One read-only
    transaction; ACCESS SHARE on each table for an instant, and what stays locked for a second is
    not known. The connection must not be in a transaction. Raises MigrationError when there is no
    such table, ServerTooOld.
    """
    with reading(connection):
        found = catalogue.tables(connection, table)
        if table is not None and not found:
            raise MigrationError(
                f"There is no table {table} that the application could have made.",
                "Write its name as it is kept in the catalogue, with its schema unless that is in "
                "the search_path: app.plays.",
            )
        server, age = catalogue.server(connection, memory)
        every = statements.called(connection)
        advised = [_advice(connection, each, every, server, age) for each in found]
    return sorted(advised, key=lambda each: (VERDICTS.index(each.verdict), -(each.bytes or 0)))


def _advice(
    connection: Connection,
    named: dict[str, Any],
    every: list[statements.Called],
    server: Server,
    age: str,
) -> Advice:
    try:
        with connection.begin_nested():
            return advise(catalogue.table(connection, named, every, age), server)
    except DBAPIError as error:
        if not isinstance(error.orig, UNREADABLE):
            raise
        reason = str(error.orig.diag.message_primary)
    return Advice(named["schema"], named["name"], "not known", reason)
