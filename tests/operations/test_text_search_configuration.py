"""`op.create_text_search_configuration` and its reverse: which words are one word."""

import subprocess
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from pgmodern.errors import MigrationError

Step = Callable[[Any], object]
Apply = Callable[[Step], None]
Psql = Callable[[URL, str], subprocess.CompletedProcess[str]]


def create(op: Any) -> None:
    """The step that creates the configuration."""
    op.create_extension("unaccent")
    op.create_text_search_configuration("public.plain")


def drop(op: Any) -> None:
    """The step that drops it."""
    op.drop_text_search_configuration("public.plain")
    op.drop_extension("unaccent")


def words(database: psycopg.Connection, text: str, configuration: str = "public.plain") -> set[str]:
    """Return the words that a text is found by."""
    query = "SELECT unnest(tsvector_to_array(to_tsvector(%s::regconfig, %s)))"
    return {str(word) for (word,) in database.execute(query, [configuration, text])}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Beyoncé", {"beyonce"}),
        ("MÖTLEY Crüe", {"motley", "crue"}),
        ("Sigur Rós", {"sigur", "ros"}),
        ("Łąki Łan", {"laki", "lan"}),
        ("Ænima", {"aenima"}),
        ("Straße", {"strasse"}),
        ("Øya", {"oya"}),
        ("The The", {"the"}),
        ("running runs", {"running", "runs"}),
        ("Jay-Z", {"jay-z", "jay", "z"}),
        ("Étienne-Émile", {"etienne-emile", "etienne", "emile"}),
        ("Röyksopp2", {"royksopp2"}),
        ("Blink-182é", {"blink-182e", "blink", "182e"}),
        ("Ляпис Трубецкой", {"ляпис", "трубецкой"}),
        ("Ёлка", {"елка"}),
        ("Ελένη", {"ελενη"}),
        ("東京事変", {"東京事変"}),
        ("방탄소년단", {"방탄소년단"}),
        ("99 Luftballons", {"99", "luftballons"}),
        ("don't", {"don", "t"}),
    ],
)
def test_words_are_found_without_accents_and_whole(
    database: psycopg.Connection, apply: Apply, text: str, expected: set[str]
) -> None:
    apply(create)
    assert words(database, text) == expected


def test_it_can_stem_by_another_dictionary(database: psycopg.Connection, apply: Apply) -> None:
    def step(op: Any) -> None:
        op.create_extension("unaccent")
        op.create_text_search_configuration(
            "public.french", copy="pg_catalog.french", dictionary="pg_catalog.french_stem"
        )

    apply(step)
    assert words(database, "des chansons éternelles", "public.french") == {"chanson", "eternel"}


def test_it_is_immutable_so_that_an_index_may_use_it(
    database: psycopg.Connection, apply: Apply
) -> None:
    apply(create)
    database.execute("CREATE INDEX ON songs USING gin (to_tsvector('public.plain', title))")


@pytest.mark.quick
def test_it_goes_and_comes_again(database: psycopg.Connection, apply: Apply) -> None:
    for _ in range(2):
        apply(create)
        assert words(database, "é") == {"e"}
        apply(drop)
        left = "SELECT count(*) FROM pg_ts_config WHERE cfgname = 'plain'"
        assert database.execute(left).fetchone() == (0,)


@pytest.mark.quick
@pytest.mark.parametrize(
    "user",
    [
        "CREATE INDEX ON songs USING gin (to_tsvector('public.plain', title))",
        """CREATE FUNCTION vector_of(title text) RETURNS tsvector LANGUAGE plpgsql AS
           $$ BEGIN RETURN to_tsvector('public.plain', title); END $$""",
    ],
    ids=["an index", "a function"],
)
def test_it_stays_while_something_uses_it(
    user: str,
    database: psycopg.Connection,
    apply: Apply,
    script: Callable[[Step], str],
    psql: Psql,
    empty_database_url: URL,
) -> None:
    apply(create)
    database.execute(user.encode())
    with pytest.raises(MigrationError, match="still used"):
        apply(drop)
    assert psql(empty_database_url, script(drop)).returncode != 0
    assert words(database, "é") == {"e"}


def test_the_script_does_the_same(
    empty_database_url: URL,
    database: psycopg.Connection,
    script: Callable[[Step], str],
    psql: Psql,
) -> None:
    for _ in range(2):
        done = psql(empty_database_url, script(create))
        assert done.returncode == 0, done.stderr
        assert words(database, "Étienne-Émile") == {"etienne-emile", "etienne", "emile"}
        assert psql(empty_database_url, script(drop)).returncode == 0


def test_each_is_the_reverse_of_the_other(database: psycopg.Connection, apply: Apply) -> None:
    from pgmodern.operations.text_search_configuration import CreateTextSearchConfiguration

    forward = CreateTextSearchConfiguration("public.plain", "simple", "simple")
    apply(lambda op: op.create_extension("unaccent"))
    apply(lambda op: op.invoke(forward))
    assert words(database, "é") == {"e"}
    apply(lambda op: op.invoke(forward.reverse()))
    left = "SELECT count(*) FROM pg_ts_config WHERE cfgname = 'plain'"
    assert database.execute(left).fetchone() == (0,)
