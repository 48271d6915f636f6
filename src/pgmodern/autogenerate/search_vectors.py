"""Search vectors are filled and kept from the columns that their full-text index declares."""

from collections.abc import Iterator
from functools import partial

from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import (
    AddColumnOp,
    CreateIndexOp,
    DropColumnOp,
    DropIndexOp,
    ModifyTableOps,
    UpgradeOps,
)
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import Table

from pgmodern.autogenerate.catalogue import Catalogue, Key, Name, Trigger
from pgmodern.autogenerate.comparison import of
from pgmodern.indexes import FullTextIndex
from pgmodern.indexes.search_vector import read_source, trigger_name
from pgmodern.operations.by_hand import ByHand
from pgmodern.operations.search_vector import (
    AddSearchVector,
    AddSearchVectorOnline,
    DropSearchVector,
    DropSearchVectorOnline,
    ReplaceSearchVectorOnline,
)

_BEFORE_EACH_ROW = 1 | 2 | 4 | 16  # pg_trigger.tgtype: ROW, BEFORE, INSERT, UPDATE


def compare(
    context: AutogenContext,
    operations: ModifyTableOps,
    schema: str | None,
    table_name: str,
    existing: Table | None,
    declared: Table | None,
) -> PriorityDispatchResult:
    """Add, replace and drop search vectors, in the place of what Alembic sees of them."""
    found = of(context).catalogue
    name = (schema, table_name)
    for index in _stored(declared):
        _compare_declared(operations, name, index, existing, found)
    if declared is None and existing is not None:
        for column in existing.columns:
            _drop_with_table(operations, name, column.name, found)
    return PriorityDispatchResult.CONTINUE


def compare_dropped(
    context: AutogenContext, operations: UpgradeOps, _schemas: set[str | None]
) -> PriorityDispatchResult:
    """Drop the triggers of columns that are dropped, and what they call."""
    found = of(context).catalogue
    for each in operations.ops:
        if isinstance(each, ModifyTableOps):
            name = (each.schema, each.table_name)
            dropped = [op.column_name for op in each.ops if isinstance(op, DropColumnOp)]
            for column in dropped:
                _drop_with_column(each, name, column, found)
    return PriorityDispatchResult.CONTINUE


def _stored(table: Table | None) -> Iterator[FullTextIndex]:
    """Yield the indexes whose column a trigger keeps, not PostgreSQL."""
    indexes = [] if table is None else sorted(table.indexes, key=lambda each: str(each.name))
    for index in indexes:
        if isinstance(index, FullTextIndex) and index.search_vector is not None:
            yield index


def _compare_declared(
    operations: ModifyTableOps,
    name: Name,
    index: FullTextIndex,
    existing: Table | None,
    found: Catalogue,
) -> None:
    kept = index.search_vector
    assert kept is not None
    column, key = kept.column_name, found.keys.get(name) or Key(kept.key, "")
    wanted = _vector(name, column, index, key)
    if existing is None:
        operations.ops.append(AddSearchVector.of(wanted))
        return
    trigger = found.triggers.get(name, {}).get(trigger_name(name[1], column))
    if trigger is not None and _fires(trigger, index):
        if trigger.source != wanted.vector.source:
            replacement = ReplaceSearchVectorOnline.of(wanted)
            replacement.replaced = _read(name, column, trigger.source, key)
            operations.ops.append(replacement)
        return
    if name not in found.keys:
        operations.ops.append(
            ByHand(
                f"{name[1]}.{column}",
                "its search vector cannot be filled in batches: the table has no key of one "
                "column. Give it one, or call op.add_search_vector_online with a unique column.",
                name[0],
            )
        )
        return
    wanted.kept_column = column in existing.columns
    if not wanted.kept_column:
        operations.ops[:] = [each for each in operations.ops if not _adds(each, column, index)]
    operations.ops.insert(0, wanted)


def _drop_with_table(operations: ModifyTableOps, name: Name, column: str, found: Catalogue) -> None:
    trigger = found.triggers.get(name, {}).get(trigger_name(name[1], column))
    if trigger is not None:
        held = _read(name, column, trigger.source, found.keys.get(name))
        dropped = None if held is None else AddSearchVector.of(held)
        operations.ops.append(DropSearchVector(name[1], column, name[0], dropped))


def _drop_with_column(
    operations: ModifyTableOps, name: Name, column: str, found: Catalogue
) -> None:
    trigger = found.triggers.get(name, {}).get(trigger_name(name[1], column))
    if trigger is None:
        return
    held = _read(name, column, trigger.source, found.keys.get(name))
    gone = [each for each in operations.ops if _drops(each, column)]
    for each in gone:
        if held is not None and isinstance(each, DropIndexOp):
            held.index_name = str(each.index_name)
    operations.ops[:] = [each for each in operations.ops if each not in gone]
    operations.ops.append(DropSearchVectorOnline(name[1], column, name[0], held))


def readers(found: Catalogue, name: Name, source: str) -> Iterator[AddSearchVectorOnline | ByHand]:
    """Yield the search vectors of a table whose trigger reads a column.

    Its type cannot change while the trigger is there.
    """
    for trigger in found.triggers.get(name, {}).values():
        read = read_source(trigger.source)
        if read is None or source not in read.sources:
            continue
        held = _read(name, read.column, trigger.source, found.keys.get(name))
        if held is not None:
            held.kept_column = True
            held.index_name = _index_name(found, name, read.column) or held.index_name
        yield held or ByHand(
            f"{name[1]}.{source}",
            f"the trigger {trigger.name} reads it, and keeps its type from being changed: it was "
            "changed by hand.",
            name[0],
        )


def _fires(trigger: Trigger, index: FullTextIndex) -> bool:
    """Whether a trigger runs before each row that is inserted, or of which a source changes."""
    read = read_source(trigger.source)
    sources = index.weights if read is None else read.sources
    fires = trigger.kind == _BEFORE_EACH_ROW and set(sources) <= set(trigger.columns)
    return trigger.is_enabled and fires


def _index_name(found: Catalogue, name: Name, column: str) -> str | None:
    """Return the name of the index of a search vector."""
    for (schema, index_name), index in found.indexes.items():
        is_of_table = (schema, index.definition.table_name) == name
        if is_of_table and index.column_names == [column] and index.definition.method == "gin":
            return index_name
    return None


def _vector(name: Name, column: str, index: FullTextIndex, key: Key) -> AddSearchVectorOnline:
    sources, configuration = index.weights, index.configuration
    given = key.column, key.type, name[0], str(index.name)
    return AddSearchVectorOnline(name[1], column, sources, configuration, *given)


def _read(name: Name, column: str, source: str, key: Key | None) -> AddSearchVectorOnline | None:
    """Return the search vector that a trigger keeps; None for one that somebody has changed."""
    read = read_source(source)
    if read is None or key is None:
        return None
    made_of = read.sources, read.configuration
    held = AddSearchVectorOnline(name[1], column, *made_of, key.column, key.type, name[0])
    return held if held.vector.source == source else None


def _adds(operation: object, column: str, index: FullTextIndex) -> bool:
    if isinstance(operation, AddColumnOp):
        return operation.column.name == column
    return isinstance(operation, CreateIndexOp) and operation.index_name == index.name


def _drops(operation: object, column: str) -> bool:
    if isinstance(operation, DropColumnOp):
        return operation.column_name == column
    if not isinstance(operation, DropIndexOp):
        return False
    columns = operation.to_index().columns
    return [each.name for each in columns] == [column]


def register() -> None:
    """Have them run after Alembic's own comparison, which they correct."""
    dispatch = partial(
        comparators.dispatch_for, qualifier="postgresql", priority=DispatchPriority.LAST
    )
    dispatch("table")(compare)
    dispatch("schema")(compare_dropped)
