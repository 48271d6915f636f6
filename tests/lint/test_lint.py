"""The command as a pipeline sees it, and what it says of the revisions of this repository."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from pgmodern.lint import lint
from tests import commands

Project = Callable[..., Path]
Upgrade = Callable[..., Path]

PGMODERN = str(Path(sys.executable).with_name("pgmodern"))
BOTH = 'op.create_index("ix", "songs", ["title"])\nop.drop_column("songs", "title")'
WARNING = 'op.drop_column("songs", "title")'


def run(ini: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return commands.run([PGMODERN, "lint", *arguments], cwd=ini.parent, **options)


def test_nothing_is_found_in_the_revisions_of_this_repository(alembic_ini: Path) -> None:
    assert lint(alembic_ini, "base:head") == []


def test_nothing_is_pending_in_a_migrated_database(
    alembic_ini: Path, migrated_database_url: URL, named: Callable[[URL], None]
) -> None:
    named(migrated_database_url)
    result = run(alembic_ini)
    assert (result.returncode, result.stdout) == (0, "Nothing found.\n")
    assert "revisions judged: none" in result.stderr


def test_what_is_pending_is_judged(
    upgrade: Upgrade, empty_database_url: URL, named: Callable[[URL], None]
) -> None:
    named(empty_database_url)
    result = run(upgrade(WARNING))
    assert result.returncode == 1
    assert "squawk:ban-drop-column" in result.stdout
    assert "revisions judged: 0001 and 0002" in result.stderr


@pytest.mark.parametrize(
    ("body", "options", "code"),
    [
        (BOTH, [], 1),
        (BOTH, ["--fail-on", "error"], 1),
        (BOTH, ["--no-squawk"], 1),
        (WARNING, [], 1),
        (WARNING, ["--fail-on", "warning"], 1),
        (WARNING, ["--fail-on", "error"], 0),
        (WARNING, ["--no-squawk"], 0),
        ('op.execute("SELECT 1")', [], 0),
        (BOTH, ["--fail-on", "note"], 2),
        (BOTH, ["--format", "xml"], 2),
        (BOTH, ["--large", "-1"], 2),
    ],
)
def test_the_exit_code_is_of_what_is_asked_for(
    upgrade: Upgrade, body: str, options: list[str], code: int
) -> None:
    result = run(upgrade(body), "base:head", *options)
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr


def test_text_shows_each_finding_from_the_working_directory(upgrade: Upgrade) -> None:
    result = run(upgrade(BOTH), "0002")
    assert result.stdout.splitlines()[0] == (
        "error    index-not-online  migrations/versions/0002.py:6"
    )
    assert "op.create_index_online" in result.stdout


@pytest.mark.parametrize("options", [["--json"], ["--format", "json"]])
def test_json_is_a_list(upgrade: Upgrade, options: list[str]) -> None:
    ini = upgrade(BOTH)
    env = ini.parent / "migrations" / "env.py"
    env.write_text(f"print('of env.py')\n{env.read_text()}")
    found = json.loads(run(ini, "0002", *options).stdout)
    assert [(each["rule"], each["line"]) for each in found] == [
        ("index-not-online", 6),
        ("squawk:ban-drop-column", 7),
    ]
    assert found[0]["path"] == str(ini.parent / "migrations" / "versions" / "0002.py")


def test_github_gets_a_line_for_each_finding(upgrade: Upgrade) -> None:
    ini = upgrade(BOTH)
    path = ini.parent / "migrations" / "versions" / "0002.py"
    first, second = run(ini, "0002", "--format", "github").stdout.splitlines()
    assert first.startswith(f"::error file={path},line=6,title=index-not-online::CREATE INDEX")
    assert second.startswith(f"::warning file={path},line=7,title=squawk%3Aban-drop-column::")
    assert "%0AALTER TABLE songs DROP COLUMN title;%0A" in second


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nope"], "nope"),
        (["0002:0001"], "does not come before"),
        (["0002", "--config", "nowhere.ini"], "nowhere.ini"),
        ([], "127.0.0.1"),
    ],
)
def test_what_cannot_be_judged_is_one_message_and_exit_code_1(
    upgrade: Upgrade, arguments: list[str], said: str
) -> None:
    result = run(upgrade(BOTH), *arguments)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_squawk_is_exit_code_1(upgrade: Upgrade, tmp_path: Path) -> None:
    ini = upgrade(WARNING)
    program = (
        "import sys; sys.executable = '/nowhere/python'; from pgmodern.cli import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, "lint", "0002"],
        cwd=ini.parent,
        env=os.environ | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert "pip install 'pgmodern[lint]'" in result.stderr
    assert "Traceback" not in result.stderr
