"""Indexes that a build or a drop left invalid: every write pays for them, no query uses them."""

from collections.abc import Iterator

from sqlalchemy import Connection

from pgmodern.doctor.catalogue import StoredIndex, stored_indexes
from pgmodern.doctor.cure import drop
from pgmodern.doctor.diagnosis import Diagnosis, Kind

KINDS = (Kind.INVALID_INDEX,)


def check(connection: Connection) -> Iterator[Diagnosis]:
    """Find invalid indexes that nobody is building or dropping at this moment."""
    suspects = _invalid(connection)
    # A build may have ended between the reading of the index and that of the locks.
    confirmed = {index.oid for index in _invalid(connection)} if suspects else set()
    yield from (_diagnosis(index) for index in suspects if index.oid in confirmed)


def _invalid(connection: Connection) -> list[StoredIndex]:
    return [
        index
        for index in stored_indexes(connection)
        if not (index.is_valid or index.is_busy or index.is_attached)
    ]


def _diagnosis(index: StoredIndex) -> Diagnosis:
    if index.is_partitioned:
        detail = "some partitions have no such index: build it there, then ALTER INDEX ... ATTACH"
        cure = None
    else:
        detail = "a build or drop of it did not end; drop it, then build it again if it is wanted"
        cure = drop(index)
    return Diagnosis(
        Kind.INVALID_INDEX, "error", index.schema, index.table_name, index.name, detail, cure
    )
