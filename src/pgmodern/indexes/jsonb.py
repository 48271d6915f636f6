"""JSONB indexes: containment and paths by GIN, scalar keys by B-tree."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Numeric, String, Text, and_, case, func, literal
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import ColumnElement, Grouping

from pgmodern.errors import DocumentError
from pgmodern.indexes.declared import DeclaredIndex, Source, as_column, unlabelled

Json = Mapping[str, "Json"] | Sequence["Json"] | str | int | float | bool | None
Scalar = str | int | float

_TEXT_CHARACTERS = 256
_NUMBER_CHARACTERS = 100


class JsonbIndex(DeclaredIndex):
    """GIN with `jsonb_path_ops` (manual, 8.14.4 jsonb Indexing): serves `@>`, `@?` and `@@`.

    Smaller and faster than the default operator class, which also serves `?` (does a key exist).
    Ranges of a key are what JsonbKeyIndex is for.
    """

    def __init__(
        self, name: str, column: Source, *, where: ColumnElement[bool] | None = None
    ) -> None:
        super().__init__(name, column, method="gin", opclass="jsonb_path_ops", where=where)

    def contains(self, document: Json) -> ColumnElement[bool]:
        """Whether the column contains the document; raises DocumentError when JSONB cannot."""
        return self.indexed.bool_op("@>")(sql_cast(literal(encoded(document), Text), JSONB))

    def matches(self, path: ColumnElement[Any]) -> ColumnElement[bool]:
        """Whether the JSON path finds anything in the column."""
        return self.indexed.bool_op("@?")(path)


class JsonbKeyIndex(DeclaredIndex):
    """B-tree on one scalar key of a JSONB column, as text or as number.

    The expression can never fail, so that no document, however odd, makes an INSERT fail: of a
    text it holds the first 256 characters, a number it holds when written in at most 100
    characters, and anything else as NULL.
    """

    def __init__(
        self,
        name: str,
        column: Source,
        json_key: str,
        *,
        kind: Literal["text", "number"] = "text",
        where: ColumnElement[bool] | None = None,
    ) -> None:
        self.json_key = json_key
        self.kind = kind
        document = as_column(column)
        self._text: ColumnElement[str] = document.op("->>", return_type=Text())(
            literal(json_key, String, literal_execute=True)
        )
        if kind == "number":
            short = func.length(self._text) <= literal(_NUMBER_CHARACTERS, literal_execute=True)
            member = document.op("->", return_type=JSONB())(
                literal(json_key, String, literal_execute=True)
            )
            number = func.jsonb_typeof(member) == literal("number", literal_execute=True)
            guarded = case((number & short, sql_cast(self._text, Numeric)), else_=None)
            # CREATE INDEX wants an expression in parentheses unless it is a function call.
            expression: ColumnElement[Any] = Grouping(guarded)
        else:
            expression = func.left(self._text, literal(_TEXT_CHARACTERS, literal_execute=True))
        super().__init__(name, expression.label("member"), method="btree", where=where)

    def equals(self, value: Scalar) -> ColumnElement[bool]:
        """Whether the key holds exactly this value."""
        held = self._held == self._bound(value)
        long = isinstance(value, str) and len(value) >= _TEXT_CHARACTERS
        return held & (self._text == value) if long else held

    def between(self, low: Scalar | None, high: Scalar | None) -> ColumnElement[bool]:
        """Whether the key holds a value from `low` to `high`, both included; None is no bound."""
        bounds = []
        if low is not None:
            bounds.append(self._held >= self._bound(low))
        if high is not None:
            bounds.append(self._held <= self._bound(high))
        return and_(*bounds) if bounds else self._held.is_not(None)

    @property
    def _held(self) -> ColumnElement[Any]:
        return unlabelled(self.indexed)

    def _bound(self, value: Scalar) -> ColumnElement[Any]:
        if self.kind == "text":
            return literal(str(value)[:_TEXT_CHARACTERS], Text)
        if isinstance(value, str) or not math.isfinite(value):
            raise DocumentError(
                f"{self.json_key!r} holds numbers, not {value!r}.", "Pass a number."
            )
        return literal(value, Numeric)


def encoded(document: Json) -> str:
    """Return the document as JSON text; raises DocumentError for what JSONB cannot hold."""
    try:
        _check(document)
        return json.dumps(document, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise DocumentError(
            f"JSONB cannot hold the document: {error}.",
            "Use objects, lists, strings without NUL, finite numbers, booleans and null.",
        ) from error


def _check(value: Json) -> None:
    """Raise for text that JSONB cannot hold, and for nesting deeper than Python's own stack."""
    if isinstance(value, str):
        value.encode()
        if "\0" in value:
            raise ValueError("a text holds NUL")
    elif isinstance(value, Mapping):
        for key, member in value.items():
            _check(key)
            _check(member)
    elif isinstance(value, Sequence):
        for member in value:
            _check(member)
