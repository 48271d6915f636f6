"""What Alembic would do to a table that is in use, as operations that do not stop its application.

A table that is created in the same revision has no rows and no readers: plain operations serve.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

from alembic.operations import MigrateOperation
from alembic.operations.ops import (
    AddColumnOp,
    AlterColumnOp,
    CreateForeignKeyOp,
    CreateIndexOp,
    CreateUniqueConstraintOp,
    DropColumnOp,
    DropConstraintOp,
    DropIndexOp,
    ExecuteSQLOp,
    ModifyTableOps,
)
from sqlalchemy import Column, Connection, Index, MetaData, Table
from sqlalchemy.schema import CreateColumn

from pgmodern.autogenerate import (
    catalogue,
    check_constraints,
    column_types,
    constraints,
    plain_index,
    remarks,
    search_vectors,
    twin,
)
from pgmodern.autogenerate.body import Step
from pgmodern.autogenerate.catalogue import Catalogue, Name
from pgmodern.autogenerate.implementation import without_parameters
from pgmodern.autogenerate.plain_index import CreateIndex
from pgmodern.operations.by_hand import ByHand
from pgmodern.operations.change_column_type import ChangeColumnTypeOnline, DropReplacedColumn
from pgmodern.operations.check_constraint import ReplaceCheckConstraintOnline
from pgmodern.operations.column_expression import DropColumnExpression
from pgmodern.operations.constraint import DropConstraintOnline
from pgmodern.operations.foreign_key import AddForeignKeyOnline, ForeignKey
from pgmodern.operations.index import CreateIndexOnline, DropIndexOnline, ReplaceIndexOnline
from pgmodern.operations.not_null import DropNotNullOnline, SetNotNullOnline
from pgmodern.operations.replaced_column import ReplacedColumn
from pgmodern.operations.search_vector import (
    AddSearchVector,
    AddSearchVectorOnline,
    DropSearchVectorOnline,
)
from pgmodern.quoting import DIALECT, quoted

Steps = Iterator[MigrateOperation | Step]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of all tables: what there is, what is declared, what comes and goes."""

    connection: Connection
    found: Catalogue
    declared: dict[Name, Index]
    born: set[Name]
    dying: set[Name]
    dropped: set[tuple[str, str]]
    """The tables and names of the constraints that are dropped as such."""


def steps(facts: Facts, name: Name, operations: Sequence[MigrateOperation]) -> Iterator[Step]:
    """Yield the steps for the operations on one table."""
    rewriting = _Rewriting(facts, name, operations)
    plain = name in facts.born | facts.dying
    for each in rewriting.plain() if plain else rewriting.online():
        if isinstance(each, Step):
            yield each
        else:
            yield Step(each, tuple(remarks.remarks(each, name, facts.found)))


class _Rewriting:
    """The operations on one table."""

    def __init__(self, facts: Facts, name: Name, operations: Sequence[MigrateOperation]) -> None:
        self._facts = facts
        self._name = name
        self._operations = operations
        self._types = {
            each.column_name: column_types.change(facts.connection, facts.found, name, each)
            for each in operations
            if isinstance(each, AlterColumnOp) and each.modify_type is not None
        }
        self._made = {str(e.index_name) for e in operations if isinstance(e, CreateIndexOp)}
        self._dropped = {str(e.index_name) for e in operations if isinstance(e, DropIndexOp)}
        added = (e for e in operations if isinstance(e, CreateUniqueConstraintOp))
        self._constrained = {constraints.unique(each).constraint_name for each in added}
        self._unchecked = {
            e.constraint_name for e in operations if isinstance(e, DropConstraintOnline)
        }
        # The search vectors that are out of the way of a change of type.
        self._put_by = {e.column_name for e in operations if isinstance(e, DropSearchVectorOnline)}

    def plain(self) -> Iterator[MigrateOperation]:
        """Yield the operations, indexes as a revision writes them."""
        for each in self._operations:
            if isinstance(each, CreateIndexOp):
                yield self._created(each)
            elif isinstance(each, DropIndexOp):
                yield plain_index.DropIndex(self._existing(str(each.index_name)))
            else:
                yield each

    def online(self) -> Steps:
        """Yield the operations as they are done online."""
        yield from self._read_anew()
        for operation in self._operations:
            match operation:
                case CreateIndexOp() | DropIndexOp() if self._is_partitioned:
                    yield from self._partitioned_index(operation)
                case CreateUniqueConstraintOp() if self._is_partitioned:
                    yield Step(operation, (remarks.LOCKED,))
                case CreateIndexOp() | DropIndexOp():
                    yield from self._index(operation)
                case CreateUniqueConstraintOp() | CreateForeignKeyOp() | DropConstraintOp():
                    yield constraints.online(operation)
                case _:
                    yield from self._column(operation)

    @property
    def _is_partitioned(self) -> bool:
        """Whether nothing can be built or dropped CONCURRENTLY (manual, CREATE INDEX)."""
        return self._name in self._facts.found.partitioned

    def _partitioned_index(self, operation: CreateIndexOp | DropIndexOp) -> Steps:
        name = str(operation.index_name)
        is_replaced = name in self._made & self._dropped
        if isinstance(operation, CreateIndexOp):
            drops = [plain_index.DropIndex(self._existing(name))] if is_replaced else []
            plain = [*drops, self._created(operation)]
            together = ModifyTableOps(self._name[1], plain, schema=self._name[0])
            yield Step(together, (remarks.LOCKED,))
        elif not is_replaced:
            yield plain_index.DropIndex(self._existing(name))

    def _created(self, operation: CreateIndexOp) -> CreateIndex:
        index = self._facts.declared.get((self._name[0], str(operation.index_name)))
        return plain_index.from_declared(operation.to_index() if index is None else index)

    def _existing(self, name: str) -> CreateIndex:
        key = (self._name[0], name)
        return plain_index.from_catalogue(key, self._facts.found.indexes[key])

    def _depending(self, columns: Sequence[str]) -> Iterator[tuple[str, catalogue.Index]]:
        """Yield the indexes that depend on columns, and that are to stay as they are."""
        for (schema, name), index in self._facts.found.indexes.items():
            is_of_table = (schema, index.definition.table_name) == self._name
            is_kept = (schema, name) in self._facts.declared and name not in self._dropped
            if is_of_table and is_kept and set(columns) & set(index.depends_on):
                yield name, index

    def _read_anew(self) -> Steps:
        """Yield what builds the indexes again that a change of type would have say another thing.

        Their expressions hold casts from the old type to the new one then.
        """
        for name, index in self._depending(list(self._types)):
            if None in index.column_names or index.definition.predicate is not None:
                yield self._drop_index(name)
                wanted = plain_index.from_declared(self._facts.declared[self._name[0], name])
                yield CreateIndexOnline(wanted)

    def _index(self, operation: CreateIndexOp | DropIndexOp) -> Steps:
        name = str(operation.index_name)
        there = self._facts.found.indexes.get((self._name[0], name))
        # Before a column's type changes an index may need the old one, after it the new.
        is_retyped = there is not None and bool(set(there.depends_on) & set(self._types))
        is_replaced = name in self._made & self._dropped and not is_retyped
        if isinstance(operation, CreateIndexOp):
            wanted = self._created(operation)
            if is_replaced:
                yield ReplaceIndexOnline(wanted, self._existing(name))
            else:
                yield CreateIndexOnline(wanted)
        elif not is_replaced:
            yield self._drop_index(name)

    def _drop_index(self, name: str) -> Step:
        """Drop an index; first of all where a type changes at once that it depends on."""
        there = self._facts.found.indexes[self._name[0], name]
        at_once = {key for key, each in self._types.items() if isinstance(each, AlterColumnOp)}
        drop = DropIndexOnline(name, self._name[0], self._existing(name))
        return Step(drop, is_first=bool(at_once & set(there.depends_on)))

    def _column(self, operation: MigrateOperation) -> Steps:
        match operation:
            case AddColumnOp():
                yield from self._add_column(operation)
            case DropColumnOp():
                yield from self._drop_replaced(operation.column_name)
                yield from self._checks_of([operation.column_name])
                yield from self._drop_column(operation)
            case AlterColumnOp():
                yield from self._alter_column(operation)
            case ModifyTableOps():
                yield from self._anew(operation)
            case DropColumnExpression():
                yield self._no_expression(operation)
            case _:
                yield operation

    def _add_column(self, operation: AddColumnOp) -> Steps:
        column, schema = operation.column, self._name[0]
        if _needs_value(column):
            yield _nullable(operation)
            yield SetNotNullOnline(operation.table_name, column.name, schema)
            return
        definition = str(CreateColumn(_alone(column)).compile(dialect=DIALECT))
        table = quoted(self._name[1], schema)
        altered = twin.alter(self._facts.connection, table, f"ADD COLUMN {definition}")
        said = remarks.of_rewrite(self._name, self._facts.found) if altered.rewrites else ()
        yield Step(operation, tuple(said))

    def _drop_column(self, operation: DropColumnOp) -> Steps:
        column = operation.to_column()
        schema, table = self._name
        if _needs_value(column) and not column.primary_key:
            # So that the application may leave it out of an INSERT before it is gone.
            yield DropNotNullOnline(table, column.name, schema)
            column = copy(column)
            column.nullable = True
        plain = DropColumnOp.from_column_and_tablename(schema, table, column)
        uniques = self._facts.found.uniques.get(self._name, {}).values()
        gone = [each.name for each in uniques if each.excludes(column.name)]
        yield Step(plain, tuple(remarks.of_dropped(plain, self._name, self._facts.found, gone)))

    def _drop_replaced(self, column: str) -> Iterator[MigrateOperation]:
        """Drop what a change of type left of a column, and the trigger that would fail without."""
        schema, table = self._name
        left = (self._name, ReplacedColumn(table, column, schema).old)
        if left in self._facts.found.replaced_columns:
            yield DropReplacedColumn(table, column, schema)

    def _alter_column(self, operation: AlterColumnOp) -> Steps:
        schema, table, column = operation.schema, operation.table_name, operation.column_name
        if (change := self._types.get(column)) is not None:
            yield from self._drop_replaced(column)
            if isinstance(change, ChangeColumnTypeOnline):
                yield from self._without_references(column)
            yield from self._beside_triggers(change, column)
        if operation.modify_nullable is not None:
            kind = DropNotNullOnline if operation.modify_nullable else SetNotNullOnline
            yield kind(table, column, schema)
        if (rest := column_types.without_type(operation)) is not None:
            yield rest

    def _without_references(self, column: str) -> Steps:
        """Drop the foreign keys that keep a column from being replaced, and add them again."""
        for key in self._references:
            named = key.source_table, key.constraint_name
            if column in key.remote_cols and named not in self._facts.dropped:
                self._facts.dropped.add(named)
                again = AddForeignKeyOnline(key)
                yield again.reverse()
                yield again

    def _beside_triggers(self, change: MigrateOperation, column: str) -> Steps:
        """Yield a change of type, without the search vectors that keep the column from it."""
        readers = list(search_vectors.readers(self._facts.found, self._name, column))
        vectors = [each for each in readers if isinstance(each, AddSearchVectorOnline)]
        if len(vectors) < len(readers):
            yield from readers
        elif not vectors:
            yield change
        elif isinstance(change, AlterColumnOp):
            kept = [AddSearchVector.of(each) for each in vectors]
            together = [*(each.reverse() for each in kept), change, *kept]
            yield ModifyTableOps(self._name[1], together, schema=self._name[0])
        else:
            dropped = [each for each in vectors if each.column_name not in self._put_by]
            self._put_by |= {each.column_name for each in dropped}
            yield from (each.reverse() for each in dropped)
            yield change
            yield from dropped

    def _checks_of(self, columns: Sequence[str], *, is_first: bool = False) -> Steps:
        """Drop the CHECKs that would go with columns, so that the way back restores them."""
        schema, table = self._name
        for check in self._facts.found.checks.get(self._name, {}).values():
            if set(columns) & set(check.columns) and check.name not in self._unchecked:
                self._unchecked.add(check.name)
                yield Step(check_constraints.dropped(check, table, schema), is_first=is_first)

    def _checks_again(self, columns: Sequence[str]) -> Steps:
        """Add the CHECKs again that went with columns, but for those that are replaced."""
        replaced = {
            each.constraint_name
            for each in self._operations
            if isinstance(each, ReplaceCheckConstraintOnline)
        }
        for check in self._facts.found.checks.get(self._name, {}).values():
            is_gone = bool(set(columns) & set(check.columns)) and not check.is_special
            if is_gone and check.name not in replaced:
                yield check_constraints.existing(check, self._name[1], self._name[0])

    def _anew(self, operation: ModifyTableOps) -> Steps:
        """Yield what makes a column anew; what would go with it goes before and comes after."""
        schema, table = self._name
        columns = [each.column_name for each in operation.ops if isinstance(each, DropColumnOp)]
        if any(set(columns) & set(key.remote_cols) for key in self._references):
            said = "a foreign key points at it, so it cannot be made anew: drop that before."
            yield ByHand(f"{table}.{columns[0]}", said, schema)
            return
        declared = next(each.column for each in operation.ops if isinstance(each, AddColumnOp))
        for name, _ in self._depending(columns):
            yield Step(DropIndexOnline(name, schema, self._existing(name)), is_first=True)
            yield CreateIndexOnline(plain_index.from_declared(self._facts.declared[schema, name]))
        yield from self._checks_of(columns, is_first=True)
        yield from self._checks_again(columns)
        for again in constraints.of_column(declared):
            if again.constraint_name not in self._constrained:
                yield Step(again.reverse(), is_first=True)
                yield again
        yield operation

    @property
    def _references(self) -> list[ForeignKey]:
        """The foreign keys that point at the table."""
        return self._facts.found.references.get(self._name, [])

    def _no_expression(self, operation: DropColumnExpression) -> DropColumnExpression:
        """Return the operation, told what its way back has to make again."""
        schema, table = self._name
        columns = [operation.column_name]
        operation.indexes = [self._existing(name) for name, _ in self._depending(columns)]
        found = self._facts.found
        checks, uniques = (
            each.get(self._name, {}).values() for each in (found.checks, found.uniques)
        )
        constrained: list[catalogue.Check | catalogue.Unique] = [*checks, *uniques]
        definitions = [
            f"{quoted(each.name)} {each.definition}"
            for each in constrained
            if set(columns) & set(each.columns)
        ]
        alter = f"ALTER TABLE {quoted(table, schema)} ADD CONSTRAINT"
        operation.constraints = [
            ExecuteSQLOp(without_parameters(f"{alter} {each}")) for each in definitions
        ]
        return operation


def _needs_value(column: Column[Any]) -> bool:
    """Whether a row cannot be without a value of the column, and nothing gives it one."""
    given = column.server_default is not None or column.identity or column.computed
    return not column.nullable and not given


def _nullable(operation: AddColumnOp) -> AddColumnOp:
    column = copy(operation.column)
    column.nullable = True
    return AddColumnOp.from_column_and_tablename(operation.schema, operation.table_name, column)


def _alone(column: Column[Any]) -> Column[Any]:
    """Return the column in a table of its own, without what refers to others."""
    generated = [each for each in (column.identity, column.computed) if each is not None]
    alone: Column[Any] = Column(
        column.name,
        column.type,
        *(copy(each) for each in generated),
        nullable=column.nullable,
        server_default=None if generated else column.server_default,
    )
    Table("alone", MetaData(), alone)
    return alone
