"""Extensions that the metadata needs are there, and new enough; others are left alone."""

from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation
from alembic.operations.ops import UpgradeOps
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy.util import to_list

from pgmodern.autogenerate.comparison import of
from pgmodern.extensions import Extension, refusal
from pgmodern.indexes import required_extensions
from pgmodern.operations.extension import CreateExtension, UpdateExtension


def compare(
    context: AutogenContext, operations: UpgradeOps, _schemas: set[str | None]
) -> PriorityDispatchResult:
    """Create what is missing and update what is too old, before everything else."""
    have = of(context).catalogue.extensions
    needed = sorted(required_extensions(to_list(context.metadata)))
    operations.ops[:0] = [
        operation
        for extension in needed
        if (operation := _operation(extension, have.get(extension.name))) is not None
    ]
    return PriorityDispatchResult.CONTINUE


def _operation(wanted: Extension, have: str | None) -> MigrateOperation | None:
    given = wanted.name, wanted.minimum, wanted.reason
    if have is None:
        return CreateExtension(*given)
    return UpdateExtension(*given) if refusal(wanted, have, None) else None


def register() -> None:
    """Have it run before Alembic's own comparison of tables."""
    comparators.dispatch_for("schema", qualifier="postgresql", priority=DispatchPriority.MEDIUM)(
        compare
    )
