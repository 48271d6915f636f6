"""Amounts as they are said."""

import pytest

from pgmodern.doctor.partitioning.amounts import day, percent, size


@pytest.mark.quick
@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 bytes"),
        (10_239, "10,239 bytes"),
        (10_240, "10 kB"),
        (5 * 2**30, "5,120 MB"),
        (64 * 2**30, "64 GB"),
        (2**60, "1,048,576 TB"),
    ],
)
def test_a_size_is_in_the_largest_unit_of_which_there_are_ten(count: float, said: str) -> None:
    assert size(count) == said


def test_a_part_of_nothing_is_nothing() -> None:
    assert (percent(1, 3), percent(0, 0)) == ("33 %", "0 %")


def test_a_day_that_python_has_not_is_a_number() -> None:
    assert (day(0), day(1e15)) == ("1970-01-01", "1e+15 s")
