"""JSONB indexes: containment and paths by GIN, scalar keys by B-tree."""

import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import Numeric, String, Text, and_, case, func, literal
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import ColumnElement, Grouping

from pgmodern.errors import DocumentError
from pgmodern.indexes.declared import DeclaredIndex, unlabelled
from pgmodern.indexes.source import Source, as_column, require_type

Json = Mapping[str, "Json"] | Sequence["Json"] | str | int | float | bool | None
Scalar = str | int | float | Decimal

_TEXT_CHARACTERS = 256
_NUMBER_CHARACTERS = 100
_TEXT_BYTES = 2**28


class JsonbIndex(DeclaredIndex):
    """GIN with `jsonb_path_ops` (manual, 8.14.4 jsonb Indexing): serves `@>`, `@?` and `@@`.

    Smaller and faster than the default operator class, which also serves `?` (does a key exist).
    Ranges of a key are what JsonbKeyIndex is for.
    """

    def __init__(
        self, name: str, column: Source, *, where: ColumnElement[bool] | None = None
    ) -> None:
        super().__init__(name, column, method="gin", opclass="jsonb_path_ops", where=where)

    def check(self) -> None:
        """Raise DeclarationError where the column is no JSONB."""
        require_type(f"Index {self.name}", self.indexed, {"JSONB"})

    def contains(self, document: Json | ColumnElement[str]) -> ColumnElement[bool]:
        """Whether the column contains the document, or what an expression gives as JSON text.

        Raises DocumentError when JSONB cannot hold the document.
        """
        if not isinstance(document, ColumnElement):
            document = literal(encoded(document), Text)
        return self.indexed.bool_op("@>")(sql_cast(document, JSONB))

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
        self._document = document = as_column(column, f"Index {name}")
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

    def check(self) -> None:
        """Raise DeclarationError where the column is no JSONB."""
        require_type(f"Index {self.name}", self._document, {"JSONB"})

    def equals(self, value: Scalar) -> ColumnElement[bool]:
        """Whether the key holds exactly this value."""
        return and_(self._held == self._bound(value), *self._exactly(value))

    def between(self, low: Scalar | None, high: Scalar | None) -> ColumnElement[bool]:
        """Whether the key holds a value from `low` to `high`, both included; None is no bound.

        Raises DocumentError for a text of 256 characters or more.
        """
        bounds = []
        if low is not None:
            bounds.append(self._held >= self._end(low))
        if high is not None:
            bounds.append(self._held <= self._end(high))
        return and_(*bounds) if bounds else self._held.is_not(None)

    def _end(self, value: Scalar) -> ColumnElement[Any]:
        # The C library takes minutes to compare some long texts by a language's rules.
        if self.kind == "text" and len(str(value)) >= _TEXT_CHARACTERS:
            raise DocumentError(
                f"A range of {self.json_key!r} ends at a text of {len(str(value)):,} characters.",
                f"Use less than {_TEXT_CHARACTERS}.",
            )
        return self._bound(value)

    @property
    def _held(self) -> ColumnElement[Any]:
        return unlabelled(self.indexed)

    def _exactly(self, value: Scalar) -> list[ColumnElement[bool]]:
        """Compare the whole text where the index, which holds its start, cannot tell."""
        if self.kind == "number" or len(str(value)) < _TEXT_CHARACTERS:
            return []
        return [self._text == literal(str(value), Text)]

    def _bound(self, value: Scalar) -> ColumnElement[Any]:
        if self.kind == "number":
            return literal(_number(value, self.json_key), Numeric)
        _encoded(str(value))
        return literal(str(value)[:_TEXT_CHARACTERS], Text)


def _number(value: Scalar, json_key: str) -> Decimal:
    # Of a float the digits that it is written with: compared as a float it would lose the index.
    try:
        finite = not isinstance(value, str | bool) and math.isfinite(value)
    except (OverflowError, ValueError):  # too large for a float; a signalling NaN
        finite = False
    if not finite:
        raise DocumentError(f"{json_key!r} holds numbers, finite ones.", "Pass a number.")
    return Decimal(str(value))


def encoded(document: Json) -> str:
    """Return the document as JSON text; raises DocumentError for what JSONB cannot hold."""
    try:
        _check(document)
        return json.dumps(document, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise _refused(error) from error


def _encoded(value: str) -> None:
    try:
        _check(value)
    except ValueError as error:
        raise _refused(error) from error


def _refused(error: Exception) -> DocumentError:
    return DocumentError(
        f"JSONB cannot hold this: {error}.",
        "Use objects, lists, strings without NUL, finite numbers, booleans and null.",
    )


def _check(value: Json) -> None:
    """Raise for text that JSONB cannot hold, and for nesting deeper than Python's own stack."""
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("a text holds NUL")
        if len(value.encode()) >= _TEXT_BYTES:
            raise ValueError("a text is too long")
    elif isinstance(value, Mapping):
        for key, member in value.items():
            _check(key)
            _check(member)
    elif isinstance(value, Sequence):
        for member in value:
            _check(member)
