"""How a value of pgvector's goes to the server: in binary where it can be, or as text."""

from typing import Any
from weakref import WeakSet

from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy import Dialect, Engine, event

_BINARY: WeakSet[Dialect] = WeakSet()


class Binary(bytes):
    """A value as the server receives it; its type is that of the cast around the parameter."""


class _BinaryDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Binary) -> bytes:
        return obj


def send_in_binary(engine: Engine) -> None:
    """Have an engine of psycopg's send values of our types in binary from now on."""
    event.listen(engine, "connect", lambda connection, _: register(connection))
    _BINARY.add(engine.dialect)


def register(connection: Any) -> None:
    """Tell one connection of psycopg's how to send `Binary`."""
    connection.adapters.register_dumper(Binary, _BinaryDumper)


def is_sent_in_binary(dialect: Dialect) -> bool:
    """Tell whether connections of the dialect know how to send `Binary`."""
    return dialect in _BINARY
