"""`examine` finds what is missing, invalid or different, and says the cure."""

import pytest
from sqlalchemy import URL, Engine, create_engine, text

from pgmodern.doctor import Finding, examine
from pgmodern.reference.music import Base


def bad(engine: Engine) -> dict[str, Finding]:
    with engine.connect() as connection:
        return {f.name: f for f in examine(connection, [Base.metadata]) if not f.ok}


def run(engine: Engine, *statements: str) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_a_migrated_database_is_as_it_should_be(engine: Engine) -> None:
    with engine.connect() as connection:
        findings = examine(connection, [Base.metadata])
    assert all(finding.ok for finding in findings)
    assert {f.name for f in findings if f.kind == "extension"} == {"vector", "pg_trgm", "unaccent"}
    declared = {str(i.name) for table in Base.metadata.tables.values() for i in table.indexes}
    assert {f.name for f in findings if f.kind == "index"} == declared


@pytest.mark.reference
@pytest.mark.quick
def test_an_empty_database_lacks_everything_and_is_left_as_it_is(empty_database_url: URL) -> None:
    engine = create_engine(empty_database_url)
    found = bad(engine)
    engine.dispose()
    assert found["vector"].detail == "not installed"
    assert "alembic upgrade head" in str(found["vector"].cure)
    assert "no table tracks" in found["ix_tracks_title_trgm"].detail


def test_a_missing_index_is_found(engine: Engine) -> None:
    run(engine, "DROP INDEX ix_tracks_title_trgm")
    assert list(bad(engine)) == ["ix_tracks_title_trgm"]


def test_an_invalid_index_is_found(engine: Engine) -> None:
    run(
        engine,
        "UPDATE pg_index SET indisvalid = false "
        "WHERE indexrelid = 'ix_tracks_title_trgm'::regclass",
    )
    assert "is_valid" in bad(engine)["ix_tracks_title_trgm"].detail


def test_an_index_of_another_kind_is_found(engine: Engine) -> None:
    run(
        engine,
        "DROP INDEX ix_archives_playlist_data",
        "CREATE INDEX ix_archives_playlist_data ON archives USING gin (playlist_data)",
    )
    assert "jsonb_path_ops" in bad(engine)["ix_archives_playlist_data"].detail


def test_a_dropped_extension_is_found_with_the_indexes_it_took(engine: Engine) -> None:
    run(engine, "DROP EXTENSION pg_trgm CASCADE")
    assert set(bad(engine)) == {"pg_trgm", "ix_tracks_title_trgm", "ix_artists_name_trgm"}


@pytest.mark.quick
def test_an_extension_out_of_reach_is_found(engine: Engine) -> None:
    run(engine, "CREATE SCHEMA elsewhere", "ALTER EXTENSION unaccent SET SCHEMA elsewhere")
    found = bad(engine)["unaccent"]
    assert found.detail.startswith("unusable")
    assert "search_path" in str(found.cure)
