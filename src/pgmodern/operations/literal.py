"""SQL as it is written, online and offline."""

from collections.abc import Callable, Iterable

from alembic.operations import Operations
from sqlalchemy import ClauseElement, Connection, Constraint, Index
from sqlalchemy.schema import CreateIndex

from pgmodern.locks import LockPolicy, milliseconds
from pgmodern.quoting import DIALECT, verbatim

POLICY = "pgmodern_lock_policy"  # the name of the script's policy among the context's options


def policy_of(operations: Operations) -> LockPolicy:
    """Return the policy that a script waits by."""
    policy: LockPolicy = operations.migration_context.opts.get(POLICY, LockPolicy())
    return policy


def execute(operations: Operations, sql: str) -> None:
    """Execute SQL in which a colon and a percent sign mean nothing."""
    operations.execute(verbatim(sql))


def run_or_write(
    operations: Operations, run: Callable[[Connection], object], script: Iterable[str]
) -> None:
    """Outside a transaction, run what an operation does or, offline, write the script of it."""
    context = operations.migration_context
    with context.autocommit_block():
        if not context.as_sql:
            run(operations.get_bind())
            return
        for statement in script:
            execute(operations, statement)


def patiently_offline(statement: str, policy: LockPolicy) -> tuple[str, str, str]:
    """Return the script of a concurrent build or drop, which may wait for older transactions.

    The rest of a script waits `policy.timeout` for a lock (see `environment`).
    """
    return (
        f"SET lock_timeout = '{milliseconds(policy.build)}'",
        statement,
        f"SET lock_timeout = '{milliseconds(policy.timeout)}'",
    )


def expression(clause: ClauseElement) -> str:
    """Return an expression of a table's columns as SQL, its values inline."""
    inline = {"literal_binds": True, "include_table": False}
    return str(clause.compile(dialect=DIALECT, compile_kwargs=inline))


def index_statement(index: Index) -> str:
    """Return the statement that builds an index."""
    return str(CreateIndex(index).compile(dialect=DIALECT))


def final_name(item: Index | Constraint) -> str:
    """Return the name that the server is given; one by a convention may be cut to fit."""
    preparer = DIALECT.identifier_preparer
    given = (
        preparer.format_index(item) if isinstance(item, Index) else preparer.format_constraint(item)
    )
    name = str(given)
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
