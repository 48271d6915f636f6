"""In which order, and in which revisions, things are done.

First what comes into being and stops nobody, in one transaction; then what is done online; then
what goes, in one transaction again, when nothing depends on it any more. Parts that are empty are
left out. Before all, online, goes an index that depends on a type that changes at once.
"""

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter

from alembic.operations import MigrateOperation
from alembic.operations.ops import DropColumnOp, DropTableOp
from sqlalchemy import ForeignKeyConstraint

from pgmodern.autogenerate.body import Step
from pgmodern.autogenerate.plain_index import DropIndex
from pgmodern.operations.by_hand import ByHand
from pgmodern.operations.change_column_type import ChangeColumnTypeOnline
from pgmodern.operations.change_notification import DropChangeNotification
from pgmodern.operations.check_constraint import (
    AddCheckConstraintOnline,
    ReplaceCheckConstraintOnline,
)
from pgmodern.operations.constraint import DropConstraintOnline
from pgmodern.operations.foreign_key import AddForeignKeyOnline
from pgmodern.operations.index import CreateIndexOnline, DropIndexOnline, ReplaceIndexOnline
from pgmodern.operations.not_null import DropNotNullOnline, SetNotNullOnline
from pgmodern.operations.partition_table import PartitionTableOnline
from pgmodern.operations.search_vector import (
    AddSearchVectorOnline,
    DropSearchVector,
    DropSearchVectorOnline,
    ReplaceSearchVectorOnline,
)
from pgmodern.operations.unique_constraint import AddUniqueConstraintOnline

# What runs online, in this order: a foreign key needs a unique index, an index its column's type.
_ONLINE: Sequence[type[MigrateOperation]] = (
    DropConstraintOnline,
    DropIndexOnline,
    DropSearchVectorOnline,
    DropNotNullOnline,
    ChangeColumnTypeOnline,
    AddSearchVectorOnline,
    ReplaceSearchVectorOnline,
    CreateIndexOnline,
    ReplaceIndexOnline,
    AddUniqueConstraintOnline,
    AddCheckConstraintOnline,
    ReplaceCheckConstraintOnline,
    SetNotNullOnline,
    AddForeignKeyOnline,
    PartitionTableOnline,
)
_CONTRACTING = (DropChangeNotification, DropColumnOp, DropIndex, DropSearchVector, DropTableOp)
"""What goes when nothing depends on it any more."""


def in_revisions(steps: Iterable[Step]) -> list[list[Step]]:
    """Divide steps into revisions, each of which runs in one way."""
    first, expand = list[Step](), list[Step]()
    online, contract = list[Step](), list[Step]()
    for step in steps:
        if isinstance(step.operation, tuple(_ONLINE)):
            (first if step.is_first else online).append(step)
        else:
            goes = isinstance(step.operation, _CONTRACTING)
            (contract if goes else expand).append(step)
    contract = _referents_last(contract)
    if not expand:
        online, first = first + online, []
    if not online:
        expand, contract = expand + contract, []
    for part in (first, online):
        part.sort(key=lambda step: _rank(step.operation))
    return [part for part in (first, expand, online, contract) if part]


def _rank(operation: MigrateOperation) -> tuple[int, bool]:
    references = isinstance(operation, DropConstraintOnline) and not isinstance(
        operation.dropped, AddForeignKeyOnline
    )
    return _ONLINE.index(type(operation)), references


def _referents_last(steps: Sequence[Step]) -> list[Step]:
    """Drop a table after those whose foreign keys point at it, and after all else."""
    tables = {_name(step.operation): step for step in steps if _drops_table(step)}
    graph: dict[str, set[str]] = {name: set() for name in tables}
    for name, step in tables.items():
        assert isinstance(step.operation, DropTableOp)
        for constraint in step.operation.to_table().constraints:
            if isinstance(constraint, ForeignKeyConstraint):
                referent = constraint.elements[0].target_fullname.rpartition(".")[0]
                if referent != name and referent in graph:
                    graph[referent].add(name)
    rest = [step for step in steps if not _drops_table(step)]
    try:
        return rest + [tables[name] for name in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        circle = ", ".join(dict.fromkeys(error.args[1]))
        said = "they refer to each other: drop a foreign key of theirs before their models."
        return [*rest, Step(ByHand(circle, said))]


def _drops_table(step: Step) -> bool:
    return isinstance(step.operation, DropTableOp)


def _name(operation: MigrateOperation) -> str:
    assert isinstance(operation, DropTableOp)
    schema, name = operation.schema, operation.table_name
    return f"{schema}.{name}" if schema else name
