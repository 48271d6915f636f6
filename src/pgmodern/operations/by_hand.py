"""What autogenerate sees and no operation changes: a comment in the revision."""

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import Operations

from pgmodern.operations.operation import Operation


class ByHand(Operation):
    """A difference that somebody has to settle; the revision does nothing about it."""

    def __init__(self, name: str, said: str, schema: str | None = None) -> None:
        self.name = name
        self.said = said
        self.schema = schema

    def reverse(self) -> "ByHand":
        """Return the same: there is nothing to undo."""
        return self


def _nothing(_operations: Operations, _operation: ByHand) -> None:
    """Do nothing."""


def _render(_context: AutogenContext, operation: ByHand) -> list[str]:
    said = " ".join(f"{operation.name}: {operation.said}".splitlines())  # a name may break a line
    return [f"# {said}"]


def register() -> None:
    """Add its renderer to autogenerate."""
    Operations.implementation_for(ByHand)(_nothing)
    renderers.dispatch_for(ByHand)(_render)
