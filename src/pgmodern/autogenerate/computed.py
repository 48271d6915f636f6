"""Generated columns' expressions are compared as PostgreSQL deparses them."""

from collections.abc import Iterator
from typing import Any

from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation
from alembic.operations.ops import AddColumnOp, AlterColumnOp, DropColumnOp, ModifyTableOps
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import Column, Table

from pgmodern.autogenerate.catalogue import Catalogue, Generated, Name
from pgmodern.autogenerate.comparison import Comparison, of
from pgmodern.operations.column_expression import DropColumnExpression, SetColumnExpression
from pgmodern.operations.literal import expression

_EXPRESSIONS_CHANGE, _VIRTUAL = 170_000, 180_000  # versions of the server


def unclear(table: Table, name: Name, found: Catalogue) -> Iterator[tuple[Column[Any], str]]:
    """Yield the columns that only the server can compare, with the expressions that are there."""
    for column in table.columns:
        there = found.generated.get((name, column.name))
        if there is None or column.computed is None:
            continue
        if expression(column.computed.sqltext) != there.expression:
            yield column, there.expression


def keep_quiet(
    _context: AutogenContext,
    _alter: AlterColumnOp,
    _schema: str | None,
    _table: str,
    _column: str,
    existing: Column[Any],
    declared: Column[Any],
) -> PriorityDispatchResult:
    """Stop Alembic's own comparison, which is of text, and which only warns."""
    is_computed = existing.computed is not None or declared.computed is not None
    return PriorityDispatchResult.STOP if is_computed else PriorityDispatchResult.CONTINUE


def compare(
    context: AutogenContext,
    operations: ModifyTableOps,
    schema: str | None,
    table_name: str,
    existing: Table | None,
    declared: Table | None,
) -> PriorityDispatchResult:
    """Change the expressions that differ; a column that is to be generated is made anew."""
    if existing is None or declared is None:
        return PriorityDispatchResult.CONTINUE
    comparison = of(context)
    for column in declared.columns:
        if column.name in existing.columns:
            there = comparison.catalogue.generated.get(((schema, table_name), column.name))
            pair = existing.columns[column.name], column
            operations.ops += _operations(context, comparison, (schema, table_name), there, *pair)
    return PriorityDispatchResult.CONTINUE


def _operations(
    context: AutogenContext,
    comparison: Comparison,
    name: Name,
    there: Generated | None,
    existing: Column[Any],
    declared: Column[Any],
) -> list[MigrateOperation]:
    schema, table = name
    server: Any = context.dialect.server_version_info
    version = server[0] * 10_000
    if there is None and declared.computed is None:
        return []
    if there is not None and declared.computed is None and there.is_stored:
        given = table, declared.name, schema, existing, declared
        return [DropColumnExpression(*given)]
    drop = DropColumnOp.from_column_and_tablename(schema, table, existing)
    add = AddColumnOp.from_column_and_tablename(schema, table, declared)
    anew: list[MigrateOperation] = [ModifyTableOps(table, [drop, add], schema=schema)]
    if (
        there is None
        or declared.computed is None
        or there.is_stored != _is_stored(declared, version)
    ):
        return anew
    wanted = expression(declared.computed.sqltext)
    if there.expression in {wanted, *comparison.deparsed.computed.get(declared, ())}:
        return []
    # A virtual one's cannot change where the table has CHECKs; nothing of it is stored.
    if version < _EXPRESSIONS_CHANGE or not there.is_stored:
        return anew
    return [SetColumnExpression(table, declared.name, wanted, schema, there.expression)]


def _is_stored(declared: Column[Any], version: int) -> bool:
    assert declared.computed is not None
    persisted = declared.computed.persisted
    return version < _VIRTUAL if persisted is None else persisted


def register() -> None:
    """Have them run before and after Alembic's own comparisons."""
    comparators.dispatch_for(
        "column",
        qualifier="postgresql",
        subgroup="server_default",
        priority=DispatchPriority.FIRST,
    )(keep_quiet)
    comparators.dispatch_for("table", qualifier="postgresql", priority=DispatchPriority.LAST)(
        compare
    )
