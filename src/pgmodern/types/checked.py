"""What our types do with a value: check it, and send it in binary where that is possible."""

from collections.abc import Callable
from typing import Any, ClassVar

from sqlalchemy import Dialect

from pgmodern.errors import VectorError
from pgmodern.types.wire import Binary, CodecText, is_sent_in_binary

Encode = Callable[[Any], Any]


class Checked:
    """A part of a type; the type says how a value is checked, encoded, compared and decoded."""

    render_bind_cast = True
    literal_prefix: ClassVar[str] = ""
    for_asyncpg: ClassVar[type[CodecText] | None] = None

    def check(self, value: Any) -> Any:
        """Return the value as Python has it; raises VectorError when the column cannot hold it."""
        raise NotImplementedError

    def to_binary(self, value: Any) -> bytes:
        """Return a value as the server receives it; raises VectorError as `check` does."""
        raise NotImplementedError

    def to_text(self, value: Any) -> str:
        """Return a value as SQL writes it, but for the quotes; raises VectorError likewise."""
        raise NotImplementedError

    def _is_same(self, x: Any, y: Any) -> bool:
        """Tell whether two values that were checked are the same."""
        raise NotImplementedError

    def _encoder(self, dialect: Dialect) -> Encode:
        """Return what makes of a value what the driver takes."""
        if is_sent_in_binary(dialect):
            return lambda value: Binary(self.to_binary(value))
        text = self.for_asyncpg
        if dialect.driver == "asyncpg" and text is not None:
            return lambda value: text(self.to_text(value), lambda: self.to_binary(value))
        return self.to_text

    def bind_processor(self, dialect: Dialect) -> Encode:
        """Check a parameter, and have it sent in binary where that is possible."""
        encode = self._encoder(dialect)
        return lambda value: None if value is None else encode(value)

    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:  # noqa: ARG002
        """Check a value that is written into a statement."""
        return lambda value: f"{self.literal_prefix}'{self.to_text(value)}'"

    def compare_values(self, x: Any, y: Any) -> bool:
        """Tell the unit of work whether a value has changed."""
        if x is None or y is None:
            return x is y
        try:
            return self._is_same(self.check(x), self.check(y))
        except VectorError:
            return False  # so that the wrong one is sent, and refused
