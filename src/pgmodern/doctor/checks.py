"""All checks together: `examine` looks for what models declare; `diagnose` needs no models."""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial

from sqlalchemy import Connection, MetaData
from sqlalchemy.exc import DBAPIError

from pgmodern.doctor import (
    competing_indexes,
    extensions,
    foreign_keys,
    indexes,
    invalid_indexes,
    outdated_extensions,
    pending_lists,
    redundant_indexes,
    unanalyzed_tables,
    unused_indexes,
    unvalidated_constraints,
)
from pgmodern.doctor.catalogue import database_name
from pgmodern.doctor.diagnosis import DAYS, SEVERITIES, Diagnosis, Kind, not_known
from pgmodern.doctor.finding import Finding
from pgmodern.doctor.reading import UNREADABLE, reading

Check = Callable[[Connection], Iterator[Diagnosis]]

CHECKS: Sequence[Callable[[Connection, Sequence[MetaData]], Iterator[Finding]]] = (
    extensions.check,
    indexes.check,
    competing_indexes.examine,
)


def examine(connection: Connection, metadata: Sequence[MetaData]) -> list[Finding]:
    """Run every check for what the metadata declares; changes nothing."""
    return [finding for check in CHECKS for finding in check(connection, metadata)]


def diagnose(
    connection: Connection,
    *,
    kinds: Collection[Kind] = tuple(Kind),
    days: int = DAYS,
) -> list[Diagnosis]:
    """Find what is wrong with any database, the worst first; changes nothing.

    One read-only transaction, of a role that may be any; locks nothing but catalogues (and GIN
    indexes, ACCESS SHARE, where pgstattuple can be asked). `days` is how old the statistics must
    be before an index counts as unused. The connection must not be in a transaction. Raises
    ServerTooOld.
    """
    with reading(connection):
        found = [
            diagnosis
            for names, check in _checks(days)
            if (asked := [kind for kind in names if kind in kinds])
            for diagnosis in _tried(connection, asked[0], check)
            if diagnosis.kind in asked
        ]
    return sorted(found, key=lambda each: SEVERITIES.index(each.severity), reverse=True)


def _checks(days: int) -> tuple[tuple[Sequence[Kind], Check], ...]:
    return (
        (invalid_indexes.KINDS, invalid_indexes.check),
        (redundant_indexes.KINDS, redundant_indexes.check),
        (competing_indexes.KINDS, competing_indexes.check),
        (unused_indexes.KINDS, partial(unused_indexes.check, days=days)),
        (foreign_keys.KINDS, foreign_keys.check),
        (unvalidated_constraints.KINDS, unvalidated_constraints.check),
        (outdated_extensions.KINDS, outdated_extensions.check),
        (pending_lists.KINDS, pending_lists.check),
        (unanalyzed_tables.KINDS, unanalyzed_tables.check),
    )


def _tried(connection: Connection, kind: Kind, check: Check) -> list[Diagnosis]:
    """Run a check; one that could not look says so, and is not the end of the others."""
    try:
        with connection.begin_nested():
            return list(check(connection))
    except DBAPIError as error:
        if not isinstance(error.orig, UNREADABLE):
            raise
        reason = str(error.orig.diag.message_primary)
    return [not_known(kind, database_name(connection), reason)]
