"""What every operation of ours has."""

import re
from typing import Any

from alembic.operations import MigrateOperation

_NAMES = ("name", "schema", "table_name", "column_name", "constraint_name", "index_name")


class Operation(MigrateOperation):
    """An operation that autogenerate may find to be missing."""

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return what `alembic check` shows of it: the directive, and what it is about."""
        directive = re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()
        return (directive, *(name for name in self.about if name is not None))

    @property
    def about(self) -> tuple[str | None, ...]:
        """What it is about: the names that the operation has."""
        given = (getattr(self, name, None) for name in _NAMES)
        return tuple(str(name) for name in given if name is not None)
