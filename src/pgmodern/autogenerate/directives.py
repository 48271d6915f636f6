"""From the differences to revisions: what runs in a transaction and what runs online, in order."""

from collections.abc import Iterator, Sequence
from typing import Any

from alembic import util
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation
from alembic.operations.ops import (
    CreateTableOp,
    DowngradeOps,
    DropConstraintOp,
    DropTableOp,
    MigrationScript,
    ModifyTableOps,
    UpgradeOps,
)
from alembic.runtime.migration import MigrationContext

from pgmodern.autogenerate import online, remarks
from pgmodern.autogenerate.body import Body, Step
from pgmodern.autogenerate.catalogue import Name
from pgmodern.autogenerate.comparison import Comparison, of
from pgmodern.autogenerate.online import Facts
from pgmodern.autogenerate.order import in_revisions
from pgmodern.errors import MigrationError
from pgmodern.operations.by_hand import ByHand
from pgmodern.operations.literal import final_name


def process(migration: MigrationContext, _revision: Any, scripts: list[MigrationScript]) -> None:
    """Turn what autogenerate found into revisions that run beside the application.

    For `process_revision_directives` of Alembic's `configure()`; what `upgrade` and `downgrade` of
    several databases hold is left as it is.
    """
    if len(scripts) != 1 or len(scripts[0].upgrade_ops_list) != 1:
        return
    (script,) = scripts
    found = script.upgrade_ops_list[0].ops
    if not found:
        return
    context = AutogenContext(migration, autogenerate=False)
    revisions = in_revisions(_steps(context, found))
    if not revisions:
        found.clear()
        script.downgrade_ops_list[0].ops.clear()
        return
    scripts[:] = list(_scripts(script, revisions, of(context)))


def _steps(context: AutogenContext, operations: Sequence[MigrateOperation]) -> Iterator[Step]:
    comparison, connection = of(context), context.connection
    assert connection is not None
    declared = {
        (comparison.name(table)[0], final_name(index)): index
        for table in context.sorted_tables
        for index in table.indexes
    }
    born = {_named(each) for each in operations if isinstance(each, CreateTableOp)}
    dying = {_named(each) for each in operations if isinstance(each, DropTableOp)}
    gone = {
        (each.table_name, str(each.constraint_name))
        for container in operations
        if isinstance(container, ModifyTableOps)
        for each in container.ops
        if isinstance(each, DropConstraintOp)
    }
    facts = Facts(connection, comparison.catalogue, declared, born, dying, gone)
    for each in operations:
        if isinstance(each, ModifyTableOps):
            yield from online.steps(facts, (each.schema, each.table_name), each.ops)
        else:
            name = (getattr(each, "schema", None), str(getattr(each, "table_name", None)))
            yield Step(each, tuple(remarks.remarks(each, name, comparison.catalogue)))


def _named(operation: CreateTableOp | DropTableOp) -> Name:
    return operation.schema, operation.table_name


def _scripts(
    script: MigrationScript, revisions: Sequence[Sequence[Step]], comparison: Comparison
) -> Iterator[MigrationScript]:
    """Yield one script a revision, each on top of the one before."""
    upgrade, downgrade = script.upgrade_ops_list[0], script.downgrade_ops_list[0]
    current, before = script, tuple[UpgradeOps, ...]()
    for number, steps in enumerate(revisions):
        if number:
            current = _following(script, current, number, len(revisions))
        operations = UpgradeOps([Body(steps)], upgrade_token=upgrade.upgrade_token)
        before = (*before, operations)
        is_last = number + 1 == len(revisions)
        current.upgrade_ops = _Whole(before, upgrade.upgrade_token) if is_last else operations
        back = Body(list(_back(steps, comparison)))
        current.downgrade_ops = DowngradeOps([back], downgrade_token=downgrade.downgrade_token)
        yield current


class _Whole(UpgradeOps):
    """The last revision's operations, of which `alembic check` asks for those of all."""

    def __init__(self, parts: Sequence[UpgradeOps], token: str) -> None:
        super().__init__(parts[-1].ops, upgrade_token=token)
        self._parts = parts

    def as_diffs(self) -> Any:
        """Return what is to be done in all of the revisions."""
        return [difference for part in self._parts for difference in part.as_diffs()]


def _following(
    script: MigrationScript, previous: MigrationScript, number: int, of_: int
) -> MigrationScript:
    message = f"{script.message or 'changes'}, part {number + 1} of {of_}"
    return MigrationScript(
        rev_id=f"{script.rev_id}_{number + 1}" if _is_chosen(script) else util.rev_id(),
        message=message,
        upgrade_ops=UpgradeOps([]),
        downgrade_ops=DowngradeOps([]),
        head=previous.rev_id,
        version_path=script.version_path,
    )


def _is_chosen(script: MigrationScript) -> bool:
    return script.rev_id is not None and len(script.rev_id) != len(util.rev_id())


def _back(steps: Sequence[Step], comparison: Comparison) -> Iterator[Step]:
    for step in reversed(steps):
        try:
            operation = step.operation.reverse()
        except (ValueError, NotImplementedError, MigrationError) as error:
            said = error.cause if isinstance(error, MigrationError) else str(error)
            operation = ByHand(type(step.operation).__name__, f"not undone: {said}")
        for each in operation.ops if isinstance(operation, ModifyTableOps) else [operation]:
            name = (getattr(each, "schema", None), str(getattr(each, "table_name", None)))
            facts = each, name, comparison.catalogue
            yield Step(each, (*remarks.remarks(*facts), *remarks.of_way_back(*facts)))
