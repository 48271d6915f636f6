"""The steps of the tests of indexes, and what they look at: the indexes of the table `songs`."""

from collections.abc import Callable
from typing import Any

import psycopg

Step = Callable[[Any], object]
Apply = Callable[[Step], None]


def create(*columns: Any, name: str = "ix", table: str = "songs", **options: Any) -> Step:
    """Return the step that creates an index."""
    return lambda op: op.create_index_online(name, table, list(columns), **options)


def replace(*columns: Any, name: str = "ix", table: str = "songs", **options: Any) -> Step:
    """Return the step that gives an index another definition."""
    return lambda op: op.replace_index_online(name, table, list(columns), **options)


def drop(name: str = "ix", **options: Any) -> Step:
    """Return the step that drops an index."""
    return lambda op: op.drop_index_online(name, **options)


def index(database: psycopg.Connection, name: str = "ix") -> tuple[int, str, bool] | None:
    """Return an index's oid, its definition and whether it is valid."""
    return database.execute(
        "SELECT indexrelid, pg_get_indexdef(indexrelid), indisvalid AND indisready "
        "FROM pg_index WHERE indexrelid = to_regclass(%s)",
        [name],
    ).fetchone()


def names(database: psycopg.Connection) -> set[str]:
    """Return the names of the table's indexes."""
    found = database.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'songs'")
    return {str(name) for (name,) in found} - {"songs_pkey"}
