"""What autogenerate sees of PostgreSQL beyond Alembic, one comparator per file.

`unclear` of a comparator says what only the server can compare; all of it is asked at once, before
the comparators run.
"""

from functools import cache

from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import UpgradeOps
from alembic.util import DispatchPriority, PriorityDispatchResult

from pgmodern.autogenerate import (
    body,
    catalogue,
    change_notifications,
    check_constraints,
    comparison,
    computed,
    extensions,
    implementation,
    indexes,
    partitions,
    plain_index,
    search_vectors,
    text_search_configurations,
)
from pgmodern.autogenerate.comparison import Comparison
from pgmodern.autogenerate.twin import Declared, deparse


def prepare(
    context: AutogenContext, _operations: UpgradeOps, schemas: set[str | None]
) -> PriorityDispatchResult:
    """Read the catalogue, and ask the server how it reads what is declared."""
    assert context.connection is not None
    found = catalogue.read(context.connection, schemas)
    # SQLAlchemy fails on a constraint that is NOT VALID, and takes a colon for a parameter.
    context.inspector.info_cache["alembic_check_constraints"] = check_constraints.reflected(found)
    asked = [
        Declared(
            table,
            dict(indexes.unclear(table, name, found)),
            dict(check_constraints.unclear(table, name, found)),
            dict(computed.unclear(table, name, found)),
            partitions.unclear(table, name, found),
        )
        for name, table in comparison.existing(context, found)
    ]
    deparsed = deparse(context.connection, asked)
    default = context.dialect.default_schema_name
    comparison.implementation(context).comparison = Comparison(found, deparsed, default)
    return PriorityDispatchResult.CONTINUE


@cache
def register() -> None:
    """Add the comparators to Alembic; once a process."""
    comparators.dispatch_for("schema", qualifier="postgresql", priority=DispatchPriority.FIRST)(
        prepare
    )
    for module in (
        implementation,
        text_search_configurations,
        extensions,
        search_vectors,
        computed,
        check_constraints,
        change_notifications,
        partitions,
        plain_index,
        body,
    ):
        module.register()
