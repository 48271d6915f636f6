"""Which indexes a statement uses, in PostgreSQL's own words."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import ClauseElement, Connection, Engine, Executable, event, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler


class Explain(Executable, ClauseElement):
    """`EXPLAIN (FORMAT JSON)` of a statement; its scalar result is the plan. Runs nothing.

    `verbose` adds, among others, the schema of each table.
    """

    inherit_cache = False

    def __init__(self, statement: ClauseElement, *, verbose: bool = False) -> None:
        self.statement = statement
        self.verbose = verbose


@compiles(Explain, "postgresql")
def _compile(element: Explain, compiler: SQLCompiler, **kw: Any) -> str:
    options = "VERBOSE, FORMAT JSON" if element.verbose else "FORMAT JSON"
    return f"EXPLAIN ({options}) {compiler.process(element.statement, **kw)}"


def indexes_used(plan: Any) -> list[str]:
    """Return the names of the indexes in a plan, in its order, each once."""
    return list(dict.fromkeys(_index_names(plan)))


def _index_names(plan: Any) -> Iterator[str]:
    return (node["Index Name"] for node in _nodes(plan) if "Index Name" in node)


def tables_scanned(plan: Any) -> list[str]:
    """Return the names of the tables that a plan reads from end to end, each once."""
    scans = (node for node in _nodes(plan) if node.get("Node Type") == "Seq Scan")
    return list(dict.fromkeys(node["Relation Name"] for node in scans))


def _nodes(plan: Any) -> Iterator[dict[str, Any]]:
    if isinstance(plan, dict):
        yield plan
        plan = list(plan.values())
    if isinstance(plan, list):
        for child in plan:
            yield from _nodes(child)


@dataclass(frozen=True, slots=True)
class Plans:
    """What the planner makes of a statement: knowing the values, and for any values."""

    statement: str
    custom: Any
    generic: Any


def statements_of(
    target: Connection | Engine, read: Callable[[], object]
) -> list[tuple[str, Mapping[str, Any] | None]]:
    """Run what reads; return what it sends through a connection or an engine, and the values."""
    sent: list[tuple[str, Mapping[str, Any] | None]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        sent.append((statement, values))

    event.listen(target, "before_cursor_execute", note)
    try:
        read()
    finally:
        event.remove(target, "before_cursor_execute", note)
    return sent


_IN_WHOLE = text("""
    SELECT coalesce(whole.relname, part.relname) FROM pg_class AS part
    LEFT JOIN pg_inherits ON inhrelid = part.oid
    LEFT JOIN pg_class AS whole ON whole.oid = inhparent
    WHERE part.relkind IN ('i', 'I') AND part.relname = ANY (:names)
""")


def in_whole(session: Session, indexes: Sequence[str]) -> set[str]:
    """Return the indexes by the names that they have on the whole of a partitioned table."""
    return set(session.scalars(_IN_WHOLE, {"names": list(indexes)}))


def plans(session: Session, read: Callable[[], object]) -> list[Plans]:
    """Run what reads, and return the plans of each statement that it sent."""
    return plans_of(session, statements_of(session.connection(), read))


def plans_of(
    session: Session, statements: Iterable[tuple[str, Mapping[str, Any] | None]]
) -> list[Plans]:
    """Return the plans of statements with their values, as `statements_of` has them.

    Under `plan_cache_mode = auto` a statement that is prepared has the custom plan for its first
    five runs and the generic one from then on, unless that looks dearer (manual: PREPARE, Notes).
    """
    driver = session.connection().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    # Not a cursor of the connection's own kind: PostgreSQL takes a placeholder that has no value
    # only in the simple protocol, which has no binary results.
    with psycopg.Cursor(driver) as cursor:
        return [_planned(cursor, *each) for each in statements if _EXPLAINABLE.match(each[0])]


_HAS_GENERIC_PLAN = 160_000
_EXPLAINABLE = re.compile(r"[\s(]*(SELECT|WITH|INSERT|UPDATE|DELETE|MERGE|VALUES)\b", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"%\((?P<name>[^)]+)\)s|%%")


def _planned(cursor: psycopg.Cursor[Any], statement: str, values: Any) -> Plans:
    custom = cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}".encode(), values, prepare=False)
    (known,) = custom.fetchone() or ([],)
    numbered = _numbered(statement, values)
    if cursor.connection.info.server_version < _HAS_GENERIC_PLAN:
        return Plans(statement, known, _prepared_plan(cursor, numbered, len(values or ())))
    asked = f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {numbered}"
    (any_values,) = cursor.execute(asked.encode(), prepare=False).fetchone() or ([],)
    return Plans(statement, known, any_values)


def _prepared_plan(cursor: psycopg.Cursor[Any], numbered: str, count: int) -> Any:
    """Return the plan of a prepared statement for any values, as PostgreSQL 15 explains one."""
    nulls = f"({', '.join(['NULL'] * count)})" if count else ""
    cursor.execute(f"PREPARE pgmodern_plan AS {numbered}".encode())
    mode = cursor.execute("SHOW plan_cache_mode").fetchone()
    cursor.execute("SET plan_cache_mode = force_generic_plan")
    explained = cursor.execute(f"EXPLAIN (FORMAT JSON) EXECUTE pgmodern_plan{nulls}".encode())
    (plan,) = explained.fetchone() or ([],)
    cursor.execute("SELECT set_config('plan_cache_mode', %s, false)", mode)
    cursor.execute("DEALLOCATE pgmodern_plan")
    return plan


def _numbered(statement: str, values: Mapping[str, Any] | None) -> str:
    """Write the placeholders of the driver as PostgreSQL's own."""
    places = {name: f"${number}" for number, name in enumerate(values or (), 1)}
    return _PLACEHOLDER.sub(lambda each: places[each["name"]] if each["name"] else "%", statement)
