"""Very many rows: batch by batch, a bad one named by its position, searches left at their best."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from alembic.operations import Operations
from alembic.operations.ops import CreateIndexOp
from alembic.runtime.migration import MigrationContext
from psycopg.errors import FeatureNotSupported, UniqueViolation
from sqlalchemy import Engine, Index, Table, text
from sqlalchemy.exc import DataError, IntegrityError, NotSupportedError
from sqlalchemy.orm import Session

from pgmodern.errors import LoadError
from pgmodern.locks import driver
from pgmodern.operations import register
from pgmodern.operations.index import CreateIndexOnline, DropIndexOnline
from pgmodern.progress import Advance
from pgmodern.queries.staging import Staging, raised_as_sqlalchemy_s
from pgmodern.quoting import quoted, verbatim
from pgmodern.repositories.synchronous.bulk import BulkRepository

Row = Sequence[Any]
Bad = (ValueError, TypeError, ArithmeticError, DataError, IntegrityError)


def load(
    engine: Engine,
    repository: type[BulkRepository],
    rows: Iterable[Row],
    *,
    batch: int = 10_000,
    whole: bool = False,
    defer: Sequence[Index] = (),
    advance: Advance = lambda _: None,
) -> int:
    """Insert or update very many rows, as `store` does, in batches; return how many.

    Each batch is committed, so that after an error, or a kill, what came before stays: go on from
    there with `itertools.islice(rows, error.stored, None)`. With `whole` all is one transaction.
    A batch is held in memory, the rows are not.

    The indexes to `defer` are dropped first and built again in the end, also after an error, while
    the table is read and written: a graph is built several times faster than it grows. Searches
    do without them meanwhile. A killed load leaves them to the next one, or to `alembic upgrade`.
    In the end the table is analyzed and the pending lists of its GIN indexes are emptied, so that
    the first search has the right plan and no list to read.

    `advance` is told of every batch. Raises LoadError where a row cannot be stored: it has the
    row's `position`, from 0, and how many are `stored`; nothing of its batch is. Locks: ROW
    EXCLUSIVE for each batch, SHARE UPDATE EXCLUSIVE to drop, build and analyze.
    """
    with _deferred(engine, defer):
        count = _batches(engine, repository, iter(rows), batch, whole, advance)
    _settle(engine, repository.table)
    return count


def _batches(
    engine: Engine,
    repository: type[BulkRepository],
    rows: Iterator[Row],
    size: int,
    whole: bool,
    advance: Advance,
) -> int:
    done = count = 0
    are_new = True
    with Session(engine) as session:
        ours = repository(session)
        while batch := list(islice(rows, size)):
            try:
                # Once some were there already, others will be.
                are_new = are_new and _copied(session, ours, batch)
                count += len(batch) if are_new else _stored(session, ours, batch)
            except Bad as error:
                place = _first_bad(session, ours, batch)
                session.rollback()
                raise _refused(error, done + place, 0 if whole else done) from error
            if not whole:
                session.commit()
            done += len(batch)
            advance(len(batch))
        session.commit()
    return count


def _stored(session: Session, repository: BulkRepository, rows: Sequence[Row]) -> int:
    with session.begin_nested():
        return repository.store(rows)


def _copied(session: Session, repository: BulkRepository, rows: Sequence[Row]) -> bool:
    """COPY new rows into the table itself, which takes half as long; False where some are not new.

    Nor does row-level security let COPY write: the manual, COPY, Notes.
    """
    staging = Staging(repository.table, repository.stored, repository.unique)
    try:
        with session.begin_nested(), raised_as_sqlalchemy_s(staging.copy_new):
            connection = driver(session.connection())
            with connection.cursor() as cursor, cursor.copy(staging.copy_new) as copy:
                for row in staging.encoded(rows):
                    copy.write_row(row)
    except (IntegrityError, NotSupportedError) as error:
        if isinstance(error.orig, UniqueViolation | FeatureNotSupported):
            return False
        raise
    return True


def _refused(error: Exception, position: int, stored: int) -> LoadError:
    reason = str(getattr(error, "orig", None) or error).strip()
    return LoadError(
        f"Row {position:,} cannot be stored: {reason}",
        f"{stored:,} rows are stored. Correct this one, and go on after those.",
        position,
        stored,
    )


def _first_bad(session: Session, repository: BulkRepository, batch: Sequence[Row]) -> int:
    """Return the place of the first row that cannot be stored after those before it."""
    good, bad = 0, len(batch)
    while bad - good > 1:
        middle = (good + bad) // 2
        if _can_be_stored(session, repository, batch[:middle]):
            good = middle
        else:
            bad = middle
    return good


def _can_be_stored(session: Session, repository: BulkRepository, rows: Sequence[Row]) -> bool:
    savepoint = session.begin_nested()
    try:
        repository.store(rows)
    except Bad:
        return False
    finally:
        savepoint.rollback()
    return True


@contextmanager
def _deferred(engine: Engine, indexes: Sequence[Index]) -> Iterator[None]:
    """Do without the indexes for a while."""
    operations = [CreateIndexOnline(CreateIndexOp.from_index(index)) for index in indexes]
    _invoke(engine, (DropIndexOnline(str(o.index.index_name), o.index.schema) for o in operations))
    try:
        yield
    finally:
        _invoke(engine, operations)


def _invoke(engine: Engine, operations: Iterable[CreateIndexOnline | DropIndexOnline]) -> None:
    register()  # no env.py may have run in this process
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"transaction_per_migration": True})
        for operation in operations:
            with context.begin_transaction():
                Operations(context).invoke(operation)


_EMPTY_PENDING_LISTS = text("""
    SELECT gin_clean_pending_list(index.oid) FROM pg_catalog.pg_index AS own
    JOIN pg_catalog.pg_class AS index ON index.oid = own.indexrelid
    JOIN pg_catalog.pg_am AS method ON method.oid = index.relam AND method.amname = 'gin'
    WHERE own.indrelid = to_regclass(:named) AND own.indisvalid AND index.relkind = 'i'
""")


def _settle(engine: Engine, table: Table) -> None:
    name = quoted(table.name, table.schema)
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(_EMPTY_PENDING_LISTS, {"named": name})
        connection.execute(verbatim(f"ANALYZE {name}"))
