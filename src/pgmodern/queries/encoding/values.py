"""What every driver needs done to a value of some types before it takes it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, DateTime, Dialect, Enum, TypeDecorator
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.types import TypeEngine

Encode = Callable[[Any], Any]
DIALECT: Dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]


def nested(kind: TypeEngine[Any], encoder: Callable[[TypeEngine[Any]], Encode]) -> Encode | None:
    """Return the encoder of a decorator, or of an array, around what another type encodes."""
    if isinstance(kind, TypeDecorator) and _converts(kind):
        inner = encoder(kind.impl_instance)
        return lambda value: _unless_none(inner, kind.process_bind_param(value, DIALECT))
    if isinstance(kind, ARRAY):
        item = encoder(kind.item_type)
        return lambda value: [_unless_none(item, each) for each in value]
    return None


def _converts(kind: TypeDecorator[Any]) -> bool:
    """Whether the application makes something else of a value before it is stored."""
    return type(kind).process_bind_param is not TypeDecorator.process_bind_param


def _unless_none(encode: Encode, value: Any) -> Any:
    return None if value is None else encode(value)


def checked(kind: TypeEngine[Any]) -> Encode | None:
    """Return what tells that a time has the zone of its column, or names an enumeration's value."""
    if isinstance(kind, DateTime):
        return lambda value: _in_its_zone(kind, value)
    if isinstance(kind, Enum):
        name: Encode | None = kind.bind_processor(DIALECT)  # type: ignore[no-untyped-call]
        return name
    return None


def _in_its_zone(kind: DateTime, value: datetime) -> datetime:
    if (value.tzinfo is not None) != kind.timezone:
        raise ValueError(f"{value!r} has {'no' if kind.timezone else 'a'} time zone")
    return value
