"""The body of a revision's function: operations, formatted, with what is to be said of each."""

from collections.abc import Sequence
from dataclasses import dataclass

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import render_op
from alembic.operations import MigrateOperation
from alembic.operations.ops import OpContainer

from pgmodern.autogenerate.formatting import comment, formatted


@dataclass(frozen=True, slots=True)
class Step:
    """An operation, and what a human eye should see before it runs.

    One that `is_first` goes before everything that runs in a transaction.
    """

    operation: MigrateOperation
    remarks: tuple[str, ...] = ()
    is_first: bool = False


class Body(OpContainer):
    """Operations in order."""

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__([step.operation for step in steps])
        self.steps = list(steps)


def _render(context: AutogenContext, body: Body) -> list[str]:
    lines = [
        text
        for step in body.steps
        for text in (
            *map(comment, step.remarks),
            *map(_formatted, render_op(context, step.operation)),
        )
    ]
    return lines if any(not line.startswith("#") for line in lines) else [*lines, "pass"]


def _formatted(code: str) -> str:
    return comment(code.lstrip("# ")) if code.startswith("#") else formatted(code)


def register() -> None:
    """Add its renderer to autogenerate."""
    renderers.dispatch_for(Body)(_render)
