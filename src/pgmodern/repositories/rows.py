"""What every repository shows of the rows that it finds."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Generic, TypeVar

from pgmodern.queries.statement import Statement

R = TypeVar("R")


class Shown(Generic[R]):
    """`row` takes the columns of `payload`, in order, and what the search adds to them."""

    row: ClassVar[Callable[..., Any]]
    payload: ClassVar[Statement]

    def _rows(self, found: Iterable[Any]) -> list[R]:
        make = type(self).row
        return [make(*each) for each in found]
