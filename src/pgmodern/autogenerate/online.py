"""What Alembic would do to a table that is in use, as operations that do not stop its application.

A table that is created in the same revision has no rows and no readers: plain operations serve.
"""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
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
    ModifyTableOps,
)
from sqlalchemy import Column, Connection, Index, MetaData, Table
from sqlalchemy.schema import CreateColumn
from sqlalchemy.types import TypeEngine

from pgmodern.autogenerate import catalogue, plain_index, remarks, search_vectors, twin
from pgmodern.autogenerate.body import Step
from pgmodern.autogenerate.catalogue import Catalogue, Name
from pgmodern.autogenerate.plain_index import CreateIndex
from pgmodern.indexes.catalogue import quoted
from pgmodern.operations.by_hand import ByHand
from pgmodern.operations.change_column_type import ChangeColumnTypeOnline, DropReplacedColumn
from pgmodern.operations.column_expression import DropColumnExpression
from pgmodern.operations.constraint import DropConstraintOnline
from pgmodern.operations.foreign_key import AddForeignKeyOnline, ForeignKey
from pgmodern.operations.index import CreateIndexOnline, DropIndexOnline, ReplaceIndexOnline
from pgmodern.operations.literal import DIALECT
from pgmodern.operations.names import fitting
from pgmodern.operations.not_null import DropNotNullOnline, SetNotNullOnline
from pgmodern.operations.replaced_column import ReplacedColumn
from pgmodern.operations.search_vector import AddSearchVector, AddSearchVectorOnline
from pgmodern.operations.unique_constraint import AddUniqueConstraintOnline


@dataclass(slots=True)
class Rewriter:
    """Says how each operation is done online; asks the server what an ALTER TABLE would cost."""

    connection: Connection
    found: Catalogue
    declared: dict[tuple[str | None, str], Index]
    born: set[Name]
    dying: set[Name]
    retyped: set[Name] = field(default_factory=set)
    put_by: set[tuple[Name, str]] = field(default_factory=set)

    def steps(self, operations: list[MigrateOperation], name: Name) -> Iterator[Step]:
        """Yield the steps for the operations on one table."""
        if name in self.born | self.dying:
            yield from (self._step(self._plain(each), name) for each in operations)
            return
        self.retyped |= {name for each in operations if _changes_type(each)}
        made = {each.index_name for each in operations if isinstance(each, CreateIndexOp)}
        dropped = {each.index_name for each in operations if isinstance(each, DropIndexOp)}
        for operation in operations:
            for each in self._online(operation, name, (made & dropped)):
                yield each if isinstance(each, Step) else self._step(each, name)

    def _step(self, operation: MigrateOperation, name: Name) -> Step:
        return Step(operation, tuple(remarks.remarks(operation, name, self.found)))

    def _plain(self, operation: MigrateOperation) -> MigrateOperation:
        if isinstance(operation, CreateIndexOp):
            return self._created(operation)
        if isinstance(operation, DropIndexOp):
            return plain_index.DropIndex(self._existing(operation))
        return operation

    def _created(self, operation: CreateIndexOp) -> CreateIndex:
        index = self.declared.get((operation.schema, str(operation.index_name)))
        return plain_index.from_declared(operation.to_index() if index is None else index)

    def _existing(self, operation: CreateIndexOp | DropIndexOp) -> CreateIndex:
        name = (operation.schema, str(operation.index_name))
        return plain_index.from_catalogue(name, self.found.indexes[name])

    def _online(
        self, operation: MigrateOperation, name: Name, replaced: set[Any]
    ) -> Iterator[MigrateOperation | Step]:
        match operation:
            case CreateIndexOp():
                wanted = self._created(operation)
                if operation.index_name not in replaced or name in self.retyped:
                    yield CreateIndexOnline(wanted)
                else:
                    key = (operation.schema, str(operation.index_name))
                    before = plain_index.from_catalogue(key, self.found.indexes[key])
                    yield ReplaceIndexOnline(wanted, before)
            case DropIndexOp():
                if operation.index_name not in replaced or name in self.retyped:
                    existing = self._existing(operation)
                    yield DropIndexOnline(str(operation.index_name), operation.schema, existing)
            case CreateUniqueConstraintOp() | CreateForeignKeyOp() | DropConstraintOp():
                yield _constraint(operation)
            case _:
                yield from self._of_column(operation, name)

    def _of_column(
        self, operation: MigrateOperation, name: Name
    ) -> Iterator[MigrateOperation | Step]:
        match operation:
            case AddColumnOp():
                yield from self._add_column(operation, name)
            case DropColumnOp():
                yield from self._drop_replaced(name, operation.column_name)
                yield from _drop_column(operation)
            case AlterColumnOp():
                yield from self._alter_column(operation, name)
            case ModifyTableOps():
                yield self._anew(operation, name)
            case DropColumnExpression():
                yield self._no_expression(operation, name)
            case _:
                yield operation

    def _add_column(self, operation: AddColumnOp, name: Name) -> Iterator[MigrateOperation | Step]:
        column = operation.column
        if _needs_value(column):
            yield _nullable(operation)
            yield SetNotNullOnline(operation.table_name, column.name, operation.schema)
            return
        definition = str(CreateColumn(_attached(column)).compile(dialect=DIALECT))
        altered = twin.alter(self.connection, _quoted(name), f"ADD COLUMN {definition}")
        said = remarks.of_rewrite(name, self.found) if altered and altered.rewrites else ()
        yield Step(operation, tuple(said))

    def _drop_replaced(self, name: Name, column: str) -> Iterator[MigrateOperation]:
        """Drop what a change of type left of a column, and the trigger that would fail without."""
        schema, table = name
        if (name, ReplacedColumn(table, column, schema).old) in self.found.replaced_columns:
            yield DropReplacedColumn(table, column, schema)

    def _anew(self, operation: ModifyTableOps, name: Name) -> ModifyTableOps:
        """Return the operations that make a column anew, and the indexes that go with it."""
        schema, table = name
        dropped = [each.column_name for each in operation.ops if isinstance(each, DropColumnOp)]
        gone = dict(self._depending(name, dropped))
        drops = [plain_index.DropIndex(plain_index.from_catalogue(*each)) for each in gone.items()]
        creates = [plain_index.from_declared(self.declared[key]) for key in gone]
        return ModifyTableOps(table, [*drops, *operation.ops, *creates], schema=schema)

    def _no_expression(self, operation: DropColumnExpression, name: Name) -> DropColumnExpression:
        """Return the operation, told which indexes its way back has to build again."""
        depending = self._depending(name, [operation.column_name])
        operation.indexes = [plain_index.from_catalogue(*each) for each in depending]
        return operation

    def _depending(self, name: Name, columns: list[str]) -> Iterator[tuple[Name, catalogue.Index]]:
        """Yield the indexes that go with columns and that are to stay."""
        for key, index in self.found.indexes.items():
            is_of_table = key[0] == name[0] and index.definition.table_name == name[1]
            if is_of_table and key in self.declared and set(columns) & set(index.depends_on):
                yield key, index

    def _alter_column(self, operation: AlterColumnOp, name: Name) -> Iterator[MigrateOperation]:
        schema, table, column = operation.schema, operation.table_name, operation.column_name
        if operation.modify_type is not None:
            yield from self._drop_replaced(name, column)
            yield from self._beside_triggers(self._change_type(operation, name), name)
        if operation.modify_nullable is not None:
            kind = DropNotNullOnline if operation.modify_nullable else SetNotNullOnline
            yield kind(table, column, schema)
        rest = copy(operation)
        rest.modify_type = rest.modify_nullable = None
        if operation.modify_type is not None:
            rest.existing_type = operation.modify_type
        if rest.has_changes():
            yield rest

    def _beside_triggers(self, change: MigrateOperation, name: Name) -> Iterator[MigrateOperation]:
        """Yield a change of type, without the search vectors that keep the column from it."""
        column = str(getattr(change, "column_name", ""))
        readers = list(search_vectors.readers(self.found, name, column))
        vectors = [each for each in readers if isinstance(each, AddSearchVectorOnline)]
        if len(vectors) < len(readers):
            yield from readers
        elif isinstance(change, AlterColumnOp):
            kept = [AddSearchVector.of(each) for each in vectors]
            drops = [each.reverse() for each in kept]
            yield ModifyTableOps(name[1], [*drops, change, *kept], schema=name[0])
        else:
            dropped = [each for each in vectors if (name, each.column_name) not in self.put_by]
            self.put_by |= {(name, each.column_name) for each in dropped}
            yield from (each.reverse() for each in dropped)
            yield change
            yield from dropped

    def _change_type(self, operation: AlterColumnOp, name: Name) -> MigrateOperation:
        column, table = quoted(operation.column_name), _quoted(name)
        new, old = _type(operation.modify_type), _type(operation.existing_type)
        clause = f"ALTER COLUMN {column} TYPE {new}"
        altered, using = twin.alter(self.connection, table, clause), None
        if altered is None:
            using = f"{column}::{new}"
            altered = twin.alter(self.connection, table, f"{clause} USING {using}")
        key = self.found.keys.get(name)
        if altered is not None and not altered.rewrites:
            plain = copy(operation)
            plain.modify_nullable, plain.modify_comment = None, False
            plain.modify_server_default = False
            return plain
        if altered is None or key is None:
            why = "there is no cast" if altered is None else "the table has no key of one column"
            return ByHand(
                f"{name[1]}.{operation.column_name}",
                f"it is {old}, and declared to be {new}: {why}. op.change_column_type_online "
                "takes the conversion as `using`, and the key.",
                name[0],
            )
        return ChangeColumnTypeOnline(
            operation.table_name,
            operation.column_name,
            new,
            using,
            f"{column}::{old}",
            key.column,
            key.type,
            operation.schema,
            old,
        )


def _changes_type(operation: MigrateOperation) -> bool:
    return isinstance(operation, AlterColumnOp) and operation.modify_type is not None


def _quoted(name: Name) -> str:
    return quoted(name[1], name[0])


def _type(type_: Any) -> str:
    assert isinstance(type_, TypeEngine)
    return str(type_.compile(DIALECT))


def _needs_value(column: Column[Any]) -> bool:
    """Whether a row cannot be without a value of the column, and nothing gives it one."""
    given = column.server_default is not None or column.identity or column.computed
    return not column.nullable and not given


def _nullable(operation: AddColumnOp) -> AddColumnOp:
    column = copy(operation.column)
    column.nullable = True
    return AddColumnOp.from_column_and_tablename(operation.schema, operation.table_name, column)


def _attached(column: Column[Any]) -> Column[Any]:
    """Return the column in a table of its own, without what refers to others."""
    alone = Column(
        column.name,
        column.type,
        *[each for each in (column.identity, column.computed) if each is not None],
        nullable=column.nullable,
        server_default=None
        if column.identity is not None or column.computed is not None
        else column.server_default,
    )
    Table("alone", MetaData(), copy(alone))
    return alone


def _drop_column(operation: DropColumnOp) -> Iterator[MigrateOperation]:
    column = operation.to_column()
    if _needs_value(column) and not column.primary_key:
        # So that the application may leave it out of an INSERT before it is gone.
        yield DropNotNullOnline(operation.table_name, column.name, operation.schema)
        column = copy(column)
        column.nullable = True
    schema, table = operation.schema, operation.table_name
    yield DropColumnOp.from_column_and_tablename(schema, table, column)


def _constraint(
    operation: CreateUniqueConstraintOp | CreateForeignKeyOp | DropConstraintOp,
) -> MigrateOperation:
    if isinstance(operation, CreateUniqueConstraintOp):
        return _unique(operation)
    if isinstance(operation, CreateForeignKeyOp):
        return AddForeignKeyOnline(_foreign_key(operation))
    before = operation.reverse()
    if isinstance(before, CreateUniqueConstraintOp | CreateForeignKeyOp):
        name, table, schema = operation.constraint_name, operation.table_name, operation.schema
        return DropConstraintOnline(str(name), table, schema, _constraint(before))
    return operation


def _unique(operation: CreateUniqueConstraintOp) -> AddUniqueConstraintOnline:
    kw, table = operation.kw, operation.table_name
    columns = [str(column) for column in operation.columns]
    name = str(operation.constraint_name or fitting("_".join([table, *columns, "key"])))
    return AddUniqueConstraintOnline(
        name,
        table,
        columns,
        operation.schema,
        nulls_not_distinct=bool(kw.get("postgresql_nulls_not_distinct")),
        include=list(kw.get("postgresql_include") or ()),
        deferrable=bool(kw.get("deferrable")),
        initially=kw.get("initially"),
    )


def _foreign_key(operation: CreateForeignKeyOp) -> ForeignKey:
    kw, table = operation.kw, operation.source_table
    local = [str(column) for column in operation.local_cols]
    return ForeignKey(
        str(operation.constraint_name or fitting("_".join([table, *local, "fkey"]))),
        table,
        operation.referent_table,
        local,
        [str(column) for column in operation.remote_cols],
        kw.get("onupdate"),
        kw.get("ondelete"),
        kw.get("deferrable"),
        kw.get("initially"),
        kw.get("match"),
        kw.get("source_schema"),
        kw.get("referent_schema"),
    )
