"""Indexes are compared as PostgreSQL deparses them, not as text."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, fields
from typing import Any

from sqlalchemy import ClauseElement, Column, Index, Table
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.sql.operators import desc_op

from pgmodern.autogenerate import catalogue
from pgmodern.autogenerate.catalogue import Catalogue, Name
from pgmodern.indexes.catalogue import Definition
from pgmodern.operations.literal import expression, final_name

_ASCENDING, _DESCENDING = 0, 3  # pg_index.indoption: DESC, and NULLS FIRST


def unclear(table: Table, name: Name, found: Catalogue) -> Iterator[tuple[Index, Definition]]:
    """Yield the indexes that only the server can compare, with those that are there."""
    for index in table.indexes:
        there = found.indexes.get((name[0], final_name(index)))
        if there is not None and not is_plainly(index, there):
            yield index, there.definition


def is_plainly(index: Index, there: catalogue.Index) -> bool:
    """Whether it can be told without asking the server that an index is as it is declared.

    It can where it is valid, and of columns, or of SQL that is the server's to the letter.
    """
    assert index.table is not None
    options, held = index.dialect_options["postgresql"], there.definition
    opclasses = [options["ops"].get(getattr(each, "key", None)) for each in index.expressions]
    include = [str(getattr(each, "name", each)) for each in options["include"] or ()]
    parameters = [f"{key}={value}" for key, value in (options["with"] or {}).items()]
    return (
        held.is_valid
        and _predicate(options["where"]) == held.predicate
        and len(index.expressions) == held.key_columns
        and all(_is_held(each, there, number) for number, each in enumerate(index.expressions))
        and there.column_names[held.key_columns :] == include
        and all(map(_is_opclass, opclasses, there.opclasses, held.opclasses))
        and not any(there.collations)
        and not any(held.opclass_parameters)
        and (options["using"] or "btree") == held.method
        and bool(index.unique) is held.is_unique
        and bool(options["nulls_not_distinct"]) is held.nulls_not_distinct
        and sorted(parameters) == held.parameters
        and held.table_name == index.table.name
    )


def _predicate(where: Any) -> str | None:
    return expression(where) if isinstance(where, ClauseElement) else where


def _is_held(declared: Any, there: catalogue.Index, number: int) -> bool:
    """Whether an index's column of that number is the declared one."""
    order = int(there.definition.options.split()[number])
    if isinstance(declared, Column):
        return (there.column_names[number], order) == (declared.name, _ASCENDING)
    if (
        isinstance(declared, UnaryExpression)
        and declared.modifier is desc_op
        and isinstance(declared.element, Column)
    ):
        return (there.column_names[number], order) == (declared.element.name, _DESCENDING)
    if there.column_names[number] is not None or order != _ASCENDING:
        return False
    return expression(declared.self_group()) == there.definition.columns[number]


def _is_opclass(declared: str | None, chosen: str | None, held: str) -> bool:
    return chosen is None if declared is None else held == declared


def differences(there: Definition, wanted: Sequence[Definition]) -> list[str]:
    """Say in which respects an index differs from what is declared, however that may be read."""
    if not wanted:
        return ["the table as it is cannot have it"]
    if there in wanted:
        return []
    pairs = zip(fields(there), astuple(there), astuple(wanted[0]), strict=True)
    return [
        f"{field.name}: {is_!r} instead of {declared!r}"
        for field, is_, declared in pairs
        if is_ != declared
    ]
