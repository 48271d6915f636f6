"""How a table grows along a column, and whether it does so at the column's end."""

from pgmodern.doctor.partitioning.amounts import day
from pgmodern.doctor.partitioning.facts import Column, Server, Table
from pgmodern.doctor.partitioning.intervals import PER_YEAR, Growth

_DAY = 86_400
# Below that, new rows have values among the old ones.
_CORRELATION = 0.9
# So long nothing may come before a table counts as one that is not written any more.
_IDLE_DAYS = 30
_BIGINT = 2.0**63


def unsuited(column: Column, table: Table, server: Server) -> str | None:
    """Say why the table does not grow by new values at the column's end, or None.

    The operation leaves all rows in the first partition and only what comes later, above them, in
    others.
    """
    if column.correlation is None or column.correlation < _CORRELATION:
        return (
            f"new rows do not have the highest {column.name}: they would go on into the first "
            "partition, which keeps the rows that are there"
        )
    if column.is_time and _is_idle(column, server):
        return f"nothing was added since {day(_upper(column, server))}, by its {column.name}"
    if of(column, table, server) is None:
        return f"the statistics do not tell how fast {column.name} advances"
    return None


def of(column: Column, table: Table, server: Server) -> Growth | None:
    """Return the growth, or None when statistics are younger, or values closer, than a day.

    By a time it is that of the younger half of the rows; by a number that of the inserts counted,
    and None also when it would reach the end of bigint within a year.
    """
    if not (table.rows and table.bytes) or column.middle is None or column.high is None:
        return None
    half, width = table.rows / 2, table.bytes / table.rows
    if column.is_time:
        days = (_upper(column, server) - column.middle) / _DAY
        return Growth(half / days, width) if days >= 1 else None
    rows, keys = table.inserted / max(server.days, 1.0), (column.high - column.middle) / half
    is_plausible = 0 < rows * keys * PER_YEAR < _BIGINT
    return Growth(rows, width, keys) if server.days >= 1 and is_plausible else None


def remaining(table: Table) -> float:
    """Return which part of what is inserted is not deleted in the end."""
    return max(1 - table.deleted / table.inserted, 0.0) if table.inserted else 1.0


def _upper(column: Column, server: Server) -> float:
    """Return the highest value up to now: some rows may be dated ahead."""
    assert column.high is not None
    return min(column.high, server.now)


def _is_idle(column: Column, server: Server) -> bool:
    if column.middle is None or column.high is None:
        return False
    span = max(column.high - column.middle, 0.0)
    return server.now - column.high > span / 2 + _IDLE_DAYS * _DAY
