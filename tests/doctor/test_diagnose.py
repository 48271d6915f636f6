"""A diagnosis as a whole: what it may do, whom it waits for, and what it says of real schemas."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from psycopg.errors import ReadOnlySqlTransaction
from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import DBAPIError

from pgmodern import doctor
from pgmodern.doctor import Diagnosis, Kind, diagnose
from pgmodern.doctor.diagnosis import DAYS
from tests.conftest import LEGACY

# One fault of each kind; what the planner and the counters know comes last.
ILL = (
    "CREATE EXTENSION pg_trgm VERSION '1.5'",
    "CREATE EXTENSION pgstattuple",
    "CREATE TABLE artists (id int PRIMARY KEY)",
    "CREATE TABLE songs (id int PRIMARY KEY, artist int, year int, title text, tags jsonb) "
    "WITH (autovacuum_enabled = off)",
    "CREATE INDEX copy ON songs (id)",
    "CREATE INDEX one ON songs (title)",
    "CREATE INDEX two ON songs (title)",
    "CREATE INDEX wide ON songs (year, title)",
    "CREATE INDEX narrow ON songs (year)",
    "CREATE INDEX unused ON songs (tags)",
    "CREATE INDEX gin ON songs USING gin (tags)",
    "CREATE INDEX broken ON songs (lower(title))",
    "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass",
    "ALTER TABLE songs ADD CONSTRAINT fk FOREIGN KEY (artist) REFERENCES artists NOT VALID",
    "INSERT INTO songs SELECT i, NULL, i, md5(i::text), jsonb_build_object('a', md5(i::text)) "
    "FROM generate_series(1, 20000) AS i",
    "CREATE INDEX by_id_and_title ON songs (id, title)",
    "CREATE EXTENSION IF NOT EXISTS vector",
    "ALTER TABLE songs ADD embedding vector(3)",
    "CREATE INDEX near ON songs USING hnsw (embedding vector_l2_ops)",
    "CREATE INDEX rival ON songs USING ivfflat (embedding vector_l2_ops) WITH (lists = 1)",
    "VACUUM (INDEX_CLEANUP OFF) songs",
    "SELECT pg_stat_force_next_flush()",
    "SELECT 1",
)


@pytest.mark.reference
def test_every_kind_at_once_is_found_by_a_stranger_and_cured(patient: Any, stranger: Any) -> None:
    patient.execute(*ILL)
    kinds = {each["kind"] for each in patient.findings()}
    assert kinds == set(Kind)
    seen = {each["kind"] for each in stranger.findings() if each["severity"] != "note"}
    assert seen == kinds - {"pending-list", "unanalyzed-table"}  # not his to read
    for _ in range(3):  # an index is only known to be unused when it is alone
        for each in patient.findings():
            patient.cure(each)
    assert patient.findings() == []


@pytest.mark.reference
@pytest.mark.quick
def test_the_worst_comes_first_and_only_what_is_asked_for(patient: Any) -> None:
    patient.execute(*ILL)
    assert patient.findings()[0]["kind"] == "invalid-index"
    asked = [Kind.OUTDATED_EXTENSION, Kind.COVERED_INDEX]
    assert [each["kind"] for each in patient.findings(*asked)] == asked[::-1]


def test_whoever_holds_the_tables_is_not_waited_for(patient: Any, connect: Any) -> None:
    patient.execute(*ILL[:12], "CREATE INDEX ON songs (lower(title)) WHERE year > 0")
    before = patient.findings()
    other = connect(patient.engine.url)
    with other.transaction():
        other.execute("LOCK artists, songs")
        during = patient.findings()
    without = [each for each in before if each["kind"] != "pending-list"]
    assert [each for each in during if each["kind"] != "pending-list"] == without


@pytest.mark.reference
def test_what_is_locked_is_a_note_and_the_other_checks_go_on(patient: Any, connect: Any) -> None:
    patient.execute(*ILL)
    other = connect(patient.engine.url)
    with other.transaction():
        other.execute("REINDEX INDEX gin")
        found = patient.findings()
    (note,) = (each for each in found if each["severity"] == "note")
    assert note["kind"] == "pending-list"
    assert note["detail"] == "not known: canceling statement due to lock timeout"
    assert {each["kind"] for each in found} == set(Kind)


@pytest.mark.quick
def test_nothing_can_be_written_and_no_setting_is_left(
    patient: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(connection: Connection) -> Iterator[Diagnosis]:
        connection.execute(text("CREATE TABLE written ()"))
        yield from ()

    monkeypatch.setattr(doctor.invalid_indexes, "check", write)
    with patient.engine.connect() as connection:
        with pytest.raises(DBAPIError) as raised:
            diagnose(connection)
        assert isinstance(raised.value.orig, ReadOnlySqlTransaction)
        query = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"
        assert connection.execute(text(query)).one() == ("0", "0")


@pytest.mark.quick
@pytest.mark.parametrize("asked", [Kind.DUPLICATE_INDEX, Kind.COVERED_INDEX])
def test_a_check_that_took_too_long_is_a_note_of_the_kind_that_was_asked_for(
    patient: Any, monkeypatch: pytest.MonkeyPatch, asked: Kind
) -> None:
    def wait(connection: Connection) -> Iterator[Diagnosis]:
        connection.execute(text("SET LOCAL statement_timeout = 1"))
        connection.execute(text("SELECT pg_sleep(60)"))
        yield from ()

    monkeypatch.setattr(doctor.redundant_indexes, "check", wait)
    (note,) = patient.findings(asked)
    assert (note["kind"], note["severity"]) == (asked, "note")
    assert note["detail"] == "not known: canceling statement due to statement timeout"


def test_an_error_that_nobody_foresaw_is_one(patient: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(connection: Connection) -> Iterator[Diagnosis]:
        connection.execute(text("SELECT 1 / 0"))
        yield from ()

    monkeypatch.setattr(doctor.invalid_indexes, "check", fail)
    with pytest.raises(DBAPIError, match="division by zero"):
        patient.findings()


ODD = 'it\'s "odd": %s {x} :y'


def test_names_of_every_kind_are_quoted(patient: Any) -> None:
    odd = '"' + ODD.replace('"', '""') + '"'
    patient.execute(
        f"CREATE SCHEMA {odd}",
        f"SET search_path = {odd}",
        f"CREATE TABLE {odd} ({odd} int PRIMARY KEY, other int REFERENCES {odd} ({odd}), t jsonb)",
        f"CREATE INDEX a ON {odd} ({odd})",
        f'CREATE INDEX {odd[:-1]}2" ON {odd} ({odd})',
        f"ALTER TABLE {odd} ADD CONSTRAINT {odd} CHECK ({odd} > 0) NOT VALID",
        "SET search_path = public",
        "CREATE EXTENSION pgstattuple",
        f'CREATE INDEX {odd[:-1]}3" ON {odd}.{odd} USING gin (t)',
        f"INSERT INTO {odd}.{odd} SELECT i, NULL, jsonb_build_object(i, md5(i::text)) "
        "FROM generate_series(1, 20000) AS i",
        "SELECT pg_stat_force_next_flush()",
        "SELECT 1",
    )
    found = patient.findings()
    assert len(found) == 6
    assert {each["schema"] for each in found} == {ODD}
    for each in found:
        patient.cure(each)
    assert patient.names(*(Kind(each["kind"]) for each in found)) == []


def test_one_outside_the_search_path_is_named_with_its_schema(patient: Any) -> None:
    patient.execute(
        "CREATE SCHEMA app",
        "CREATE TABLE app.songs (id int PRIMARY KEY)",
        "CREATE INDEX ix ON app.songs (id)",
        "CREATE TABLE songs (id int)",
        "CREATE INDEX ix ON songs (id)",
    )
    (found,) = patient.findings()
    assert found["cure"] == "op.drop_index_online('ix', schema='app')"
    patient.cure(found)
    assert patient.findings() == []
    assert patient.database.execute("SELECT to_regclass('public.ix')::text").fetchone() == ("ix",)


def test_what_is_not_the_application_s_is_left_alone(patient: Any) -> None:
    patient.execute(
        "CREATE EXTENSION pg_trgm",
        "CREATE TABLE member (id int PRIMARY KEY)",
        "CREATE INDEX ON member (id)",
        "ALTER EXTENSION pg_trgm ADD TABLE member",
        "CREATE TEMPORARY TABLE passing (id int PRIMARY KEY)",
        "CREATE INDEX ON passing (id)",
    )
    assert patient.findings() == []


def test_a_migrated_database_has_no_fault(
    database_url: URL, examined: Callable[[URL], Any]
) -> None:
    assert examined(database_url).findings(days=DAYS) == []


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        (
            "chat",
            [
                ("duplicate-index", "idx_messages_conv_created"),
                ("unindexed-foreign-key", "conversations_influencer_id_fkey"),
            ],
        ),
        (
            "audio",
            [
                ("key-copy", "ix_sample_embeddings_id"),
                ("key-copy", "idx_sample_embeddings_sample_id"),
            ],
        ),
        ("music", []),
        pytest.param("fragrance", [], marks=pytest.mark.reference),
    ],
)
def test_what_the_legacy_schemas_are_known_to_lack_is_found_and_cured(
    patient: Any, schema: str, wanted: list[tuple[str, str]]
) -> None:
    path = LEGACY / f"{schema}.sql"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    patient.execute(path.read_text())
    found = patient.findings()
    assert [(each["kind"], each["name"]) for each in found] == wanted
    for each in found:
        patient.cure(each)
    assert patient.findings() == []
