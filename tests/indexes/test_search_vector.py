"""What a search vector's trigger is made of is read back from its source."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import URL

from pgmodern.indexes.search_vector import Read, SearchVector, Weight, read_source

# What a name could be mistaken for: quotes of each kind, and the source's own words.
TRAPS = [
    "'",
    '"',
    "$",
    "$$",
    "\\",
    "%s",
    ":x",
    "{range}",
    "new",
    "NEW.",
    ' NEW."x" := ',
    "setweight(to_tsvector(CAST('simple' AS REGCONFIG), left(coalesce(\"new\".a, ''), 9)), 'A')",
    "' AS REGCONFIG), ",
    ", ''), 100)), 'B')",
    "select",
    "Été ",
    "\n",
]
characters = st.characters(codec="utf-8", exclude_characters="\0")
names = st.one_of(
    st.text(characters, min_size=1),
    st.lists(st.one_of(st.sampled_from(TRAPS), st.text(characters)), min_size=1, max_size=4)
    .map("".join)
    .filter(bool),
)
weights: st.SearchStrategy[Weight] = st.sampled_from(("A", "B", "C", "D"))
sources = st.dictionaries(names, weights, min_size=1, max_size=5)


def vector(column: str, made_of: dict[str, Weight], configuration: str) -> SearchVector:
    """Return a search vector of a table whose name does not matter."""
    return SearchVector("songs", column, made_of, configuration, "id")


@given(names, sources, names)
@example("words", {"a$b": "A"}, "pg_catalog.simple")
@example("words", {"title": "A"}, 'NEW."words" := ')
def test_what_it_is_made_of_is_read_back(
    column: str, made_of: dict[str, Weight], configuration: str
) -> None:
    read = read_source(vector(column, made_of, configuration).source)
    assert read == Read(column, made_of, configuration)
    assert list(read.sources) == list(made_of)


@given(st.text())
def test_what_is_not_ours_is_not_read(source: str) -> None:
    assert read_source(source) is None


@pytest.mark.parametrize(
    "changed",
    [
        lambda source: source + " -- by hand",
        lambda source: source.replace("RETURN NEW", "NEW.title := 'x'; RETURN NEW"),
        lambda source: source.replace("RETURN NEW", 'NEW."other" := NULL; RETURN NEW'),
        lambda source: source.replace("100000", "5"),
    ],
)
def test_one_that_was_changed_by_hand_is_told_by_its_source(changed: Any) -> None:
    ours = vector("words", {"title": "A", "album": "B"}, "pg_catalog.simple")
    source = changed(ours.source)
    read = read_source(source)
    assert read is not None
    assert vector(read.column, read.sources, read.configuration).source == ours.source != source


@pytest.mark.quick
@pytest.mark.parametrize(
    "changed",
    [
        lambda source: source.replace("simple", "french", 1),
        lambda _: "\nBEGIN\n    RETURN NEW;\nEND\n",
    ],
)
def test_one_of_two_configurations_or_of_no_column_is_not_ours(changed: Any) -> None:
    ours = vector("words", {"title": "A", "album": "B"}, "pg_catalog.simple")
    assert read_source(changed(ours.source)) is None


@pytest.mark.parametrize("name", [*TRAPS, "all \"of\" 'it' $$ \\ %s"])
def test_the_server_keeps_the_source_as_it_was_written(
    empty_database_url: URL, connect: Callable[[URL], psycopg.Connection], name: str
) -> None:
    database = connect(empty_database_url)
    column = '"' + name.replace('"', '""')[:60] + '"'
    cut = column[1:-1].replace('""', '"')
    database.execute(f"CREATE TABLE songs (id int, words tsvector, {column} text)".encode())
    ours = vector("words", {cut: "A"}, "pg_catalog.simple")
    for definition in ours.definitions():
        database.execute(definition.encode())
    database.execute(f"INSERT INTO songs ({column}) VALUES ('Waterloo')".encode())
    assert database.execute("SELECT words::text FROM songs").fetchone() == ("'waterloo':1A",)
    row = database.execute("SELECT prosrc FROM pg_proc WHERE proname LIKE 'songs_words%'")
    assert row.fetchone() == (ours.source,)
