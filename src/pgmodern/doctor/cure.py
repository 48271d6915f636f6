"""A cure is an operation, written as a line of a revision."""

from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import render_op
from alembic.migration import MigrationContext
from alembic.operations import MigrateOperation
from alembic.operations.ops import CreateIndexOp, DropIndexOp, ExecuteSQLOp

from pgmodern.doctor.catalogue import StoredIndex
from pgmodern.operations import register
from pgmodern.operations.index import CreateIndexOnline, DropIndexOnline


def line(operation: MigrateOperation) -> str:
    """Write an operation as a call of `op`."""
    register()
    context = MigrationContext.configure(dialect_name="postgresql")
    options = {"alembic_module_prefix": "op.", "render_as_batch": False}
    return "\n".join(render_op(AutogenContext(context, opts=options), operation))


def execute(sql: str) -> str:
    """Write the execution of a statement that may run in a transaction."""
    return line(ExecuteSQLOp(sql.replace(":", r"\:")))  # of a name; it marks no parameter


def drop(index: StoredIndex) -> str:
    """Write the drop of an index; a partitioned one cannot be dropped CONCURRENTLY."""
    if index.is_partitioned:
        return line(DropIndexOp(index.name, index.table_name, schema=index.qualifier))
    return line(DropIndexOnline(index.name, index.qualifier))


def create_index(
    name: str, table: str, columns: list[str], schema: str | None, *, partitioned: bool
) -> str:
    """Write the build of an index; that of a partitioned one cannot be CONCURRENTLY."""
    index = CreateIndexOp(name, table, columns, schema=schema)
    return line(index if partitioned else CreateIndexOnline(index))
