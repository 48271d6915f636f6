"""What every repository shows of the rows that it finds."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import unwrap
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import ColumnElement

from pgmodern.queries.statement import Statement

R = TypeVar("R")


class Shown(Generic[R]):
    """`row` takes the columns of `payload`, in order, and what the search adds to them."""

    row: ClassVar[Callable[..., Any]]
    payload: ClassVar[Statement]

    def _rows(self, found: Iterable[Any]) -> list[R]:
        make = type(self).row
        return [make(*each) for each in found]


def kept_or_made(
    build: Callable[..., Statement],
    where: Sequence[ColumnElement[bool]],
    values: Mapping[str, Any] | None,
) -> Callable[..., Statement]:
    """Return the builder that keeps its statements, or for conditions of one call the one within.

    Conditions without values are others each time: what is kept of them would never come again.
    """
    return build if values or not where else unwrap(build)
