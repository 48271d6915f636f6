"""What is counted."""

from typing import ClassVar

from pgmodern.queries.statement import Statement


class CountStatements:
    """`counted` selects the rows that are counted when no condition is given."""

    counted: ClassVar[Statement]
