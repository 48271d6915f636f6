"""Statements, and the settings and limits that travel inside them."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    func,
    literal,
    select,
    true,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from pgmodern.indexes.declared import constant

Statement = Select[*tuple[Any, ...]]

_BIGINT = 2**63


def under(value: ColumnElement[Any], **settings: str) -> ColumnElement[Any]:
    """Return the value as a subquery that applies the settings when a scan first asks for it.

    PostgreSQL evaluates such an uncorrelated subquery once, before the index scan that compares
    with it starts, so the scan runs under the settings: no SET, no further round trip. They hold
    until the transaction ends, never longer. See the manual, 14.1 (InitPlan).
    """
    return select(after_setting(value, **settings)).scalar_subquery()


def after_setting(
    value: ColumnElement[Any], **settings: str | ColumnElement[str]
) -> ColumnElement[Any]:
    """Return the value, having applied the settings until the transaction ends.

    `__` stands for the dot of a setting's name. See the manual, 9.28.1 (`set_config`).
    """
    applied = (
        func.set_config(constant(name.replace("__", ".")), _written(setting), true()).is_not(None)
        for name, setting in settings.items()
    )
    # As a mapping: given a tuple, `case` formats the value for an error that it then swallows,
    # which for a vector takes milliseconds.
    return case({and_(*applied): value})


def _written(setting: str | ColumnElement[str]) -> ColumnElement[str]:
    return constant(setting) if isinstance(setting, str) else setting


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
