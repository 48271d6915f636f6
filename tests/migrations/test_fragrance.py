"""What the migrations do to a live database of fragrances."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.errors import CheckViolation, ExclusionViolation, ForeignKeyViolation
from sqlalchemy import URL

from pgmodern.operations.partitions import Table
from tests.legacy.fragrance import FRAGRANCE

Connect = Callable[[URL], psycopg.Connection]
Dump = Callable[..., str]
Migrate = Callable[..., None]

EMBEDDING = "(SELECT array_agg(sin(%s * n) / n) FROM generate_series(1, 2048) AS n)::vector"
UNIT = "array_fill(1, ARRAY[2048])::halfvec"


@pytest.fixture
def legacy(empty_database_url: URL, connect: Connect) -> psycopg.Connection:
    """A connection to a database that only the fragrances are in."""
    database = connect(empty_database_url)
    FRAGRANCE.create(database)
    return database


def count(database: psycopg.Connection, query: str) -> int:
    """Return what a query counts."""
    (found,) = database.execute(query.encode()).fetchone() or (0,)
    return int(str(found))


@pytest.mark.reference
def test_what_is_embedded_is_there_at_each_resolution_of_length_1(
    legacy: psycopg.Connection, empty_database_url: URL, migrate: Migrate
) -> None:
    migrate(empty_database_url)
    multi = "SELECT count(*) FROM fragrance_embeddings_multi"
    embedded = "SELECT count(*) FROM fragrances WHERE vector_norm(embedding) > 0"
    assert count(legacy, multi) == count(legacy, embedded) == 90
    # In the shape of which only the last number is not zero, the prefixes have no direction.
    for column in ("embedding", "embedding_512", "embedding_128"):
        unlike_1 = f"{multi} WHERE abs(l2_norm({column}) - 1) > 0.01"
        assert count(legacy, unlike_1) == (0 if column == "embedding" else 15)
    alike = "SELECT min(subvector(embedding, 1, 128) <#> embedding_128) < -0.9"
    assert legacy.execute(f"{alike} FROM fragrance_embeddings_multi".encode()).fetchone()


def test_whatever_is_written_during_the_upgrade_is_followed(
    legacy: psycopg.Connection,
    empty_database_url: URL,
    connect: Connect,
    migrate: Migrate,
    head: str,
    dump: Dump,
) -> None:
    legacy.execute(FRAGRANCE.many.encode())
    ids = [row[0] for row in legacy.execute("SELECT id FROM fragrances")]
    writer, stop = connect(empty_database_url), threading.Event()
    changes = (
        f"UPDATE fragrances SET embedding = {EMBEDDING} WHERE id = %s",
        "UPDATE fragrances SET embedding = NULL, name = 'x' || %s WHERE id = %s",
        "DELETE FROM fragrances WHERE name = %s::text OR id = %s",
        "UPDATE fragrances SET id = gen_random_uuid(), rating_count = %s WHERE id = %s",
        f"INSERT INTO fragrances (name, brand, embedding) SELECT 'new', %s::text, {EMBEDDING}",
    )

    def write() -> int:
        chance, number = random.Random(1), 0
        while not stop.is_set():
            number += 1
            last = number if "INSERT" in changes[number % 5] else chance.choice(ids)
            writer.execute(changes[number % 5].encode(), [number, last])
        return number

    with ThreadPoolExecutor() as pool:
        writing = pool.submit(write)
        try:
            migrate(empty_database_url)
        finally:
            stop.set()
        written = writing.result()
    assert dump(empty_database_url) == head
    assert count(legacy, FRAGRANCE.wrong) == 0
    assert count(legacy, "SELECT count(*) FROM fragrances WHERE name = 'new'") == written // 5 + (
        written % 5 == 4
    )


@pytest.mark.reference
def test_an_application_without_rights_to_the_new_tables_goes_on_writing(
    legacy: psycopg.Connection, empty_database_url: URL, connect: Connect, migrate: Migrate
) -> None:
    role = f"shop_{legacy.info.backend_pid}"
    legacy.execute(f"CREATE ROLE {role}".encode())
    try:
        legacy.execute(f"GRANT ALL ON fragrances, users TO {role}".encode())
        migrate(empty_database_url)
        with connect(empty_database_url) as shop:
            shop.execute(f"SET ROLE {role}".encode())
            shop.execute("CREATE TEMPORARY TABLE fragrance_embeddings_multi (LIKE fragrances)")
            shop.execute("SET search_path = public, pg_temp")
            values = f"INSERT INTO fragrances (name, brand, embedding) SELECT '', '', {EMBEDDING}"
            shop.execute(values.encode(), [7])
            shop.execute("UPDATE fragrances SET embedding = NULL WHERE rating_value > 4")
            shop.execute("DELETE FROM fragrances WHERE rating_value > 4.5")
        assert count(legacy, FRAGRANCE.wrong) == 0
    finally:
        legacy.execute(f"DROP OWNED BY {role}".encode())
        legacy.execute(f"DROP ROLE {role}".encode())


def test_a_version_that_the_application_made_survives_down_and_up(
    legacy: psycopg.Connection, empty_database_url: URL, migrate: Migrate, head: str, dump: Dump
) -> None:
    migrate(empty_database_url)
    legacy.execute(
        "INSERT INTO fragrance_embedding_versions (version, model_name) VALUES (2, 'm'); "
        f"INSERT INTO fragrance_embeddings_multi SELECT id, 2, {UNIT} FROM fragrances"
    )
    rows = "SELECT count(*) FROM fragrance_embeddings_multi WHERE version = "
    migrate(empty_database_url, "base")
    assert (count(legacy, f"{rows}1"), count(legacy, f"{rows}2")) == (0, 122)
    migrate(empty_database_url)
    assert dump(empty_database_url) == head
    assert (count(legacy, f"{rows}1"), count(legacy, f"{rows}2")) == (90, 122)


@pytest.mark.reference
def test_a_version_that_is_retired_is_neither_followed_nor_filled_again(
    legacy: psycopg.Connection, empty_database_url: URL, migrate: Migrate
) -> None:
    migrate(empty_database_url, "0024")
    legacy.execute("UPDATE fragrance_embedding_versions SET is_current = false, is_retired = true")
    migrate(empty_database_url)
    legacy.execute("UPDATE fragrances SET embedding = embedding")
    assert count(legacy, "SELECT count(*) FROM fragrance_embeddings_multi") == 0


LATER = """
    INSERT INTO users (email) VALUES ('jane@example.org');
    INSERT INTO user_interaction_events (user_id, event_type, timestamp)
    SELECT id, 'view', now() + interval '2 months' FROM users LIMIT 1
"""


def test_events_of_later_months_survive_down_and_up(
    database_url: URL, connect: Connect, migrate: Migrate, head: str, dump: Dump
) -> None:
    database = connect(database_url)
    database.execute(LATER)
    events = "SELECT count(*) FROM user_interaction_events"
    migrate(database_url, "base")
    assert count(database, events) == 1
    migrate(database_url)
    assert dump(database_url) == head
    assert count(database, events) == 1


def test_the_month_of_the_upgrade_makes_no_other_difference(
    empty_database_url: URL, connect: Connect, migrate: Migrate, head: str, dump: Dump
) -> None:
    migrate(empty_database_url, "0027")
    later = Table("user_interaction_events", None, "timestamp", "1 month", 12, "2035-11-01")
    for block in (later.announce, later.validate, later.swap):
        connect(empty_database_url).execute(block(1).encode())
    migrate(empty_database_url)
    assert dump(empty_database_url) == head


RELATED = "INSERT INTO fragrance_relationships SELECT f.id, g.id, 'k', {} FROM f, g"
REFUSED = {
    "weight above 1": (RELATED.format("1.1"), CheckViolation),
    "weight below 0": (RELATED.format("-0.1"), CheckViolation),
    "weight NaN": (RELATED.format("'NaN'"), CheckViolation),
    "confidence above 1": (RELATED.format("1, 1.1"), CheckViolation),
    "related to itself": (
        "INSERT INTO fragrance_relationships SELECT f.id, f.id, 'k', 1 FROM f",
        CheckViolation,
    ),
    "no such fragrance": (
        "INSERT INTO fragrance_relationships SELECT f.id, gen_random_uuid(), 'k', 1 FROM f",
        ForeignKeyViolation,
    ),
    "no such user": (
        "INSERT INTO user_interaction_events (user_id, event_type) "
        "SELECT gen_random_uuid(), 'view' FROM f",
        ForeignKeyViolation,
    ),
    "no kind of event": (
        "INSERT INTO user_interaction_events (user_id, event_type) SELECT id, '' FROM users",
        CheckViolation,
    ),
    "two current versions": (
        "INSERT INTO fragrance_embedding_versions VALUES (3, 'm', true)",
        ExclusionViolation,
    ),
    "current and retired": (
        "UPDATE fragrance_embedding_versions SET is_retired = true",
        CheckViolation,
    ),
    "no such version": (
        f"INSERT INTO fragrance_embeddings_multi SELECT f.id, 9, {UNIT} FROM f",
        ForeignKeyViolation,
    ),
    "length zero": (
        "INSERT INTO fragrance_embeddings_multi "
        "SELECT f.id, 1, array_fill(0, ARRAY[2048])::halfvec FROM f",
        CheckViolation,
    ),
    **{
        f"{column} {value}": (
            f"UPDATE algorithm_performance SET {column} = '{value}'",
            CheckViolation,
        )
        for column in ("alpha", "beta")
        for value in ("0", "-1", "NaN", "Infinity")
    },
}


@pytest.mark.parametrize(("statement", "error"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense_is_refused(
    database_url: URL, statement: str, error: type[psycopg.Error], connect: Connect
) -> None:
    database = connect(database_url)
    database.execute(
        "INSERT INTO users (email) VALUES ('jane@example.org'); "
        "INSERT INTO fragrances (name, brand) VALUES ('f', ''), ('g', '')"
    )
    one_each = (
        "WITH f AS (SELECT id FROM fragrances WHERE name = 'f'), "
        "g AS (SELECT id FROM fragrances WHERE name = 'g') "
    )
    with pytest.raises(error):
        database.execute((one_each + statement).encode())
