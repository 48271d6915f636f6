"""What PostgreSQL would make of what is declared: only the server knows how it deparses.

Each table gets an empty copy, a temporary table, on which what is declared is made, read back
from the catalogue and rolled back. What cannot be made there is missing in the answer. What the
server says may not be what it says when that is given to it again, as a way back does: casts move
inwards. So each is asked for twice, and both answers count.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from psycopg.errors import Error
from sqlalchemy import CheckConstraint, Column, Connection, Index, Table, text
from sqlalchemy.exc import CompileError
from sqlalchemy.types import TypeEngine

from pgmodern.autogenerate import catalogue, plain_index
from pgmodern.indexes.catalogue import Definition, copied, require_temporary
from pgmodern.locks import driver
from pgmodern.operations.literal import expression, index_statement
from pgmodern.quoting import DIALECT, quoted, string

_TABLES = 100  # a transaction can hold only so many locks
_PROBE = "pgmodern_probe_"
T = TypeVar("T")


@dataclass(slots=True)
class Declared:
    """What only the server can read of what an existing table's model declares.

    Each with what the catalogue has in its place.
    """

    table: Table
    indexes: dict[Index, Definition] = field(default_factory=dict)
    checks: dict[CheckConstraint, Collection[str]] = field(default_factory=dict)
    computed: dict[Column[Any], str] = field(default_factory=dict)
    partition_by: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to ask the server."""
        return not (self.indexes or self.checks or self.computed or self.partition_by)


@dataclass(slots=True)
class Deparsed:
    """The same as the catalogue would hold it: as declared, and as read back and made again."""

    indexes: dict[Index, list[Definition]] = field(default_factory=dict)
    checks: dict[CheckConstraint, list[str]] = field(default_factory=dict)
    check_columns: dict[CheckConstraint, list[str]] = field(default_factory=dict)
    computed: dict[Column[Any], list[str]] = field(default_factory=dict)
    partition_keys: dict[Table, str] = field(default_factory=dict)


def deparse(connection: Connection, tables: Collection[Declared]) -> Deparsed:
    """Return how the server reads what is declared; changes nothing.

    Locks each table no more than reading it does, until about a hundred are done. Raises
    MigrationError when the role may make no temporary table.
    """
    found = Deparsed()
    asked = [each for each in tables if not each.is_empty]
    if asked:
        require_temporary(connection)
    for few in _namesakes_apart(asked):
        trial = connection.begin_nested()
        try:
            _Trial(connection, found).make(few)
        finally:
            trial.rollback()
    return found


def _namesakes_apart(tables: Sequence[Declared]) -> Iterator[Sequence[Declared]]:
    """Divide the tables so that none is with one of the same name in another schema."""
    few: dict[str, Declared] = {}
    for each in tables:
        if each.table.name in few or len(few) == _TABLES:
            yield list(few.values())
            few = {}
        few[each.table.name] = each
    if few:
        yield list(few.values())


def _twin(table: Table) -> str:
    return quoted(table.name, "pg_temp")


class _Trial:
    """A few copies, and what was made of them under names that are numbers."""

    def __init__(self, connection: Connection, found: Deparsed) -> None:
        self._connection = connection
        self._found = found
        self._probes: dict[str, Any] = {}
        self._read: set[str] = set()
        self._there: dict[Any, Any] = {}

    def make(self, tables: Sequence[Declared]) -> None:
        """Make what the tables declare, read it back, and make again what differs."""
        for each in tables:
            for there in (each.indexes, each.checks, each.computed):
                self._there.update(there)
            self._make_table(each)
        if again := list(self._read_back()):
            self._try_all(again)
            list(self._read_back())
        for name, columns in self._rows(_CHECK_COLUMNS):
            self._found.check_columns[self._probes[name]] = columns
        for name, key in self._rows(_PARTITIONED):
            self._found.partition_keys[self._probes[name]] = key

    def _make_table(self, declared: Declared) -> None:
        table = declared.table
        original, twin = quoted(table.name, table.schema), _twin(table)
        if declared.partition_by is not None:
            name = quoted(self._probe(table), "pg_temp")
            self._try(f"CREATE TABLE {name} (LIKE {original}) PARTITION BY {declared.partition_by}")
        # ACCESS SHARE on the original. Of the same name, so that it may stand in an expression.
        self._execute(f"CREATE TABLE {twin} (LIKE {original})")
        self._try_all(
            [
                *(self._index(index, index) for index in declared.indexes),
                *(
                    self._check(check, f"CHECK ({expression(check.sqltext)})")
                    for check in declared.checks
                ),
                *(
                    self._column(column, expression(column.computed.sqltext))
                    for column in declared.computed
                    if column.computed is not None
                ),
            ]
        )

    def _index(self, declared: Index, index: Index) -> str:
        return index_statement(copied(index, "pg_temp", self._probe(declared)))

    def _check(self, check: CheckConstraint, definition: str) -> str:
        name = quoted(self._probe(check))
        return f"ALTER TABLE {_twin(check.table)} ADD CONSTRAINT {name} {definition}"

    def _column(self, column: Column[Any], sql: str) -> str:
        name, type_ = quoted(self._probe(column)), column.type.compile(DIALECT)
        return (
            f"ALTER TABLE {_twin(column.table)} ADD COLUMN {name} {type_} "
            f"GENERATED ALWAYS AS ({sql}) STORED"
        )

    def _probe(self, declared: object) -> str:
        name = f"{_PROBE}{len(self._probes)}"
        self._probes[name] = declared
        return name

    def _execute(self, sql: str) -> None:
        driver(self._connection).execute(sql.encode())

    def _try_all(self, statements: Sequence[str]) -> None:
        """Execute what can be executed; all at once where all of it can."""
        if not statements or self._try(";".join(statements)) or len(statements) == 1:
            return
        for each in statements:
            self._try(each)

    def _try(self, sql: str) -> bool:
        trial = self._connection.begin_nested()
        try:
            self._execute(sql)
        except Error:
            trial.rollback()
            return False
        trial.commit()
        return True

    def _read_back(self) -> Iterator[str]:
        """Note what has been made since; yield what makes it again, where it is not what is there.

        That is made of what was read.
        """
        for declared, index in self._unread(self._indexes()):
            table = declared.table
            definition = replace(index.definition, table_name=table.name)
            self._found.indexes.setdefault(declared, []).append(definition)
            if definition != self._there[declared]:
                again = plain_index.from_catalogue((None, table.name), index).to_index()
                yield self._index(declared, again)
        for declared, check in self._unread(self._rows(_CHECKS)):
            self._found.checks.setdefault(declared, []).append(check)
            if check not in self._there[declared]:
                yield self._check(declared, check)
        for declared, sql in self._unread(self._rows(_COMPUTED)):
            self._found.computed.setdefault(declared, []).append(sql)
            if sql != self._there[declared]:
                yield self._column(declared, sql)

    def _unread(self, rows: Iterable[tuple[str, T]]) -> list[tuple[Any, T]]:
        """Return what is declared, each with what is new of it in the catalogue."""
        new = [(name, value) for name, value in rows if name not in self._read]
        self._read |= {name for name, _ in new}
        return [(self._probes[name], value) for name, value in new]

    def _indexes(self) -> Iterator[tuple[str, catalogue.Index]]:
        where = "relation.relnamespace = pg_my_temp_schema()"
        for (_, name), index in catalogue.indexes(self._connection, where, {}):
            if name in self._probes:  # and not of a temporary table of the session's
                yield name, index

    def _rows(self, query: str) -> Iterator[tuple[str, Any]]:
        for name, value in self._connection.execute(text(query)):
            if name in self._probes:
                yield str(name), value


_CHECKS = """
    SELECT conname, pg_get_constraintdef(c.oid) FROM pg_catalog.pg_constraint AS c
    JOIN pg_catalog.pg_class AS class ON class.oid = conrelid
    WHERE contype = 'c' AND relnamespace = pg_my_temp_schema()
"""
_CHECK_COLUMNS = """
    SELECT conname, ARRAY(SELECT attname FROM pg_catalog.pg_attribute
                          WHERE attrelid = conrelid AND attnum = ANY (conkey))
    FROM pg_catalog.pg_constraint AS c
    JOIN pg_catalog.pg_class AS class ON class.oid = conrelid
    WHERE contype = 'c' AND relnamespace = pg_my_temp_schema()
"""
_COMPUTED = """
    SELECT attname, pg_get_expr(adbin, adrelid) FROM pg_catalog.pg_attribute
    JOIN pg_catalog.pg_attrdef ON adrelid = attrelid AND adnum = attnum
    JOIN pg_catalog.pg_class AS class ON class.oid = attrelid
    WHERE attgenerated <> '' AND relnamespace = pg_my_temp_schema()
"""
_PARTITIONED = """
    SELECT relname, pg_get_partkeydef(oid) FROM pg_catalog.pg_class
    WHERE relkind = 'p' AND relnamespace = pg_my_temp_schema()
"""


@dataclass(frozen=True, slots=True)
class Altered:
    """What a change of a table would do to its rows: write them all anew, or nothing.

    Or why it cannot be done.
    """

    rewrites: bool = False
    refused: str | None = None


def alter(connection: Connection, table: str, clause: str) -> Altered:
    """Try a clause of ALTER TABLE on an empty copy of a quoted table, with its defaults.

    Raises MigrationError when the role may make no temporary table.
    """
    require_temporary(connection)
    copy = quoted("pgmodern_copy", "pg_temp")
    filenode = f"SELECT pg_relation_filenode({string(copy)}::regclass)"
    session = driver(connection)
    trial = connection.begin_nested()
    try:
        like = f"(LIKE {table} INCLUDING DEFAULTS INCLUDING GENERATED)"
        session.execute(f"CREATE TABLE {copy} {like}".encode())
        before = session.execute(filenode.encode()).fetchone()
        session.execute(f"ALTER TABLE {copy} {clause}".encode())
        return Altered(session.execute(filenode.encode()).fetchone() != before)
    except Error as error:
        return Altered(refused=error.diag.message_primary or str(error))
    finally:
        trial.rollback()


def is_same_type(
    connection: Connection, one: TypeEngine[Any], other: TypeEngine[Any]
) -> bool | None:
    """Tell whether two types are one to the server, as REAL and FLOAT(24) are; None: not known."""
    copy, session = quoted("pgmodern_copy", "pg_temp"), driver(connection)
    columns = f"a {one.compile(DIALECT)}, b {other.compile(DIALECT)}"
    trial = connection.begin_nested()
    try:
        session.execute(f"CREATE TABLE {copy} ({columns})".encode())
        query = (
            "SELECT count(DISTINCT format_type(atttypid, atttypmod)) = 1 "
            f"FROM pg_catalog.pg_attribute WHERE attrelid = {string(copy)}::regclass AND attnum > 0"
        )
        return session.execute(query.encode()).fetchone() == (True,)
    except (Error, CompileError):
        return None
    finally:
        trial.rollback()
