"""What is stored in bulk."""

from collections.abc import Sequence
from typing import ClassVar

from sqlalchemy import Table

from pgmodern.queries.staging import Staging


class BulkStatements:
    """`stored` are the columns of `table` that are filled, `unique` say which row is which."""

    table: ClassVar[Table]
    stored: ClassVar[Sequence[str]]
    unique: ClassVar[Sequence[str]]

    def _staging(self, driver: str) -> Staging:
        return Staging(self.table, self.stored, self.unique, driver)
