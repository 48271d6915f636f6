"""How a value of pgvector's goes to the server: in binary where it can be, or as text."""

from collections.abc import Callable
from typing import Any, Self
from weakref import WeakSet

from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy import Dialect, Engine, event

from pgmodern.types.values import DenseValue, HalfValue, SparseValue

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


class CodecText(str):
    """A value as text, which is what asyncpg sends of a type that it does not know.

    Where the application has registered pgvector's codec on the connection, that is asked instead.
    It takes pgvector's classes only: a subclass of this one is of both.
    """

    def __new__(cls, text: str, _: Callable[[], bytes]) -> Self:
        """Make the text."""
        return super().__new__(cls, text)

    def __init__(self, _: str, to_binary: Callable[[], bytes]) -> None:
        self._to_binary = to_binary

    def to_binary(self) -> bytes:
        """Return the value as the server receives it."""
        return self._to_binary()


class DenseText(CodecText, DenseValue):
    """A `vector`."""


class HalfText(CodecText, HalfValue):
    """A `halfvec`."""


class SparseText(CodecText, SparseValue):
    """A `sparsevec`."""
