"""CHECK constraints that are declared are compared as PostgreSQL deparses them, and are valid."""

from collections.abc import Iterator
from typing import Any

from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import ModifyTableOps
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import CheckConstraint, Table

from pgmodern.autogenerate.catalogue import Catalogue, Check, Name
from pgmodern.autogenerate.comparison import Comparison, of
from pgmodern.operations.check_constraint import (
    AddCheckConstraintOnline,
    ReplaceCheckConstraintOnline,
)
from pgmodern.operations.constraint import DropConstraintOnline
from pgmodern.operations.literal import DIALECT, expression
from pgmodern.operations.names import fitting

DROP_UNDECLARED = "pgmodern_drop_undeclared"


def unclear(table: Table, name: Name, found: Catalogue) -> Iterator[CheckConstraint]:
    """Yield the constraints that only the server can compare with those that are there."""
    there = {check.definition for check in found.checks.get(name, {}).values()}
    for check in _declared(table):
        if f"CHECK ({expression(check.sqltext)})" not in there:
            yield check


def _declared(table: Table) -> Iterator[CheckConstraint]:
    """Yield the constraints that CREATE TABLE would make."""
    compiler: Any = DIALECT.ddl_compiler(DIALECT, None)  # type: ignore[arg-type]  # only asked
    for constraint in table.constraints:
        if isinstance(constraint, CheckConstraint) and (
            constraint._create_rule is None or constraint._create_rule(compiler)  # noqa: SLF001
        ):
            yield constraint


def compare(
    context: AutogenContext,
    operations: ModifyTableOps,
    schema: str | None,
    table_name: str,
    existing: Table | None,
    declared: Table | None,
) -> PriorityDispatchResult:
    """Add what is missing, replace what differs, validate what is NOT VALID."""
    if existing is None or declared is None:
        return PriorityDispatchResult.CONTINUE
    comparison = of(context)
    name = comparison.name(declared)
    there = dict(comparison.catalogue.checks.get(name, {}))
    for check in sorted(_declared(declared), key=lambda each: str(each.name)):
        wanted, definition = _operation(check, schema), _definition(check, comparison)
        found = there.pop(wanted.constraint_name, None)
        if found is None and check.name is None:
            found = _namesake(there, definition)
            if found is not None:
                del there[found.name]
                continue
        if not context.run_object_filters(
            check, wanted.constraint_name, "check_constraint", False, None
        ):
            continue
        if found is None:
            operations.ops.append(wanted)
        elif found.definition != definition or not (found.is_valid or wanted.not_valid):
            replaced = _existing(found, table_name, schema)
            operations.ops.append(ReplaceCheckConstraintOnline(wanted, replaced))
    if context.opts.get(DROP_UNDECLARED):
        for found in there.values():
            dropped = _existing(found, table_name, schema)
            operations.ops.append(DropConstraintOnline(found.name, table_name, schema, dropped))
    return PriorityDispatchResult.CONTINUE


def _namesake(there: dict[str, Check], definition: str | None) -> Check | None:
    """Return the constraint that one without a name is."""
    return next((each for each in there.values() if each.definition == definition), None)


def _definition(check: CheckConstraint, comparison: Comparison) -> str:
    """Return what follows the name; the server's, unless what is declared is the same text."""
    return comparison.deparsed.checks.get(check) or f"CHECK ({expression(check.sqltext)})"


def _operation(check: CheckConstraint, schema: str | None) -> AddCheckConstraintOnline:
    table = check.table
    return AddCheckConstraintOnline(
        _name(check),
        table.name,
        expression(check.sqltext),
        schema,
        not_valid=bool(check.dialect_options["postgresql"]["not_valid"]),
    )


def _name(check: CheckConstraint) -> str:
    """Return a constraint's name, the one that PostgreSQL gives where none is declared."""
    if check.name is not None:
        quoted = DIALECT.identifier_preparer.format_constraint(check)
        if quoted is not None:
            return quoted[1:-1].replace('""', '"') if quoted.startswith('"') else quoted
    columns = {column.name for column in check.columns}
    return fitting("_".join([check.table.name, *(columns if len(columns) == 1 else ()), "check"]))


def _existing(found: Check, table_name: str, schema: str | None) -> AddCheckConstraintOnline:
    condition = found.definition.removeprefix("CHECK ").removesuffix(" NO INHERIT")
    return AddCheckConstraintOnline(
        found.name, table_name, condition[1:-1], schema, not_valid=not found.is_valid
    )


def register() -> None:
    """Have it run beside Alembic's own comparison of a table."""
    comparators.dispatch_for("table", qualifier="postgresql", priority=DispatchPriority.LAST)(
        compare
    )
