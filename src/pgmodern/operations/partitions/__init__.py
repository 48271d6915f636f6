"""The PL/pgSQL that makes a table the first partition of itself, extends it, and takes it back.

Each block is a transaction that decides in the database, so that an offline script does the same.
"""

from dataclasses import dataclass

from pgmodern.locks import milliseconds
from pgmodern.operations.partitions import bound, carried, intervals, refusals, swap, way_back
from pgmodern.operations.partitions.block import BLOCK, RESOLVE
from pgmodern.quoting import quoted, string


@dataclass(frozen=True, slots=True)
class Table:
    """The table that a block is about, and how it is divided: what the blocks are told."""

    name: str
    schema: str | None = None
    column: str = ""
    interval: str = ""
    ahead: int = 0
    starting: str | None = None
    if_possible: bool = False

    def refuse(self, timeout: float) -> str:
        """The block that raises unless the table can be partitioned; it only reads."""
        return self._block(
            timeout,
            RESOLVE,
            refusals.REFUSE_PARTITIONING,
            bound.BOUND,
            bound.REFUSE_ROWS_BEYOND,
        )

    def announce(self, timeout: float) -> str:
        """The block that adds the CHECK not validated; ACCESS EXCLUSIVE for an instant."""
        return self._block(timeout, RESOLVE, bound.BOUND, bound.ANNOUNCE)

    def validate(self, timeout: float) -> str:
        """The block that proves the CHECK: a scan under SHARE UPDATE EXCLUSIVE."""
        return self._block(timeout, RESOLVE, bound.FIND_CHECK, bound.VALIDATE)

    def swap(self, timeout: float) -> str:
        """The block that puts a partitioned table in the table's place; ACCESS EXCLUSIVE."""
        return self._block(
            timeout,
            RESOLVE,
            bound.FIND_CHECK,
            swap.KEEP_AS_IT_IS,
            refusals.REFUSE_PARTITIONING,
            swap.PREPARE_PARENT,
            swap.MOVE_INDEXES,
            swap.MOVE_STATISTICS,
            swap.EXTEND_FROM_BOUND,
            swap.LOCK_TABLE,
            refusals.REFUSE_EXCHANGE,
            carried.CARRY,
            swap.EXCHANGE,
            swap.CREATE_STATISTICS,
            swap.ATTACH,
            carried.CREATE_TRIGGERS,
        )

    def forget(self, timeout: float) -> str:
        """The block that drops the CHECK of a table that is not partitioned yet."""
        return self._block(timeout, RESOLVE, bound.FORGET)

    def extend(self, timeout: float) -> str:
        """The block that makes the partitions that are missing; SHARE UPDATE EXCLUSIVE."""
        return self._block(timeout, intervals.FIND_LAST, intervals.EXTEND)

    def refuse_taking_back(self, timeout: float) -> str:
        """The block that raises when rows or dependants would be lost on the way back; it reads.

        An ordinary table is only rid of its CHECK.
        """
        return self._block(
            timeout, way_back.FIND_FIRST, way_back.REFUSE_ROWS, refusals.REFUSE_EXCHANGE
        )

    def take_back(self, timeout: float) -> str:
        """The block that puts the first partition in the place of all; ACCESS EXCLUSIVE."""
        return self._block(
            timeout,
            way_back.FIND_FIRST,
            way_back.REFUSE_ROWS,
            way_back.LOCK_PARTITIONS,
            way_back.REFUSE_ROWS,
            refusals.REFUSE_EXCHANGE,
            way_back.DETACH,
            carried.CARRY,
            way_back.TAKE_PLACE,
            carried.CREATE_TRIGGERS,
        )

    def _block(self, timeout: float, *parts: str) -> str:
        starting = "NULL" if self.starting is None else string(self.starting)
        return BLOCK.substitute(
            named=string(quoted(self.name, self.schema)),
            key=string(self.column),
            step=string(self.interval),
            ahead=self.ahead,
            if_possible=str(self.if_possible).lower(),
            starting=starting,
            timeout=string(milliseconds(timeout)),
            body="".join(parts),
        )
