"""The conditions of one call, so that the statement around them is built once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, and_, bindparam
from sqlalchemy.sql.visitors import replacement_traverse

Where = Sequence[ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions that are equal to others of the same shape, whatever their constants are.

    To build a statement can take longer than PostgreSQL takes to answer it. So `parameters` have
    names in the place of their constants, and the `values` of those come with each call. The shape
    is what SQLAlchemy keeps compiled statements by; conditions without one equal nothing else.
    """

    shape: Any
    where: tuple[ColumnElement[bool], ...] = field(compare=False)
    constants: tuple[BindParameter[Any], ...] = field(compare=False)

    @property
    def parameters(self) -> tuple[ColumnElement[bool], ...]:
        """The conditions, with a parameter in the place of each constant."""
        if not self.where:
            return ()
        places = {each: _parameter(n, each) for n, each in enumerate(self.constants) if each.unique}
        # All at once: what two of them share, such as a CTE, must stay one.

        def replaced(element: Any, **_: Any) -> BindParameter[Any] | None:
            return places.get(element) if isinstance(element, BindParameter) else None

        whole: ColumnElement[bool] = replacement_traverse(and_(*self.where), {}, replaced)
        return (whole,)

    @property
    def values(self) -> dict[str, Any]:
        """What this call's constants are, by the names of their parameters."""
        return {
            _name(number) if each.unique else each.key: each.effective_value
            for number, each in enumerate(self.constants)
            if each.unique or not each.required
        }


def conditions(where: Where) -> Conditions:
    """Return the conditions of a call."""
    shape: list[Any] = []
    constants: list[BindParameter[Any]] = []
    for each in where:
        # As SQLAlchemy's own example of a cache of queries does (examples/dogpile_caching).
        key = each._generate_cache_key()  # noqa: SLF001
        shape.append(object() if key is None else key.key)
        constants += [] if key is None else key.bindparams
    return Conditions(tuple(shape), tuple(where), tuple(constants))


def _name(number: int) -> str:
    return f"pgmodern_constant_{number}"


def _parameter(number: int, constant: BindParameter[Any]) -> BindParameter[Any]:
    parameter: BindParameter[Any] = bindparam(
        _name(number),
        type_=constant.type,
        expanding=constant.expanding,
        literal_execute=constant.literal_execute,
    )
    parameter.expand_op = constant.expand_op
    return parameter
