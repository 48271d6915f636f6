"""What a revision writes, and what only Alembic and env.py do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pgmodern.errors import MigrationError
from pgmodern.lint import lint
from pgmodern.lint.history import History
from pgmodern.lint.revision import Revision
from pgmodern.lint.script import with_script

Project = Callable[..., Path]
Upgrade = Callable[..., Path]

PRINTS = "print('of env.py')\nfrom sqlalchemy import MetaData\nfrom pgmodern import environment\n"


def written(ini: Path, asked: str = "0002") -> Revision:
    history = History(ini)
    (script,) = history.asked(asked)
    return with_script(Revision(script.revision, Path(script.path), ""), history, script)


def test_statements_have_the_lines_that_wrote_them(upgrade: Upgrade) -> None:
    ini = upgrade(
        """
        op.execute("SELECT 1")
        for table in ("a", "b"):
            drop(table)
        op.adopt_table("plays", "CREATE TABLE plays (id int)", "CREATE INDEX ix ON plays (id)")
        """,
        more="def drop(table):\n    op.drop_table(table)\n",
    )
    for revision in (written(ini), written(ini)):
        assert [(each.sql, each.line) for each in revision.statements[:3]] == [
            ("SELECT 1;", 6),
            ("DROP TABLE a;", 13),
            ("DROP TABLE b;", 13),
        ]
        assert {each.line for each in revision.statements[3:]} == {9}


def test_what_alembic_writes_is_nobody_s(project: Project) -> None:
    revision = written(project(), "0001")
    assert [each.sql.split()[0] for each in revision.statements] == ["CREATE"]
    others = [each.sql for each in revision.script if each.line is None]
    assert any("CREATE TABLE alembic_version" in sql for sql in others)
    assert any(sql.startswith("SET lock_timeout") for sql in others)


def test_what_an_operation_of_ours_writes_is_known(upgrade: Upgrade) -> None:
    ini = upgrade('op.create_index_online("ix", "songs", ["id"])')
    assert all(each.proved for each in written(ini).statements if each.sql != "BEGIN;")
    ini = upgrade('op.create_index("ix", "songs", ["id"])\nop.execute("SELECT 1")')
    assert not any(each.proved for each in written(ini).statements)


def test_a_statement_is_shown_on_one_line(upgrade: Upgrade) -> None:
    ini = upgrade(f'op.execute("SELECT\\n   {"1" * 300}")')
    (statement,) = written(ini).statements
    assert statement.shortened().startswith("SELECT 1111")
    assert statement.shortened().endswith("1…")
    assert len(statement.shortened()) == 160


def test_a_revision_that_fails_is_said_and_the_others_are_judged(project: Project) -> None:
    head = "from alembic import op\nrevision = {!r}\ndown_revision = {!r}\ndef upgrade():\n    "
    more = "\ndef downgrade(): '''Nothing.'''\n"
    ini = project(
        head.format("0002", "0001") + "op.get_bind().exec_driver_sql('SELECT 1').scalar()" + more,
        head.format("0003", "0002") + "op.drop_table('songs')" + more,
    )
    found = lint(ini, "0001:head")
    assert [(each.revision, each.rule) for each in found] == [
        ("0002", "not-offline"),
        ("0003", "squawk:ban-drop-table"),
    ]
    assert "AttributeError" in found[0].message


@pytest.mark.quick
def test_an_operation_s_own_refusal_is_said_in_its_words(upgrade: Upgrade) -> None:
    ini = upgrade('op.backfill_online("all", table="songs", statement="UPDATE songs SET id = id")')
    reason = "MigrationError: The statement of backfill 'all' has no {range}."
    assert written(ini).unwritten == reason


@pytest.mark.quick
@pytest.mark.parametrize("env", ["raise RuntimeError('of env.py')", "1 / 0"])
def test_an_env_py_that_fails_is_an_error(project: Project, env: str) -> None:
    with pytest.raises(MigrationError, match=r"0001: \w+: (of env|division)"):
        lint(project(env=env), "0001")


def test_what_env_py_prints_is_not_in_the_output(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    lint(project(env=f"{PRINTS}environment.run(MetaData())\n"), "0001")
    assert capsys.readouterr().out == ""
