"""Averages and sums of vectors."""

from typing import Any

from sqlalchemy import ColumnElement, func
from sqlalchemy.orm import InstrumentedAttribute

Operand = ColumnElement[Any] | InstrumentedAttribute[Any]


def avg(vector: Operand) -> ColumnElement[Any]:
    """The mean of a column of vectors, of the column's own type (pgvector's README, Aggregating).

    SQLAlchemy's `func.avg` does not know that the result is a vector, and gives its text.
    """
    return func.avg(vector, type_=vector.type)


def sum(vector: Operand) -> ColumnElement[Any]:  # noqa: A001  (as in SQL)
    """The sum of a column of vectors, of the column's own type."""
    return func.sum(vector, type_=vector.type)
