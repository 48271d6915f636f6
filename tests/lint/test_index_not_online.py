"""An index on a table that is in use, however it is written."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

from pgmodern.lint import LARGE, lint
from pgmodern.lint.rules.index_not_online import RULE

Upgrade = Callable[..., Path]


def found(ini: Path, asked: str | None = "0002", large: int = LARGE) -> list[str]:
    judged = lint(ini, asked, large=large, squawk=False)
    assert {each.rule for each in judged} <= {RULE.name}
    return [each.message.partition(":")[0].partition(" waits")[0] for each in judged]


@pytest.mark.quick
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('op.create_index("ix", "songs", ["title"])', ["CREATE INDEX"]),
        ('op.create_index("ix", "songs", ["title"], unique=True)', ["CREATE INDEX"]),
        ('op.drop_index("ix", table_name="songs")', ["DROP INDEX ix"]),
        ('op.execute("DROP INDEX IF EXISTS a, app.b")', ["DROP INDEX a", "DROP INDEX app.b"]),
        ('op.create_unique_constraint("uq", "songs", ["title"])', ["UNIQUE"]),
        ('op.create_primary_key("pk", "songs", ["id"])', ["PRIMARY KEY"]),
        ('op.create_exclude_constraint("ex", "songs", ("id", "="), using="gist")', ["EXCLUDE"]),
        ('op.add_column("songs", sa.Column("key", sa.Text, index=True))', ["CREATE INDEX"]),
        ('op.add_column("songs", sa.Column("key", sa.Text, unique=True))', ["UNIQUE"]),
        (
            'op.execute("create unique index on only app.songs using hash (title)")',
            ["CREATE INDEX"],
        ),
        ('op.execute("SELECT 1; CREATE INDEX IF NOT EXISTS ix ON songs (id)")', ["CREATE INDEX"]),
        (
            'for each in ("songs", "Artists"):\n    op.create_index(f"ix_{each}", each, ["id"])',
            ["CREATE INDEX", "CREATE INDEX"],
        ),
        (
            'with op.batch_alter_table("songs") as batch:\n    batch.create_index("ix", ["id"])',
            ["CREATE INDEX"],
        ),
    ],
)
def test_what_builds_or_drops_an_index_is_found(
    upgrade: Upgrade, body: str, expected: list[str]
) -> None:
    assert found(upgrade(body)) == expected


@pytest.mark.parametrize(
    "body",
    [
        'op.create_table("t", sa.Column("id", sa.Text, index=True, unique=True))',
        'op.create_table("T", sa.Column("id", sa.Text))\nop.create_index("ix", "T", ["id"])',
        'op.create_table("t", sa.Column("id", sa.Text), schema="public")\n'
        'op.create_index("ix", "t", ["id"])\nop.drop_index("ix")',
        'op.execute("CREATE TABLE t (id int)")\nop.create_unique_constraint("u", "t", ["id"])',
        'op.execute("CREATE UNLOGGED TABLE t (id int); CREATE INDEX ON t (id)")',
        'op.execute("CREATE MATERIALIZED VIEW t AS SELECT 1 AS id; CREATE INDEX ON t (id)")',
        'op.adopt_table("t", "CREATE TABLE t (id int)", "CREATE INDEX ix ON t (id)")\n'
        'op.create_index("ix_2", "t", ["id"])',
        'op.execute("ALTER TABLE songs ADD CONSTRAINT u UNIQUE USING INDEX ix")',
        'op.execute("ALTER TABLE songs ADD COLUMN \\"unique\\" text")',
        "op.execute(\"ALTER TABLE songs ADD CHECK (title <> 'UNIQUE')\")",
        "op.execute(\"-- CREATE INDEX ix ON songs (id)\\nSELECT 'DROP INDEX ix'\")",
        'op.execute("DO $do$ BEGIN DROP INDEX ix; END $do$")',
        'with op.get_context().autocommit_block():\n    op.execute("DROP INDEX CONCURRENTLY ix")\n'
        '    op.create_index("ix", "songs", ["id"], postgresql_concurrently=True)',
        'op.create_index_online("ix", "songs", ["id"], unique=True)\nop.drop_index_online("ix")',
    ],
)
def test_what_stops_nobody_is_not_found(upgrade: Upgrade, body: str) -> None:
    assert found(upgrade(body)) == []


def test_the_line_is_that_of_the_call(upgrade: Upgrade) -> None:
    ini = upgrade("more()", more="def more():\n    op.create_index('ix', 'songs', ['id'])\n")
    (finding,) = lint(ini, "0002", squawk=False)
    source = finding.path.read_text().splitlines()
    assert source[finding.line - 1] == "    op.create_index('ix', 'songs', ['id'])"
    assert finding.sql == "CREATE INDEX ix ON songs (id);"


DATABASE = (
    "CREATE TABLE alembic_version (version_num text)",
    "INSERT INTO alembic_version VALUES ('0001')",
    "CREATE TABLE small AS SELECT 1 AS id",
    "CREATE TABLE large WITH (autovacuum_enabled = off) AS SELECT generate_series(1, 100) AS id",
    "CREATE INDEX ix_large ON large (id)",
    "CREATE TABLE parted (id int) PARTITION BY RANGE (id)",
    "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (60)",
    "CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (60) TO (200)",
    "INSERT INTO parted SELECT id FROM large",
    "CREATE SCHEMA app",
    "CREATE TABLE app.large AS SELECT 1 AS id",
    "CREATE TABLE app.hidden AS SELECT generate_series(1, 100) AS id",
    "CREATE TABLE unknown_in_part (id int) PARTITION BY RANGE (id)",
    "CREATE TABLE part_1 PARTITION OF unknown_in_part FOR VALUES FROM (0) TO (60)",
    "CREATE TABLE empty (id int) PARTITION BY RANGE (id)",
    "ANALYZE",
    "CREATE TABLE part_2 PARTITION OF unknown_in_part FOR VALUES FROM (60) TO (70)",
    "CREATE TABLE unknown WITH (autovacuum_enabled = off) AS SELECT 1 AS id",
)


@pytest.fixture
def database(
    empty_database_url: URL,
    connect: Callable[[URL], psycopg.Connection],
    named: Callable[[URL], None],
) -> None:
    for statement in DATABASE:
        connect(empty_database_url).execute(statement.encode())
    named(empty_database_url)


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('op.create_index("ix", "large", ["id"])', ["CREATE INDEX"]),
        ('op.create_index("ix", "large", ["id"], schema="public")', ["CREATE INDEX"]),
        ('op.create_index("ix", "large", ["id"], schema="app")', []),
        ('op.create_index("ix", "hidden", ["id"], schema="app")', ["CREATE INDEX"]),
        ('op.create_index("ix", "hidden", ["id"])', []),
        ('op.create_index("ix", "small", ["id"])', []),
        ('op.create_index("ix", "unknown", ["id"])', ["CREATE INDEX"]),
        ('op.create_index("ix", "unknown_in_part", ["id"])', ["CREATE INDEX"]),
        ('op.create_index("ix", "empty", ["id"])', []),
        ('op.create_index("ix", "parted", ["id"])', ["CREATE INDEX"]),
        ('op.create_index("ix", "parted_1", ["id"])', []),
        ('op.create_index("ix", "of_a_pending_revision", ["id"])', []),
        ('op.create_unique_constraint("uq", "large", ["id"])', ["UNIQUE"]),
        ('op.create_unique_constraint("uq", "small", ["id"])', []),
        ('op.drop_index("ix_large")', ["DROP INDEX ix_large"]),
        ('op.drop_index("ix_missing")', []),
    ],
)
def test_a_database_says_which_tables_are_large(
    upgrade: Upgrade, body: str, expected: list[str]
) -> None:
    ini = upgrade(body)
    assert found(ini, None, large=100) == expected
    if "unknown" not in body:
        assert found(ini, None, large=101) == []


@pytest.mark.quick
@pytest.mark.usefixtures("database")
def test_the_rows_are_said(upgrade: Upgrade) -> None:
    ini = upgrade('op.create_index("ix", "large", ["id"])\nop.drop_index("ix_large")')
    built, dropped = lint(ini, large=100, squawk=False)
    assert "large (about 100 rows)" in built.message
    assert "the table of ix_large (about 100 rows)" in dropped.message
