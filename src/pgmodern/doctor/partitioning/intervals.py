"""How much of a table a partition holds.

Manual, 5.12.6 Best Practices for Declarative Partitioning: with too few partitions indexes stay
too large to be kept in memory, with too many planning takes longer and sessions need more memory;
up to a few thousand are fine where queries skip most of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# The partition that is written to should stay in memory beside the others that are read.
_LARGEST = 4
# Less of the memory than this in a year is no growth that needs dividing.
_SMALLEST = 64
# In five years of days there are less than two thousand partitions.
_DAYS = {
    "1 day": 1.0,
    "1 week": 7.0,
    "1 month": 365.25 / 12,
    "3 months": 365.25 / 4,
    "1 year": 365.25,
}
PER_YEAR = 365.25
_ROUNDING = 2.5  # a round number may be so much smaller


@dataclass(frozen=True, slots=True)
class Growth:
    """How a table grows: rows a day, and the bytes of one with its index entries.

    `keys` is how far a number advances from row to row, and means nothing to a time.
    """

    rows: float
    bytes: float
    keys: float = 1.0

    @property
    def bytes_a_day(self) -> float:
        """Return by how many bytes the table grows in a day."""
        return self.rows * self.bytes


@dataclass(frozen=True, slots=True)
class Interval:
    """What a partition spans, as the operation takes it, and what comes of that."""

    text: str
    rows: float
    bytes: float
    a_year: float


def is_slow(growth: Growth, memory: int) -> bool:
    """Tell whether a year's rows would not be worth a partition of their own."""
    return growth.bytes_a_day * PER_YEAR < memory / _SMALLEST


def of_time(growth: Growth, memory: int) -> Interval:
    """Return the longest interval whose rows leave three quarters of the memory to others.

    A day when none does: more than 366 partitions a year are too many.
    """
    fitting = [
        (text, days)
        for text, days in _DAYS.items()
        if growth.bytes_a_day * days <= memory / _LARGEST
    ]
    text, days = fitting[-1] if fitting else ("1 day", 1.0)
    return Interval(text, growth.rows * days, growth.bytes_a_day * days, PER_YEAR / days)


def of_number(growth: Growth, memory: int) -> Interval:
    """Return a round number of keys, those of a day to those of a year, by the same measure."""
    days = min(max(memory / _LARGEST / growth.bytes_a_day, _ROUNDING), PER_YEAR)
    keys = _rounded(growth.rows * growth.keys * days)
    days = keys / (growth.rows * growth.keys)
    return Interval(str(keys), growth.rows * days, growth.bytes_a_day * days, PER_YEAR / days)


def _rounded(keys: float) -> int:
    """Return the highest of 1, 2, 5, 10, 20... that is not above."""
    power = 10 ** math.floor(math.log10(max(keys, 1.0)))
    return int(max(step * power for step in (1, 2, 5) if step * power <= max(keys, 1.0)))
