"""Advice on real tables: what is read, what is locked, what is not known."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from psycopg.errors import ReadOnlySqlTransaction
from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError

from pgmodern.doctor import partitioning
from pgmodern.doctor.partitioning import partition_advice
from pgmodern.errors import MigrationError
from tests.conftest import LEGACY
from tests.doctor.partitioning.conftest import FLUSH

Advised = Callable[[Any], Any]


def test_a_table_that_is_asked_by_time_is_divided_by_it(plays: Any, advised: Advised) -> None:
    advice = advised(plays).of("plays")
    assert (advice.verdict, advice.column, advice.interval) == ("yes", "at", "1 week")
    assert advice.rows == 100_000
    assert (
        advice.bytes
        == plays.database.execute("SELECT pg_total_relation_size('plays')").fetchone()[0]
    )
    assert "83 % of its reads (scans of 0 h" in advice.reason
    assert advice.obstacles == ()
    assert abs(advice.partitions_a_year - 52) < 1


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("timestamp", "now()::timestamp - {} * interval '30 min'"),
        ("date", "current_date - {} / 1000"),
        ("date", "current_date - {}"),
    ],
)
def test_times_of_every_type_are_read(
    patient: Any, advised: Advised, kind: str, value: str
) -> None:
    patient.execute(
        f"CREATE TABLE plays (at {kind} NOT NULL, song text); CREATE INDEX ON plays (at)",
        f"INSERT INTO plays SELECT {value.format('i')}, md5(i::text) "
        "FROM generate_series(30000, 1, -1) AS i",
        "ANALYZE plays",
        *["SELECT count(*) FROM plays WHERE at = now()"] * 5,
        FLUSH,
        "SELECT 1",
    )
    advice = advised(patient).of("plays")
    assert (advice.verdict, advice.column) == ("yes", "at"), advice.reason


def test_a_key_without_the_column_and_what_points_at_the_table_stand_in_the_way(
    plays: Any, advised: Advised
) -> None:
    plays.execute(
        "ALTER TABLE plays ADD UNIQUE (id)",
        "CREATE TABLE likes (play bigint REFERENCES plays (id))",
        "CREATE VIEW recent AS SELECT id FROM plays",
        "ALTER TABLE plays REPLICA IDENTITY FULL",
    )
    advice = advised(plays).of("plays")
    assert (advice.verdict, advice.column, advice.upgrade) == ("blocked", "at", None)
    causes = [each.cause for each in advice.obstacles]
    assert causes[0] == "the unique index plays_id_key does not contain the column at"
    assert "constraint likes_play_fkey on table likes" in causes[1]
    assert "view recent" in causes[1]
    assert causes[2] == "its replica identity is not the default"
    assert all(each.cure for each in advice.obstacles)


def test_archives_of_a_small_volume_get_a_reasoned_no(patient: Any, advised: Advised) -> None:
    path = LEGACY / "music.sql"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    patient.execute(
        path.read_text(),
        "INSERT INTO archives (user_id, name, playlist_data, created_at) SELECT gen_random_uuid(), "
        "'a', '[]', now() - (1000 - i) * interval '1 day' FROM generate_series(1, 1000) AS i",
        "ANALYZE archives",
    )
    advice = advised(patient).of("archives", memory=None)
    assert (advice.verdict, advice.column, advice.upgrade) == ("no", "created_at", None)
    memory = r"the memory of [\d,]+ MB \(effective_cache_size(, by default)?\); it grows"
    assert re.search(memory, advice.reason)
    (obstacle,) = advice.obstacles
    assert "archives_pkey does not contain the column created_at" in obstacle.cause


def test_all_tables_are_looked_at_and_those_that_pay_come_first(
    plays: Any, advised: Advised
) -> None:
    plays.execute(
        "CREATE TABLE songs (id int)",
        "CREATE TABLE logs (at date) PARTITION BY RANGE (at)",
        "CREATE TABLE logs_1 PARTITION OF logs DEFAULT",
        "CREATE MATERIALIZED VIEW seen AS SELECT 1",
        "CREATE SCHEMA app; CREATE TABLE app.songs (id int)",
    )
    found = [(each.schema, each.table, each.verdict) for each in advised(plays).all()]
    assert found == [("public", "plays", "yes"), ("app", "songs", "no"), ("public", "songs", "no")]
    assert advised(plays).of("logs").reason == "it is partitioned already"


def test_a_table_outside_the_search_path_is_named_with_its_schema(
    plays: Any, advised: Advised
) -> None:
    plays.execute("CREATE SCHEMA app; ALTER TABLE plays SET SCHEMA app; CREATE TABLE plays ()")
    assert advised(plays).of("plays").verdict == "no"
    assert advised(plays).of("app.plays").upgrade == (
        "op.partition_table_online('plays', 'at', interval='1 week', ahead=3, schema='app')"
    )


def test_a_table_that_is_not_there_is_an_error(patient: Any, advised: Advised) -> None:
    with pytest.raises(MigrationError, match="There is no table nothing"):
        advised(patient).of("nothing")


def test_a_table_never_analyzed_is_not_known(patient: Any, advised: Advised) -> None:
    patient.execute(
        "CREATE TABLE plays (at timestamptz) WITH (autovacuum_enabled = off)",
        "INSERT INTO plays SELECT now() FROM generate_series(1, 50000)",
    )
    advice = advised(patient).of("plays")
    assert (advice.verdict, "ANALYZE the table" in advice.reason) == ("not known", True)


def test_its_owner_needs_no_superuser_and_a_stranger_is_told(
    plays: Any, stranger: Any, advised: Advised
) -> None:
    assert advised(stranger).of("plays").verdict == "not known"
    plays.execute(f"ALTER TABLE plays OWNER TO {stranger.database.info.user}")
    assert advised(stranger).of("plays") == advised(plays).of("plays")


@pytest.mark.quick
def test_a_table_that_stays_locked_is_not_known_and_the_others_are(
    plays: Any, advised: Advised, connect: Any
) -> None:
    plays.execute("CREATE TABLE songs (id int)")
    other = connect(plays.engine.url)
    with other.transaction():
        other.execute("LOCK songs")
        found = {each.table: (each.verdict, each.reason) for each in advised(plays).all()}
    assert found["songs"] == ("not known", "canceling statement due to lock timeout")
    assert found["plays"][0] == "yes"


@pytest.mark.quick
def test_nothing_can_be_written(plays: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write = text("CREATE TABLE written ()")
    monkeypatch.setattr(
        partitioning.statements, "called", lambda connection: connection.execute(write)
    )
    with plays.engine.connect() as connection:
        with pytest.raises(DBAPIError) as raised:
            partition_advice(connection)
        assert isinstance(raised.value.orig, ReadOnlySqlTransaction)


def test_a_migrated_database_s_tables_fit_into_memory(
    migrated_database_url: URL, examined: Callable[[URL], Any], advised: Advised
) -> None:
    said = {each.table: each.verdict for each in advised(examined(migrated_database_url)).all(None)}
    assert said["archives"] == "no"
    assert set(said.values()) == {"no"}
