"""CHECK constraints that are declared are compared as PostgreSQL deparses them, and are valid."""

from collections.abc import Collection, Iterator, Sequence
from itertools import count
from typing import Any

from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import ModifyTableOps
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import CheckConstraint, Table

from pgmodern.autogenerate.catalogue import Catalogue, Check, Name
from pgmodern.autogenerate.comparison import Comparison, of
from pgmodern.autogenerate.implementation import without_parameters
from pgmodern.names import fitting
from pgmodern.operations.by_hand import ByHand
from pgmodern.operations.check_constraint import (
    AddCheckConstraintOnline,
    ReplaceCheckConstraintOnline,
)
from pgmodern.operations.constraint import DropConstraintOnline
from pgmodern.operations.literal import expression, final_name
from pgmodern.quoting import DIALECT

DROP_UNDECLARED = "pgmodern_drop_undeclared"


def unclear(
    table: Table, name: Name, found: Catalogue
) -> Iterator[tuple[CheckConstraint, Collection[str]]]:
    """Yield the constraints that only the server can compare, with all that are there."""
    there = {check.definition for check in found.checks.get(name, {}).values()}
    for check in _declared(table):
        if f"CHECK ({expression(check.sqltext)})" not in there:
            yield check, there


def _declared(table: Table) -> Iterator[CheckConstraint]:
    """Yield the constraints that CREATE TABLE would make."""
    compiler: Any = DIALECT.ddl_compiler(DIALECT, None)  # type: ignore[arg-type]  # only asked
    for constraint in table.constraints:
        if isinstance(constraint, CheckConstraint) and (
            constraint._create_rule is None or constraint._create_rule(compiler)  # noqa: SLF001
        ):
            yield constraint


def reflected(found: Catalogue) -> dict[Name, list[dict[str, Any]]]:
    """Return every table's constraints in the form in which Alembic keeps what is reflected."""
    return {
        name: [
            {"name": check.name, "sqltext": without_parameters(check.condition)}
            for check in found.checks.get(name, {}).values()
        ]
        for name in found.sizes
    }


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
    taken = set(there)
    for check in sorted(_declared(declared), key=lambda each: (each.name is None, str(each.name))):
        readings = _readings(check, comparison)
        found = _found(check, there, readings)
        if found is not None:
            del there[found.name]
        wanted = _operation(check, schema, comparison, taken)
        if not context.run_object_filters(
            check, wanted.constraint_name, "check_constraint", False, None
        ):
            continue
        if found is None:
            operations.ops.append(wanted)
            taken.add(wanted.constraint_name)
        elif found.definition not in readings or not (found.is_valid or wanted.not_valid):
            operations.ops.append(_replacement(wanted, found))
    if context.opts.get(DROP_UNDECLARED):
        for found in there.values():
            operations.ops.append(dropped(found, table_name, schema))
    return PriorityDispatchResult.CONTINUE


def _found(check: CheckConstraint, there: dict[str, Check], readings: set[str]) -> Check | None:
    """Return the constraint that is there of one: by its name, without one by what it says."""
    if (name := _name(check)) is not None:
        return there.get(name)
    return next((each for each in there.values() if each.definition in readings), None)


def _readings(check: CheckConstraint, comparison: Comparison) -> set[str]:
    """Return what the catalogue may hold of it: as it is declared, or as the server reads it."""
    declared = f"CHECK ({expression(check.sqltext)})"
    return {declared, *comparison.deparsed.checks.get(check, ())}


def _operation(
    check: CheckConstraint, schema: str | None, comparison: Comparison, taken: Collection[str]
) -> AddCheckConstraintOnline:
    columns = comparison.deparsed.check_columns.get(check, [])
    return AddCheckConstraintOnline(
        _name(check) or _chosen(check.table.name, columns, taken),
        check.table.name,
        expression(check.sqltext),
        schema,
        not_valid=bool(check.dialect_options["postgresql"]["not_valid"]),
    )


def _name(check: CheckConstraint) -> str | None:
    if check.name is None or DIALECT.identifier_preparer.format_constraint(check) is None:
        return None
    return final_name(check)


def _chosen(table: str, columns: Sequence[str], taken: Collection[str]) -> str:
    """Return the name that PostgreSQL chooses for a constraint without one."""
    name = "_".join([table, *(columns if len(columns) == 1 else ()), "check"])
    numbered = (f"{name}{number or ''}" for number in count())
    return fitting(next(each for each in numbered if each not in taken))


def _replacement(
    wanted: AddCheckConstraintOnline, found: Check
) -> ReplaceCheckConstraintOnline | ByHand:
    table, schema = wanted.table_name, wanted.schema
    if found.is_special:
        return _by_hand(found, table, schema)
    return ReplaceCheckConstraintOnline(wanted, existing(found, table, schema))


def dropped(found: Check, table_name: str, schema: str | None) -> DropConstraintOnline | ByHand:
    """Return the operation that drops a constraint, with its way back if there is one."""
    if found.is_special:
        return _by_hand(found, table_name, schema)
    before = existing(found, table_name, schema)
    return DropConstraintOnline(found.name, table_name, schema, before)


def existing(found: Check, table_name: str, schema: str | None) -> AddCheckConstraintOnline:
    """Return the operation that makes a constraint which is there."""
    return AddCheckConstraintOnline(
        found.name, table_name, found.condition, schema, not_valid=not found.is_valid
    )


def _by_hand(found: Check, table_name: str, schema: str | None) -> ByHand:
    return ByHand(
        f"{table_name}.{found.name}",
        f"it is {found.definition}, which no operation restores: drop it, and add what is wanted.",
        schema,
    )


def register() -> None:
    """Have it run beside Alembic's own comparison of a table."""
    comparators.dispatch_for("table", qualifier="postgresql", priority=DispatchPriority.LAST)(
        compare
    )
