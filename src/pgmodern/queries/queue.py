"""A table as a queue: rows are claimed by locking them, and acknowledged by an UPDATE."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    ColumnElement,
    Table,
    Update,
    any_,
    bindparam,
    func,
    select,
    tuple_,
    update,
)

from pgmodern.queries.statement import Statement, rows


@dataclass(frozen=True, slots=True)
class Queue:
    """Which rows of a table wait, and in which order.

    The column `done` is NULL while a row waits, and then the time. The columns `order` say which
    row comes first; the last of them is unique. Of rows that agree in the column `within` none is
    claimed before those that come earlier are done. Partial indexes where `done` is NULL serve
    the claim: one on `order`, one on `within` and `order`.
    """

    table: Table
    done: str
    order: tuple[str, ...]
    within: str | None = None

    @property
    def unique(self) -> ColumnElement[Any]:
        """The column by which rows are acknowledged."""
        return self.table.c[self.order[-1]]


def claim(payload: Statement, queue: Queue, batch: int) -> Statement:
    """Select the columns of the next rows that wait, and lock them until the transaction ends.

    Rows that another worker has claimed are passed over, so workers never wait for each other. A
    worker that dies gives back what it had: a row is claimed at least once. `payload` selects from
    the queue's table alone. FOR UPDATE on the rows (manual: SELECT, The Locking Clause); needs
    READ COMMITTED.
    """
    table = queue.table
    place = [table.c[name].label(f"pgmodern_{name}") for name in _places(queue)]
    claimed = (
        payload.add_columns(*place)
        .where(table.c[queue.done].is_(None))
        .order_by(*(table.c[name] for name in queue.order))
        .limit(rows(batch))
        .with_for_update(skip_locked=True)
        .cte("claimed")
        .prefix_with("MATERIALIZED")
    )
    shown = select(*list(claimed.c)[: -len(place)]).order_by(*_order(queue, claimed))
    return shown if queue.within is None else shown.where(~_waits_for_another(queue, claimed))


def acknowledge(queue: Queue) -> Update:
    """Say of the rows whose unique column is in the parameter `pgmodern_done` that they are done.

    Changes nothing of a row that is done already.
    """
    done, unique = queue.table.c[queue.done], queue.unique
    given = bindparam("pgmodern_done", type_=ARRAY(unique.type))
    values = {done: func.clock_timestamp()}
    return update(queue.table).where(unique == any_(given), done.is_(None)).values(values)


def _places(queue: Queue) -> tuple[str, ...]:
    return queue.order if queue.within is None else (*queue.order, queue.within)


def _order(queue: Queue, claimed: CTE) -> list[ColumnElement[Any]]:
    return [claimed.c[f"pgmodern_{name}"] for name in queue.order]


def _waits_for_another(queue: Queue, claimed: CTE) -> ColumnElement[bool]:
    """Whether an earlier row of the same `within` waits that somebody else has claimed.

    OFFSET has it asked of each row by the index: the planner would rather join what was claimed
    with all that waits. Of partitions by what comes first in the order, later ones are left out.
    """
    assert queue.within is not None
    earlier, ours = queue.table.alias("earlier"), claimed.alias("ours")
    own, first = ours.c[f"pgmodern_{queue.order[-1]}"], queue.order[0]
    is_ours = select(own).where(own == earlier.c[queue.order[-1]])
    another = select(earlier.c[queue.within]).where(
        earlier.c[queue.within] == claimed.c[f"pgmodern_{queue.within}"],
        earlier.c[queue.done].is_(None),
        earlier.c[first] <= claimed.c[f"pgmodern_{first}"],
        tuple_(*(earlier.c[name] for name in queue.order)) < tuple_(*_order(queue, claimed)),
        ~is_ours.exists(),
    )
    return another.offset(rows(0)).exists()
