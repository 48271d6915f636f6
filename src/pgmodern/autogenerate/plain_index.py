"""An index as a revision writes it: columns by name, whatever else as SQL, nothing of a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import CreateIndexOp, DropIndexOp
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Index, literal_column
from sqlalchemy.sql.elements import ColumnClause

from pgmodern.autogenerate import catalogue
from pgmodern.operations.literal import expression, final_name
from pgmodern.operations.rendering import Code, call


class CreateIndex(CreateIndexOp):
    """`op.create_index`, with operator classes of expressions and values that hold a colon."""

    def reverse(self) -> DropIndex:
        """Return the operation that undoes this one."""
        return DropIndex(self)

    def to_index(self, migration_context: MigrationContext | None = None) -> Index:
        """Return the index, on a table that has the columns which it includes."""
        index = super().to_index(migration_context)
        assert index.table is not None
        for name in self.kw.get("postgresql_include", ()):
            if name not in index.table.c:
                index.table.append_column(Column(name))
        return index


class DropIndex(DropIndexOp):
    """`op.drop_index` that knows what was dropped."""

    def __init__(self, dropped: CreateIndex) -> None:
        super().__init__(str(dropped.index_name), dropped.table_name, schema=dropped.schema)
        self.dropped = dropped

    def reverse(self) -> CreateIndex:
        """Return the operation that undoes this one."""
        return self.dropped


def from_declared(index: Index) -> CreateIndex:
    """Return the operation that builds a declared index."""
    assert index.table is not None
    options = index.dialect_options["postgresql"]
    ops, columns, classes = options["ops"], list[Any](), dict[str, str]()
    for each in index.expressions:
        opclass = ops.get(getattr(each, "key", None))
        if isinstance(each, Column):
            columns.append(each.name)
            classes |= {each.name: opclass} if opclass else {}
        else:
            columns.append(literal_column(" ".join(filter(None, [_grouped(each), opclass]))))
    where = options["where"]
    return _operation(
        final_name(index),
        index.table.name,
        columns,
        schema=index.table.schema,
        unique=bool(index.unique),
        using=options["using"] or None,
        ops=classes,
        include=[str(getattr(each, "name", each)) for each in options["include"] or ()],
        nulls_not_distinct=bool(options["nulls_not_distinct"]),
        parameters=dict(options["with"] or {}),
        where=None if where is None else where if isinstance(where, str) else expression(where),
        tablespace=options["tablespace"],
    )


def _grouped(clause: Any) -> str:
    """Return an expression in the parentheses that CREATE INDEX wants of it."""
    return expression(clause if isinstance(clause, ColumnClause) else clause.self_group())


def from_catalogue(name: catalogue.Name, index: catalogue.Index) -> CreateIndex:
    """Return the operation that builds an index that is there."""
    held, columns, ops = index.definition, list[Any](), dict[str, str]()
    for number, column in enumerate(index.column_names[: held.key_columns]):
        modifiers = list(_modifiers(index, number))
        opclass = index.opclasses[number]
        if column is not None and not modifiers:
            columns.append(column)
            ops |= {column: opclass} if opclass else {}
        else:
            columns.append(literal_column(" ".join([held.columns[number], *modifiers])))
    return _operation(
        name[1],
        held.table_name,
        columns,
        schema=name[0],
        unique=held.is_unique,
        using=None if held.method == "btree" else held.method,
        ops=ops,
        include=[str(column) for column in index.column_names[held.key_columns :]],
        nulls_not_distinct=held.nulls_not_distinct,
        parameters=dict(map(_parameter, held.parameters)),
        where=held.predicate,
    )


# pg_index.indoption, as it is written.
_ORDER = {"0": "", "1": "DESC NULLS LAST", "2": "NULLS FIRST", "3": "DESC"}


def _modifiers(index: catalogue.Index, number: int) -> Iterator[str]:
    """Yield what follows a column of an index, but for a mere operator class of a mere column."""
    held = index.definition
    collation, parameters = index.collations[number], held.opclass_parameters[number]
    order = _ORDER[held.options.split()[number]]
    is_mere = index.column_names[number] is not None and not (collation or parameters or order)
    if collation:
        yield f"COLLATE {collation}"
    if parameters:
        given = (each.partition("=") for each in parameters.split(", "))
        listed = ", ".join(f"{key}='{value}'" for key, _, value in given)
        yield f"{held.opclasses[number]} ({listed})"
    elif index.opclasses[number] and not is_mere:
        yield str(index.opclasses[number])
    if order:
        yield order


def _parameter(given: str) -> tuple[str, int | str]:
    key, _, value = given.partition("=")
    return key, int(value) if value.isdecimal() else value


def _operation(
    name: str,
    table_name: str,
    columns: Sequence[Any],
    *,
    schema: str | None,
    unique: bool,
    using: str | None,
    ops: dict[str, str],
    include: list[str],
    nulls_not_distinct: bool,
    parameters: dict[str, Any],
    where: str | None,
    tablespace: str | None = None,
) -> CreateIndex:
    options: dict[str, Any] = {
        "postgresql_using": using,
        "postgresql_ops": ops or None,
        "postgresql_include": include or None,
        "postgresql_nulls_not_distinct": nulls_not_distinct or None,
        "postgresql_with": parameters or None,
        "postgresql_where": None if where is None else literal_column(where),
        "postgresql_tablespace": tablespace,
    }
    given = {key: value for key, value in options.items() if value is not None}
    return CreateIndex(name, table_name, columns, schema=schema, unique=unique, **given)


def _render_create(context: AutogenContext, operation: CreateIndex) -> str:
    written = {key: _written(value) for key, value in operation.kw.items()}
    return call(
        context,
        "create_index",
        operation.index_name,
        operation.table_name,
        [_written(column) for column in operation.columns],
        unique=operation.unique or None,
        schema=operation.schema,
        **written,
    )


def _written(value: Any) -> Any:
    """Return SQL as the code that stands for it, anything else as it is."""
    if isinstance(value, ColumnClause):
        return Code(f"sa.literal_column({value.name!r})")
    return value


def _render_drop(context: AutogenContext, operation: DropIndex) -> str:
    given = operation.index_name, operation.table_name
    return call(context, "drop_index", *given, schema=operation.schema)


def register() -> None:
    """Add their renderers to autogenerate."""
    renderers.dispatch_for(CreateIndex)(_render_create)
    renderers.dispatch_for(DropIndex)(_render_drop)
