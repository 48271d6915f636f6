"""Statements, and the settings and limits that travel inside them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, literal, or_, select, true
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from pgmodern.indexes.declared import constant

Statement = Select[*tuple[Any, ...]]

_BIGINT = 2**63


Settings = Mapping[str, str | ColumnElement[str]]


def under(
    value: ColumnElement[Any], settings: Settings, where_known: Settings = MappingProxyType({})
) -> ColumnElement[Any]:
    """Return the value as a subquery that applies the settings when a scan first asks for it.

    PostgreSQL evaluates such an uncorrelated subquery once, before the index scan that compares
    with it starts, so the scan runs under the settings: no SET, no further round trip. They hold
    until the transaction ends, never longer. See the manual, 14.1 (InitPlan).
    """
    return select(after_setting(value, settings, where_known)).scalar_subquery()


def after_setting(
    value: ColumnElement[Any], settings: Settings, where_known: Settings = MappingProxyType({})
) -> ColumnElement[Any]:
    """Return the value, having applied the settings until the transaction ends.

    Those of `where_known` came with a later version of an extension: an older one refuses their
    names, and does without them. See the manual, 9.28.1 (`set_config`).
    """
    applied = [_applied(name, setting) for name, setting in settings.items()]
    applied += [
        or_(func.current_setting(constant(name), true()).is_(None), _applied(name, setting))
        for name, setting in where_known.items()
    ]
    # As a mapping: given a tuple, `case` formats the value for an error that it then swallows,
    # which for a vector takes milliseconds.
    return case({and_(*applied): value})


def _applied(name: str, setting: str | ColumnElement[str]) -> ColumnElement[bool]:
    written = constant(setting) if isinstance(setting, str) else setting
    return func.set_config(constant(name), written, true()).is_not(None)


def given(value: Any, kind: TypeEngine[Any]) -> ColumnElement[Any]:
    """Return a value as a parameter; an expression, such as a `bindparam`, as it is."""
    return value if isinstance(value, ColumnElement) else literal(value, kind)


def rows(count: int) -> ColumnElement[int]:
    """Return a LIMIT that is written into the statement: a bound one loses indexes.

    Under a generic plan the planner assumes that a bound limit keeps a tenth of all rows.
    """
    if not 0 <= count < _BIGINT:
        raise ValueError(f"a limit must be from 0 to {_BIGINT - 1}: {count}")
    return constant(count)


def distinct_on(statement: Statement, column: ColumnElement[Any]) -> Statement:
    """Keep the first row of each value of a column (manual, SELECT, DISTINCT Clause)."""
    if not hasattr(postgresql, "distinct_on"):  # SQLAlchemy 2.0
        return statement.distinct(column)
    return statement.ext(postgresql.distinct_on(column))
