"""What is on record of backfills: how far each came, and in which revision, until it is stamped."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, Row, text

from pgmodern.errors import MigrationError
from pgmodern.locks import bounded, bounds, driver, patiently, transaction

log = logging.getLogger("pgmodern")

STATE = "pgmodern_backfill"
_KEY = "pgmodern_keeping"

Which = dict[str, str | int]


@dataclass(slots=True)
class Keeping:
    """The revision that runs, and how many backfills of each name it has come to."""

    revision: str
    begun: Counter[str] = field(default_factory=Counter)


@contextmanager
def keeping(connection: Connection, revision: str) -> Iterator[None]:
    """Keep on record what a revision's backfills have finished while the body runs it.

    Killed before it is stamped, they must not begin again; `forget_revisions` ends it. A second
    backfill of one name is told from the first by being the second.
    """
    info = connection.info  # of a connection that is lost in between there is none
    info[_KEY] = Keeping(revision)
    try:
        yield
    finally:
        info.pop(_KEY, None)


def claim(connection: Connection, name: str, found: Mapping[str, Any]) -> tuple[Which, int]:
    """Put a backfill on record, unless it is; return which it is, and about how much is left.

    `found` is its `digest` (one that has been rewritten since begins again), the key at which it
    is to `end`, None for no rows, and about how many rows there are in `total`.
    """
    which = _which(connection, name)
    connection.execute(text(_CREATE_STATE))
    connection.execute(text(_CLAIM), {**which, **found})
    return which, int(connection.scalar(text(_LEFT), which) or 0)


def _which(connection: Connection, name: str) -> Which:
    kept: Keeping | None = connection.info.get(_KEY)
    if kept is None:
        return {"revision": "", "name": name, "occurrence": 1}
    kept.begun[name] += 1
    return {"revision": kept.revision, "name": name, "occurrence": kept.begun[name]}


def locked(connection: Connection, which: Which) -> Row[Any] | None:
    """Lock and return a state: `last_key`, `end_key`, `finished`; None when it was forgotten."""
    return connection.execute(text(_LOCK), which).one_or_none()


def advance_to(connection: Connection, which: Which, last: str, count: int) -> None:
    """Record that a backfill has come to a key, and how many rows more it has visited."""
    connection.execute(text(_ADVANCE), which | {"last": last, "count": count})


def finish(connection: Connection, which: Which) -> None:
    """Record that nothing is left."""
    connection.execute(text(_FINISH), which)


def done_with(connection: Connection, which: Which) -> None:
    """Forget a backfill that was run outside of any revision: nothing is to be stamped."""
    if not which["revision"]:
        _forget(connection, _WHICH, which)


def forget(connection: Connection, name: str) -> None:
    """Forget a backfill, in whatever revision, so that it would start from the beginning.

    The connection must be in autocommit mode.
    """
    if _has_state(connection):
        _forget(connection, "name = :name", {"name": name})


def forget_revisions(connection: Connection, revisions: Collection[str]) -> None:
    """Forget the backfills of revisions: part of the transaction that stamps them.

    ROW EXCLUSIVE on the table of states; `drop_state` drops it, when the run ends.
    """
    if _has_state(connection):
        delete = text(f"DELETE FROM {STATE} WHERE revision = ANY(:revisions)")
        connection.execute(delete, {"revisions": list(revisions)})


def _has_state(connection: Connection) -> bool:
    return bool(connection.scalar(text(f"SELECT to_regclass('{STATE}') IS NOT NULL")))


def _forget(connection: Connection, condition: str, values: Which) -> None:
    """Forget backfills, in one transaction with the table if that can be had."""

    def delete() -> None:
        connection.execute(text(f"DELETE FROM {STATE} WHERE {condition}"), values)

    if not drop_state(connection, delete):
        delete()


def drop_state(connection: Connection, first: Callable[[], None] = lambda: None) -> bool:
    """Drop the table of states if it is empty; return whether its lock was had.

    ACCESS EXCLUSIVE on it, tried for once: whoever reads it meanwhile, as pg_dump does, leaves it
    to the next run. The connection must not be in a transaction.
    """

    def attempt(timeout: float) -> None:
        with transaction(connection):
            driver(connection).execute(bounded(timeout).encode())
            first()
            driver(connection).execute(_DROP.encode())

    once = replace(bounds(connection).policy, deadline=0)
    try:
        patiently(connection, f"dropping {STATE}", attempt, once)
    except (MigrationError, InsufficientPrivilege) as error:
        log.info("the table %s is left to the next run: %s", STATE, error)
        return False
    return True


_CREATE_STATE = f"""
    CREATE TABLE IF NOT EXISTS {STATE} (
        revision text NOT NULL,
        name text NOT NULL,
        occurrence int NOT NULL,
        digest text NOT NULL,
        end_key text,
        last_key text,
        total bigint NOT NULL,
        visited bigint NOT NULL DEFAULT 0,
        finished boolean NOT NULL DEFAULT false,
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (revision, name, occurrence)
    )
"""
_CLAIM = f"""
    INSERT INTO {STATE} AS state (revision, name, occurrence, digest, end_key, total)
    VALUES (:revision, :name, :occurrence, :digest, :end, :total)
    ON CONFLICT (revision, name, occurrence) DO UPDATE
    SET digest = excluded.digest, end_key = excluded.end_key, last_key = NULL,
        total = excluded.total, visited = 0, finished = false
    WHERE state.digest <> excluded.digest
"""
_WHICH = "revision = :revision AND name = :name AND occurrence = :occurrence"
_LEFT = f"SELECT greatest(total - visited, 0) FROM {STATE} WHERE {_WHICH}"
_LOCK = f"SELECT last_key, end_key, finished FROM {STATE} WHERE {_WHICH} FOR UPDATE"
_ADVANCE = f"""
    UPDATE {STATE} SET last_key = :last, visited = visited + :count, updated_at = now()
    WHERE {_WHICH}
"""
_FINISH = f"UPDATE {STATE} SET finished = true, updated_at = now() WHERE {_WHICH}"
_DROP = f"""DO $drop$
BEGIN
    IF to_regclass('{STATE}') IS NOT NULL THEN
        LOCK TABLE {STATE} IN ACCESS EXCLUSIVE MODE;
        IF NOT EXISTS (SELECT FROM {STATE}) THEN
            DROP TABLE {STATE};
        END IF;
    END IF;
END
$drop$"""
