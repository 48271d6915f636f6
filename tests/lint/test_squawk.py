"""What squawk sees, and what of its findings is shown."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import URL

from pgmodern.errors import SettingsError
from pgmodern.lint import lint
from pgmodern.lint.revision import Revision, Statement
from pgmodern.lint.squawk import EXCLUDED, script

Project = Callable[..., Path]
Upgrade = Callable[..., Path]

ALEMBIC_S_OWN = """
import os
from alembic import context
from sqlalchemy import create_engine

if context.is_offline_mode():
    context.configure(url="postgresql+psycopg://", literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
    with create_engine(url).connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
    connection.engine.dispose()
"""

OPERATIONS = """
op.replace_index_online("ix_title", "songs", ["title", "album"])
op.drop_index_online("ix_title")
op.create_index_online("ix_title", "songs", ["title"], unique=True)
op.add_search_vector_online("songs", "search_vector", {"title": "A"})
op.add_check_constraint_online("ck", "songs", "seconds > 0")
op.add_foreign_key_online("fk", "songs", "artists", ["artist_id"], ["id"])
op.set_not_null_online("songs", "title")
op.drop_constraint_online("fk", "songs")
op.partition_table_online("plays", "played_at", interval="1 month", ahead=3)
op.unpartition_table_online("plays")
op.change_column_type_online("songs", "seconds", "bigint", existing_type="integer")
op.backfill_online("all", table="songs", statement="UPDATE songs SET liked = true WHERE {range}")
"""

TRANSACTIONAL = """
op.create_extension("vector", "0.8.0")
op.adopt_table("plays", "CREATE TABLE plays (id int, at timestamp, name varchar(20))")
op.create_change_notification("songs", ["id"])
op.drop_change_notification("songs")
op.add_partitions("plays")
op.drop_replaced_column("songs", "seconds")
op.release_table("artists")
op.drop_text_search_configuration("simple_unaccent")
op.drop_extension("vector")
"""


def rules(ini: Path, asked: str = "0002") -> list[str]:
    return [each.rule.removeprefix("squawk:") for each in lint(ini, asked)]


@pytest.mark.quick
@pytest.mark.parametrize("body", [OPERATIONS, TRANSACTIONAL])
def test_the_operations_of_ours_are_not_found(upgrade: Upgrade, body: str) -> None:
    assert rules(upgrade(body)) == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('op.drop_column("songs", "title")', ["ban-drop-column"]),
        ('op.drop_table("songs")', ["ban-drop-table"]),
        ('op.rename_table("songs", "tracks")', ["renaming-table"]),
        ('op.alter_column("songs", "id", new_column_name="key")', ["renaming-column"]),
        ('op.alter_column("songs", "id", nullable=False)', ["adding-not-nullable-field"]),
        ('op.alter_column("songs", "id", nullable=True)', ["ban-drop-not-null"]),
        ('op.alter_column("songs", "id", type_=sa.Text())', ["changing-column-type"]),
        (
            'op.add_column("songs", sa.Column("key", sa.Text, nullable=False))',
            ["adding-required-field"],
        ),
        ('op.create_check_constraint("ck", "songs", "id > 0")', ["constraint-missing-not-valid"]),
        (
            'op.create_foreign_key("fk", "songs", "artists", ["a"], ["id"])',
            ["adding-foreign-key-constraint"],
        ),
        ('op.create_unique_constraint("uq", "songs", ["title"])', ["index-not-online"]),
        ('op.create_primary_key("pk", "songs", ["title"])', ["index-not-online"]),
        ('op.create_index("ix", "songs", ["title"])', ["index-not-online"]),
        ('op.create_exclude_constraint("ex", "songs", ("id", "="))', ["index-not-online"]),
        ('op.add_column("songs", sa.Column("key", sa.Text, unique=True))', ["index-not-online"]),
        (
            'op.execute("ALTER TABLE songs ADD COLUMN key bigserial PRIMARY KEY")',
            ["index-not-online"],
        ),
        ('op.drop_index("ix", "songs")', ["index-not-online"]),
        ('op.drop_constraint("ck", "songs")', ["ban-drop-constraint"]),
        (
            'op.create_index("ix", "songs", ["title"], postgresql_concurrently=True)',
            ["prefer-robust-stmts", "ban-concurrent-index-creation-in-transaction"],
        ),
        (
            "with op.get_context().autocommit_block():\n"
            '    op.create_index("ix", "songs", ["title"], postgresql_concurrently=True)',
            ["prefer-robust-stmts"],
        ),
        ('op.execute("CREATE INDEX (((")', ["syntax-error"]),
        ('op.execute("ALTER TABLE songs DROP COLUMN a, DROP COLUMN b")', ["ban-drop-column"]),
        ('op.execute("-- squawk-ignore nothing, nobody\\nSELECT 1")', ["unused-ignore"] * 2),
        (
            'op.create_table("t", sa.Column("id", sa.Integer, primary_key=True), '
            'sa.Column("name", sa.String(20)), sa.Column("at", sa.DateTime))',
            [],
        ),
        ('op.execute("UPDATE songs SET liked = true")', []),
        ('op.drop_not_null_online("songs", "title")', ["ban-drop-not-null"]),
        ('op.drop_search_vector_online("songs", "search_vector")', ["ban-drop-column"]),
    ],
)
def test_each_hazard_is_found_once(upgrade: Upgrade, body: str, expected: list[str]) -> None:
    assert sorted(rules(upgrade(body))) == sorted(expected)


@pytest.mark.quick
def test_the_finding_has_the_line_the_statement_and_a_cure(upgrade: Upgrade) -> None:
    ini = upgrade(
        """
        op.execute("SELECT 1")
        op.create_foreign_key("fk", "songs", "artists", ["a"], ["id"])
        op.drop_column("songs", "title")
        """
    )
    foreign_key, dropped = lint(ini, "0002")
    assert (foreign_key.line, foreign_key.cure) == (7, "op.add_foreign_key_online")
    assert foreign_key.sql is not None
    assert foreign_key.sql.startswith("ALTER TABLE songs ADD CONSTRAINT fk")
    assert (dropped.line, dropped.severity, dropped.path.name) == (8, "warning", "0002.py")
    assert "# pgmodern: allow squawk:ban-drop-column" in dropped.cure


def test_a_table_is_new_only_in_its_own_revision(project: Project) -> None:
    body = "from alembic import op\nrevision = '0002'\ndown_revision = '0001'\n"
    body += "def upgrade(): op.drop_column('songs', 'title')\ndef downgrade(): '''None.'''\n"
    assert rules(project(body), "base:head") == ["ban-drop-column"]


def test_squawk_s_own_comment_ignores_one_statement(upgrade: Upgrade) -> None:
    ini = upgrade(
        r"""
        op.execute("-- squawk-ignore ban-drop-table\nDROP TABLE songs")
        op.execute("DROP TABLE artists")
        """
    )
    (finding,) = lint(ini, "0002")
    assert (finding.rule, finding.line) == ("squawk:ban-drop-table", 7)


def test_an_env_py_that_bounds_no_wait_is_found(
    upgrade: Upgrade, empty_database_url: URL, named: Callable[[URL], None]
) -> None:
    ini = upgrade('op.execute("ALTER TABLE songs ADD COLUMN key text")', env=ALEMBIC_S_OWN)
    named(empty_database_url)
    for asked in ("0002", None):
        (finding,) = (each for each in lint(ini, asked) if each.revision == "0002")
        assert finding.rule == "squawk:require-lock-timeout"
        assert "environment.run()" in finding.cure


def test_the_project_s_squawk_toml_counts(upgrade: Upgrade, tmp_path: Path) -> None:
    ini = upgrade(
        """
        op.drop_column("songs", "title")
        op.drop_table("songs")
        with op.get_context().autocommit_block():
            op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix")
        """
    )
    (tmp_path / ".squawk.toml").write_text(
        'excluded_rules = ["ban-drop-table"]\nassume_in_transaction = true\n'
    )
    assert rules(ini) == ["ban-drop-column"]


def test_a_revision_s_script_stands_by_itself() -> None:
    written = (
        Statement("SET lock_timeout = '1s';"),
        Statement("BEGIN;"),
        Statement("CREATE TABLE alembic_version ();"),
        Statement("SELECT 1;", 7),
        Statement("COMMIT;", 8),
        Statement("SELECT 2;", 8),
        Statement("BEGIN;", 8),
        Statement("UPDATE alembic_version SET version_num = '2';"),
        Statement("COMMIT;"),
    )
    source = "# pgmodern: allow squawk:ban-drop-table, two-heads, squawk:renaming-table\n"
    assert [each.sql for each in script(Revision("2", Path("2.py"), source, script=written))] == [
        "-- squawk-ignore-file ban-drop-table, renaming-table",
        "SET lock_timeout = '1s';",
        "BEGIN;",
        "SELECT 1;",
        "COMMIT;",
        "SELECT 2;",
        "BEGIN;",
        "COMMIT;",
    ]


def test_the_excluded_rules_are_rules_of_squawk_s(upgrade: Upgrade) -> None:
    """A name that squawk does not know would be an error of the comment."""
    names = ", ".join(f"squawk:{name}" for name in EXCLUDED)
    assert rules(upgrade('op.execute("SELECT 1")', more=f"# pgmodern: allow {names}")) == []


def test_without_squawk_the_cure_says_what_to_install(
    upgrade: Upgrade, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ini = upgrade('op.drop_table("songs")')
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="squawk is not installed") as raised:
        lint(ini, "0002")
    assert "pgmodern[lint]" in raised.value.cure
    assert lint(ini, "0002", squawk=False) == []


@pytest.mark.quick
def test_a_squawk_that_does_not_answer_is_an_error(
    upgrade: Upgrade, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ini = upgrade('op.drop_table("songs")')
    old = tmp_path / "squawk"
    old.write_text("#!/bin/sh\necho 'unexpected argument' >&2\nexit 2\n")
    old.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(SettingsError, match="unexpected argument"):
        lint(ini, "0002")
