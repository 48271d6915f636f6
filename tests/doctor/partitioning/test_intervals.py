"""What a partition holds."""

from hypothesis import given
from hypothesis import strategies as st

from pgmodern.doctor.partitioning.intervals import Growth, is_slow, of_number, of_time

MEMORY = st.integers(2**20, 2**43)
GROWTH = st.builds(
    Growth, rows=st.floats(1, 1e10), bytes=st.floats(30, 1e5), keys=st.floats(1e-3, 1e6)
)


@given(GROWTH, MEMORY)
def test_there_is_one_partition_a_year_or_more_and_one_a_day_at_most(
    growth: Growth, memory: int
) -> None:
    assert 1 <= of_time(growth, memory).a_year < 366
    assert of_number(growth, memory).a_year < 366


@given(GROWTH, MEMORY)
def test_one_takes_a_quarter_of_the_memory_unless_it_is_the_shortest(
    growth: Growth, memory: int
) -> None:
    time, number = of_time(growth, memory), of_number(growth, memory)
    assert time.bytes <= memory / 4 or time.text == "1 day"
    a_few_days = 2.5 * growth.bytes_a_day
    assert number.bytes <= max(memory / 4, a_few_days) * 1.001 or number.text == "1"


@given(GROWTH, MEMORY)
def test_where_growth_is_not_slow_a_partition_is_not_tiny(growth: Growth, memory: int) -> None:
    if not is_slow(growth, memory):
        assert of_time(growth, memory).bytes >= memory / 64 / 366


def test_as_much_as_a_library_plays() -> None:
    plays = Growth(rows=1_000_000, bytes=200)  # 191 MB a day
    gigabyte = 2**30
    assert of_time(plays, 64 * gigabyte).text == "1 month"
    assert of_time(plays, 8 * gigabyte).text == "1 week"
    assert of_time(plays, gigabyte).text == "1 day"
    assert of_time(plays, gigabyte // 10).text == "1 day"
    assert of_number(plays, 64 * gigabyte).text == "50000000"
    assert of_number(plays, gigabyte).text == "2000000"


def test_a_number_that_advances_by_more_than_one_has_larger_intervals() -> None:
    one, ten = (of_number(Growth(1_000_000, 200, keys), 2**36) for keys in (1, 10))
    assert (one.text, ten.text) == ("50000000", "500000000")
    assert one.rows == ten.rows
