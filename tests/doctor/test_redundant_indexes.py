"""Indexes that may go: what is found, what is not, and that nothing is lost with them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import URL, Connection, NullPool, text

from pgmodern import create_engine
from pgmodern.doctor import Diagnosis, Kind
from pgmodern.doctor.redundant_indexes import KINDS, check
from pgmodern.testing.databases import database

TABLE = "CREATE TABLE songs (id bigint NOT NULL, title text, album text, tags jsonb, year int)"

# The index that is found, the one that stays, the kind, and what is said.
FOUND = [
    ("(title)", "(title)", Kind.DUPLICATE_INDEX, "the same as first"),
    ("(title, id DESC)", "(title, id DESC)", Kind.DUPLICATE_INDEX, "the same as first"),
    ("(lower(title))", "(lower( title ))", Kind.DUPLICATE_INDEX, "the same as first"),
    ("(title) WHERE year > 0", "(title) WHERE (year > 0)", Kind.DUPLICATE_INDEX, "the same"),
    ("USING gin (tags)", "USING gin (tags)", Kind.DUPLICATE_INDEX, "the same"),
    ("USING hash (id)", "USING hash (id)", Kind.DUPLICATE_INDEX, "the same"),
    ("(id) INCLUDE (title, album)", "(id) INCLUDE (album, title)", Kind.DUPLICATE_INDEX, "same"),
    ("(title)", "(title, album)", Kind.COVERED_INDEX, "first begins with its columns"),
    ("(title) WHERE year > 0", "(title, id) WHERE year > 0", Kind.COVERED_INDEX, "begins"),
    ("(lower(title))", "(lower(title), upper(album))", Kind.COVERED_INDEX, "begins"),
    ("(id)", "(id) INCLUDE (title)", Kind.COVERED_INDEX, "begins"),
    ("(id) INCLUDE (title)", "(id, title)", Kind.COVERED_INDEX, "begins"),
    ("(id)", "UNIQUE (id)", Kind.KEY_COPY, "a copy of first, which is unique"),
    ("(id)", "UNIQUE (id, title)", Kind.COVERED_INDEX, "begins"),
    ("UNIQUE (id)", "UNIQUE (id)", Kind.DUPLICATE_INDEX, "the same as first"),
]
# Either is needed, whichever is the older.
NOT_FOUND = [
    ("(title)", "(album)"),
    ("(title, album)", "(album, title)"),
    ("(title)", "(title DESC)"),
    ("(id)", "(id NULLS FIRST)"),
    ("(title)", "(title text_pattern_ops)"),
    ("(title)", '(title COLLATE "C")'),
    ("(title)", "(title) WHERE year > 0"),
    ("(title) WHERE year > 0", "(title) WHERE year > 1"),
    ("(lower(title))", "(upper(title))"),
    ("(upper(title))", "(lower(title), upper(title))"),
    ("USING gin (tags)", "USING gin (tags jsonb_path_ops)"),
    ("USING gin (tags)", "USING gin (tags) WITH (fastupdate = off)"),
    ("USING brin (id)", "USING brin (id, year)"),
    ("(id)", "USING hash (id)"),
    ("UNIQUE (id)", "(id, title)"),
    ("UNIQUE (id)", "UNIQUE (id, title)"),
    ("UNIQUE (id)", "UNIQUE (id) WHERE year > 0"),
    ("UNIQUE (year)", "UNIQUE (year) NULLS NOT DISTINCT"),
    ("(title) INCLUDE (year)", "(title) INCLUDE (album)"),
]


def create(name: str, definition: str, table: str = "songs") -> str:
    """Return the statement that creates an index."""
    rest = definition.removeprefix("UNIQUE ")
    return f"CREATE {'UNIQUE ' if rest != definition else ''}INDEX {name} ON {table} {rest}"


@pytest.fixture(scope="module")
def table(postgres_url: URL) -> Iterator[Connection]:
    """A connection on an empty table, on which every example is rolled back."""
    with database(postgres_url) as url:
        engine = create_engine(url, poolclass=NullPool)
        with engine.connect() as connection:
            connection.execute(text(TABLE))
            connection.commit()
            yield connection


def found_among(table: Connection, *statements: str) -> list[Diagnosis]:
    """Return what is found of the indexes that the statements make."""
    with table.begin() as transaction:
        for statement in statements:
            table.execute(text(statement))
        found = list(check(table))
        transaction.rollback()
    return found


@pytest.mark.parametrize("older", ["index", "keeper"])
@pytest.mark.parametrize(("index", "keeper", "kind", "detail"), FOUND)
def test_what_another_does_as_well_is_found(
    table: Connection, index: str, keeper: str, kind: Kind, detail: str, older: str
) -> None:
    pair = [create("second", index), create("first", keeper)]
    if older == "keeper" or kind is Kind.DUPLICATE_INDEX:  # of two that are alike the older stays
        pair.reverse()
    (found,) = found_among(table, *pair)
    assert (found.kind, found.name) == (kind, "second")
    assert detail in found.detail


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("one", "other"), NOT_FOUND)
def test_what_differs_is_not_found(table: Connection, one: str, other: str, reverse: bool) -> None:
    pair = [create("a", one), create("b", other)]
    assert found_among(table, *(pair[::-1] if reverse else pair)) == []


@pytest.mark.parametrize(
    ("keeper", "kind", "detail"),
    [
        ("(id)", "duplicate-index", "the same as first"),
        ("(id, year)", "covered-index", "first begins with its columns and serves its queries"),
        ("UNIQUE (id)", "key-copy", "a copy of first, which is unique"),
    ],
)
def test_the_cure_of_each_kind_removes_it(
    patient: Any, keeper: str, kind: str, detail: str
) -> None:
    patient.execute(TABLE, create("first", keeper), create("second", "(id)"))
    (found,) = patient.findings()
    assert found == {
        "kind": kind,
        "severity": "warning",
        "schema": "public",
        "table": "songs",
        "name": "second",
        "detail": detail,
        "cure": "op.drop_index_online('second')",
    }
    patient.cure(found)
    assert patient.findings() == []


def test_copies_of_a_key_are_found_and_the_key_stays(patient: Any) -> None:
    patient.execute(
        "CREATE TABLE songs (title text)",
        "CREATE INDEX by_id_early ON songs (title)",
        "CREATE UNIQUE INDEX by_id ON songs (title)",
        "ALTER TABLE songs ADD PRIMARY KEY (title)",
        "CREATE TABLE tags (id int UNIQUE, EXCLUDE USING hash (id WITH =))",
        "CREATE INDEX by_hash ON tags USING hash (id)",
    )
    found = patient.findings()
    assert [(each["name"], each["kind"], each["detail"]) for each in found] == [
        ("by_id_early", "key-copy", "a copy of songs_pkey, the primary key's index"),
        ("by_id", "key-copy", "a copy of songs_pkey, the primary key's index"),
        ("by_hash", "key-copy", "a copy of tags_id_excl, the index of a constraint"),
    ]
    for each in found:
        patient.cure(each)
    assert patient.findings() == []


@pytest.mark.parametrize(
    "need",
    [
        "ALTER TABLE songs CLUSTER ON needed",
        "ALTER TABLE songs REPLICA IDENTITY USING INDEX needed",
        "CREATE TABLE plays (song_id bigint UNIQUE REFERENCES songs (id))",
    ],
)
def test_of_two_that_are_alike_the_one_that_is_needed_stays(patient: Any, need: str) -> None:
    patient.execute(TABLE, "CREATE UNIQUE INDEX needed ON songs (id)", need)
    patient.execute("CREATE UNIQUE INDEX other ON songs (id)")
    assert patient.names() == ["other"]
    patient.execute("DROP INDEX other", "CREATE UNIQUE INDEX older ON songs (id)")
    patient.execute("ALTER INDEX needed RENAME TO newer")  # it is the older by age; by need as well
    assert patient.names() == ["older"]


def test_one_that_a_deferrable_constraint_copies_enforces_sooner_and_stays(patient: Any) -> None:
    patient.execute(TABLE, "CREATE UNIQUE INDEX at_once ON songs (id)")
    patient.execute("ALTER TABLE songs ADD UNIQUE (id) DEFERRABLE")
    assert patient.findings() == []


@pytest.mark.quick
def test_an_invalid_index_covers_nothing(patient: Any) -> None:
    patient.execute(TABLE, "CREATE INDEX a ON songs (title)", "CREATE INDEX b ON songs (title)")
    patient.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'a'::regclass")
    assert patient.findings(*KINDS) == []


def test_a_partitioned_index_is_found_once_and_a_partition_s_own_by_itself(patient: Any) -> None:
    patient.execute(
        "CREATE TABLE plays (at date, song_id int) PARTITION BY RANGE (at)",
        "CREATE TABLE plays_1 PARTITION OF plays FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
        "CREATE TABLE plays_2 PARTITION OF plays FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')",
        "CREATE INDEX a ON plays (song_id)",
        "CREATE INDEX b ON plays (song_id)",
    )
    (found,) = patient.findings()
    assert (found["table"], found["name"]) == ("plays", "b")
    assert found["cure"] == "op.drop_index('b', table_name='plays')"
    patient.cure(found)
    assert patient.findings() == []
    patient.execute("CREATE INDEX own ON plays_1 (song_id)")
    (found,) = patient.findings()
    assert (found["name"], found["cure"]) == ("own", "op.drop_index_online('own')")
    patient.cure(found)
    assert patient.findings() == []


@dataclass(frozen=True)
class Definition:
    """An index that hypothesis thought of."""

    unique: bool
    columns: tuple[str, ...]
    included: frozenset[str]
    predicate: str

    def create(self, name: str) -> str:
        """Return the statement that creates it."""
        return (
            f"CREATE {'UNIQUE ' if self.unique else ''}INDEX {name} ON songs "
            f"({', '.join(self.columns)})"
            + (f" INCLUDE ({', '.join(self.included)})" if self.included else "")
            + self.predicate
        )

    def does_all_of(self, other: "Definition") -> bool:
        """Tell whether rows are found and kept unique by this one as by the other."""
        return (
            self.predicate == other.predicate
            and self.columns[: len(other.columns)] == other.columns
            and other.included
            <= self.included.union(c.split()[0] for c in self.columns[len(other.columns) :])
            and (not other.unique or (self.unique and self.columns == other.columns))
        )


COLUMNS = st.sampled_from(["id", "title", "year DESC", "year", "lower(title)"])
DEFINITIONS = st.builds(
    Definition,
    st.booleans(),
    st.lists(COLUMNS, min_size=1, max_size=3, unique=True).map(tuple),
    st.sets(st.sampled_from(["year", "album"]), max_size=1).map(frozenset),
    st.sampled_from(["", "", " WHERE year > 0"]),
)


@given(definitions=st.lists(DEFINITIONS, min_size=2, max_size=7))
@settings(deadline=None, max_examples=60)
def test_all_that_is_found_may_go_at_once_and_nothing_is_lost(
    table: Connection, definitions: list[Definition]
) -> None:
    named = {f"ix{number}": definition for number, definition in enumerate(definitions)}
    with table.begin() as transaction:
        for name, definition in named.items():
            table.execute(text(definition.create(name)))
        gone = {diagnosis.name for diagnosis in check(table)}
        for name in gone:
            table.execute(text(f"DROP INDEX {name}"))
        assert list(check(table)) == []
        transaction.rollback()
    stays = [definition for name, definition in named.items() if name not in gone]
    for name in gone:
        assert any(each.does_all_of(named[name]) for each in stays)
    assert len(stays) == len(set(stays))
    assert not any(a is not b and a.does_all_of(b) for a in stays for b in stays)
