"""What every declared index has: its options, its table's key, the extensions it needs."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Self
from weakref import WeakKeyDictionary

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Float,
    Index,
    Integer,
    Label,
    MetaData,
    Table,
    Text,
    event,
    literal_column,
)
from sqlalchemy.sql.visitors import replacement_traverse

from pgmodern.errors import DeclarationError
from pgmodern.extensions import VECTOR, Extension, create_sql
from pgmodern.indexes.mixin import Copies
from pgmodern.indexes.source import Source, as_column
from pgmodern.quoting import verbatim
from pgmodern.types import Bit, vector_type

# What each run of create_all() has executed by now, for whichever index.
_EXECUTED: WeakKeyDictionary[object, set[str]] = WeakKeyDictionary()


class DeclaredIndex(Index):
    """An index that knows the queries it serves; use the subclass for your kind of search.

    In a mixin or an abstract class it is of each class that inherits its column, by the name
    `<name>_<table>`, as a schema has one index of a name; `Product.name_trgm` is Product's.
    """

    extensions: ClassVar[tuple[Extension, ...]] = ()
    _copies: Copies[Self]

    def __new__(cls, *arguments: Any, **options: Any) -> Self:
        """Keep what the index is made of, for those that inherit it."""
        index = super().__new__(cls)
        index._copies = Copies(index, arguments, options)
        return index

    def __init__(
        self,
        name: str,
        expression: Source,
        *,
        method: str,
        opclass: str | None = None,
        parameters: dict[str, object] | None = None,
        where: ColumnElement[bool] | None = None,
    ) -> None:
        options: dict[str, Any] = {"postgresql_using": method}
        if parameters:
            options["postgresql_with"] = parameters
        if where is not None:
            options["postgresql_where"] = where
        super().__init__(name, as_column(expression, f"Index {name}"), **options)
        self._once_attached(lambda: self._attached(opclass))
        if self.table is None:
            self._copies.follow()

    def _once_attached(self, then: Callable[[], None]) -> None:
        if self.table is None:
            event.listen(self, "after_parent_attach", lambda *_: then())
        else:
            then()

    def _attached(self, opclass: str | None) -> None:
        if opclass is not None:
            # SQLAlchemy keys operator classes by column name, which exists only on a table.
            self.dialect_options["postgresql"]["ops"] = {self.indexed.key: opclass}
        require_no_namesake(self)
        self.check()
        event.listen(self.parent, "before_create", self._prepare)
        metadata = self.parent.metadata
        if not event.contains(metadata, "before_create", _create_extensions):
            event.listen(metadata, "before_create", _create_extensions)

    def _prepare(self, _: Table, connection: Connection, **run: Any) -> None:
        """Have `metadata.create_all()` find what the index needs, as in a unit test.

        Migrations do not come by here: they create tables of their own making.
        """
        _execute_once(connection, self.prerequisites(), run)

    def prerequisites(self) -> Iterator[str]:
        """Return what must have been executed before the index can be; each can be repeated."""
        return _extension_statements([self.parent])

    def check(self) -> None:
        """Raise DeclarationError where a column's type cannot have such an index."""

    def __get__(self, instance: object, owner: type | None = None) -> Self:
        """Return the index of the class through which one of a mixin is asked for."""
        return self._copies.of(owner if owner is not None else type(instance))

    @property
    def indexed(self) -> ColumnElement[Any]:
        """The column or expression that the index holds."""
        (expression,) = self.expressions
        assert isinstance(expression, ColumnElement)
        return expression

    @property
    def parent(self) -> Table:
        """The table; raises DeclarationError where there is none, or there are several."""
        if self.table is None:
            raise DeclarationError(
                f"Index {self.name} is of no table: its class is not mapped, or it is a mixin.",
                "Take it from a class that is mapped: Product.name_trgm.",
            )
        return self.table

    @property
    def conditions(self) -> tuple[ColumnElement[bool], ...]:
        """A partial index's predicate, its values inline so that a generic plan can prove it."""
        where = self.dialect_options["postgresql"]["where"]
        return () if where is None else (replacement_traverse(where, {}, _inline),)

    @property
    def key(self) -> tuple[Column[Any], ...]:
        """The table's primary key, which names a row in every search's result."""
        return tuple(self.parent.primary_key.columns)


def _create_extensions(
    _: MetaData, connection: Connection, tables: Iterable[Table] = (), **run: Any
) -> None:
    """Have `metadata.create_all()` find the types of all its tables, those without an index too."""
    _execute_once(connection, _extension_statements(tables), run)


def _extension_statements(tables: Iterable[Table]) -> Iterator[str]:
    needed = {extension.name for table in tables for extension in _extensions(table)}
    return map(create_sql, sorted(needed))


def _execute_once(
    connection: Connection, statements: Iterable[str], run: Mapping[str, Any]
) -> None:
    """Execute what one run of `create_all()` or `create()` has not executed by now."""
    # SQLAlchemy's name for what runs; without it statements are repeated.
    runner = run.get("_ddl_runner")
    executed = set() if runner is None else _EXECUTED.setdefault(runner, set())
    needed = [each for each in statements if each not in executed]
    executed.update(needed)
    execute(connection, needed)


def execute(connection: Connection, statements: Iterable[str]) -> None:
    """Execute statements where tables are made; elsewhere than on PostgreSQL nothing."""
    if connection.dialect.name == "postgresql":
        for statement in statements:
            connection.execute(verbatim(statement))


def require_no_namesake(index: Index) -> None:
    """Raise DeclarationError where another index of the schema has the name already."""
    table = index.table
    assert table is not None
    for other in table.metadata.tables.values():
        if other.schema != table.schema:
            continue
        if any(of.name == index.name and of is not index for of in other.indexes):
            raise DeclarationError(
                f"Two indexes are called {index.name}: of {other.name} and of {table.name}.",
                "Give one of them another name; a schema has one index of a name.",
            )


def _inline(element: Any, **_: Any) -> Any:
    return element.render_literal_execute() if isinstance(element, BindParameter) else None


def constant(value: str | float) -> ColumnElement[Any]:
    """Return a value that is written into a query: as a parameter each execution would pay for it.

    Not for the expression of an index, which would take it for the column that leads it to its
    table.
    """
    if isinstance(value, str):
        return literal_column("'" + value.replace("'", "''") + "'", Text())
    return literal_column(repr(value), Integer() if isinstance(value, int) else Float())


def unlabelled(expression: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return what a label names; an index's expression is labelled for its operator class."""
    return expression.element if isinstance(expression, Label) else expression


def required_extensions(metadata: MetaData | Iterable[MetaData]) -> set[Extension]:
    """Return what the metadata needs from the server: its declared indexes, its columns' types.

    What else an application needs stands in the metadata's `info["extensions"]`.
    """
    needed: set[Extension] = set()
    for each in [metadata] if isinstance(metadata, MetaData) else metadata:
        needed.update(each.info.get("extensions", ()))
        for table in each.tables.values():
            needed |= _extensions(table)
    return needed


def _extensions(table: Table) -> set[Extension]:
    """Return what a table needs: its declared indexes, its columns' types."""
    needed: set[Extension] = set()
    for index in table.indexes:
        needed.update(index.extensions if isinstance(index, DeclaredIndex) else ())
    if any(_is_of_pgvector(column) for column in table.columns):
        needed.add(VECTOR)
    return needed


def _is_of_pgvector(column: Column[Any]) -> bool:
    kind = vector_type(column.type)
    return kind is not None and not isinstance(kind, Bit)
