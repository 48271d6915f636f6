"""Amounts as they are said."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def size(count: float) -> str:
    """Write a number of bytes in the largest unit of which there are ten, like pg_size_pretty."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(count) < 10_240:
            return f"{count:,.0f} {unit}"
        count /= 1024
    return f"{count:,.0f} TB"


def percent(part: float, whole: float) -> str:
    """Write a part of a whole; none of nothing."""
    return f"{100 * part / whole:.0f} %" if whole else "0 %"


def day(seconds: float) -> str:
    """Write the day of a time in seconds since 1970; what Python has no date for, as a number."""
    try:
        return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%d}"
    except OverflowError:
        return f"{seconds:g} s"
