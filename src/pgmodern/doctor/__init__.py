"""Checks of a live database, one per file; each yields findings, good and bad."""

from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import Connection, MetaData

from pgmodern.doctor import extensions, indexes
from pgmodern.doctor.finding import Finding

__all__ = ["Finding", "examine"]

CHECKS: Sequence[Callable[[Connection, Sequence[MetaData]], Iterator[Finding]]] = (
    extensions.check,
    indexes.check,
)


def examine(connection: Connection, metadata: Sequence[MetaData]) -> list[Finding]:
    """Run every check for what the metadata declares; changes nothing."""
    return [finding for check in CHECKS for finding in check(connection, metadata)]
