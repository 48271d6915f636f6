"""What a statement's text says of the columns that it compares."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgmodern.doctor.partitioning.predicates import compared, names, parse

COLUMNS = ("id", "at", "Odd")


def read(query: str) -> set[str] | None:
    """Return what is compared of public.plays; None when it is not read."""
    statement = parse(query)
    called = names(statement, "public", "plays")
    return set(compared(statement, called, COLUMNS)) if called else None


COMPARES = [
    ("SELECT * FROM plays WHERE at >= $1", {"at"}),
    ("SELECT * FROM plays WHERE $1 <= at", {"at"}),
    ("SELECT * FROM plays WHERE at BETWEEN $1 AND $2 AND id = $3", {"at", "id"}),
    ("SELECT * FROM plays WHERE at > now() - $1::interval ORDER BY id LIMIT $2", {"at"}),
    ("SELECT * FROM plays WHERE at > CURRENT_DATE - $1", {"at"}),
    ("SELECT * FROM plays WHERE at > DATE $1", {"at"}),
    ("SELECT * FROM plays WHERE at > date_trunc($1, now()) AND x", {"at"}),
    ("SELECT * FROM plays WHERE id = ANY ($1)", {"id"}),
    ("SELECT * FROM plays WHERE id IN ($1, $2 /*, ... */)", {"id"}),
    ("SELECT * FROM plays WHERE id = -$1 or (at < ($2 - $3))", {"id", "at"}),
    ('SELECT * FROM "public"."plays" AS p WHERE p."Odd" = $1', {"Odd"}),
    ("select * from Public.Plays p where P.At > $1", {"at"}),
    ("SELECT * FROM plays WHERE plays.at > $1", {"at"}),
    ("SELECT * FROM songs s JOIN plays p ON p.song = s.id AND p.at > $1", {"at"}),
    ("SELECT * FROM songs, plays WHERE at > $1", {"at"}),
    ("SELECT * FROM songs WHERE id IN (SELECT song FROM plays WHERE at < $1)", {"at"}),
    ("WITH p AS (SELECT * FROM plays WHERE at > $1) SELECT * FROM p", {"at"}),
    ("DELETE FROM ONLY plays WHERE at < $1", {"at"}),
    ("UPDATE plays SET title = $1 WHERE id = $2", {"id"}),
    ("DELETE FROM songs USING plays p WHERE p.id = $1", {"id"}),
    ("SELECT * FROM plays WHERE b IS NOT DISTINCT FROM $1 AND at > $2", {"at"}),
    ("-- at = $1\nSELECT * FROM plays WHERE at = $1 FOR UPDATE", {"at"}),
]
COMPARES_NOT = [
    "SELECT * FROM plays",
    "SELECT at FROM plays ORDER BY at DESC LIMIT $1",
    "SELECT at > $1 FROM plays",
    "SELECT * FROM plays WHERE at::date = $1",
    "SELECT * FROM plays WHERE date_trunc($1, at) = $2",
    "SELECT * FROM plays WHERE id + $1 = $2",
    "SELECT * FROM plays WHERE $1 < at + $2",
    "SELECT * FROM plays WHERE at IS NOT NULL",
    "SELECT * FROM plays WHERE at <> $1",
    "SELECT * FROM plays WHERE title = 'at = 5'",
    "SELECT * FROM plays WHERE Odd = $1",
    "SELECT * FROM plays /* WHERE at = $1 */ LIMIT $1",
    "SELECT * FROM plays p JOIN songs s ON s.at = $1",
    "SELECT * FROM plays p JOIN songs s ON p.id = s.id",
    "SELECT count(*) FROM plays GROUP BY at HAVING max(id) > $1",
    "UPDATE plays SET at = $1",
]
READS_NOT = [
    "INSERT INTO plays (at) VALUES ($1)",
    "INSERT INTO plays (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET at = $2",
    "SELECT * FROM other.plays WHERE at > $1",
    "SELECT plays FROM songs WHERE at > $1",
    "SELECT a, plays FROM songs",
    "SELECT * FROM songs WHERE plays > $1",
    "SELECT $1 AS plays",
    "COPY plays FROM STDIN",
    "BEGIN",
    "",
]


@pytest.mark.quick
@pytest.mark.parametrize(("query", "columns"), COMPARES)
def test_what_is_compared_with_a_value_is_found(query: str, columns: set[str]) -> None:
    assert read(query) == columns


@pytest.mark.parametrize("query", COMPARES_NOT)
def test_what_would_skip_no_partition_is_not(query: str) -> None:
    assert read(query) == set()


@pytest.mark.parametrize("query", READS_NOT)
def test_a_statement_that_does_not_read_the_table_is_none(query: str) -> None:
    assert read(query) is None


PIECES = "( ) , . = plays at from where in $1".split()  # noqa: SIM905


@given(st.text() | st.lists(st.sampled_from(PIECES)).map(" ".join))
def test_whatever_stands_there_can_be_read(query: str) -> None:
    assert read(query) in (None, set(), {"at"})
