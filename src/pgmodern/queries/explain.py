"""Which indexes a statement uses, in PostgreSQL's own words."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ClauseElement, Executable
from sqlalchemy.ext.compiler import compiles
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


def _index_names(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "Index Name" in node:
            yield node["Index Name"]
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _index_names(child)
