"""Which revisions a range is of, and which a database lacks."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

from pgmodern.errors import DatabaseUnavailable, MigrationError, SettingsError
from pgmodern.lint import lint
from pgmodern.lint.history import History
from pgmodern.lint.revision import Revision
from pgmodern.lint.script import with_script

Project = Callable[..., Path]

REVISION = """
revision = {revision!r}
down_revision = {follows!r}
depends_on = {needs!r}
branch_labels = {labels!r}
def upgrade(): pass
"""


def revision(
    revision: str,
    follows: str | tuple[str, ...] | None,
    *,
    needs: str | None = None,
    labels: str | None = None,
) -> str:
    return REVISION.format(revision=revision, follows=follows, needs=needs, labels=labels)


@pytest.fixture
def ini(project: Project) -> Path:
    """0001 - 0002 - 0003, of which 0003 merges a branch: 0001 - side."""
    return project(
        revision("0002", "0001"),
        revision("side", "0001"),
        revision("0003", ("0002", "side")),
        revision("other", None, needs="0002", labels="billing"),
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("0001:0002", {"0002"}),
        ("base:0002", {"0001", "0002"}),
        (":0002", {"0001", "0002"}),
        ("0002:0003", {"side", "0003"}),
        ("side:0003", {"0002", "0003"}),
        ("0001:0003", {"0002", "side", "0003"}),
        ("base:heads", {"0001", "0002", "side", "0003", "other"}),
        ("0003:", {"other"}),
        ("0003:heads", {"other"}),
        ("0001:billing@head", {"0002", "other"}),
        ("0002-1:0002", {"0002"}),
        ("0002:0002", set()),
        ("0002", {"0002"}),
        ("sid", {"side"}),
        ("heads", {"0003", "other"}),
        ("head", {"0003", "other"}),
        ("0003:head", {"other"}),
        ("billing@head", {"other"}),
        ("base", set()),
    ],
)
def test_a_range_is_what_a_database_at_its_start_lacks(
    ini: Path, asked: str, expected: set[str]
) -> None:
    found = [script.revision for script in History(ini).asked(asked)]
    assert set(found) == expected
    assert len(found) == len(expected)
    for before, after in (("0001", "0002"), ("0002", "0003"), ("side", "0003"), ("0002", "other")):
        if {before, after} <= expected:
            assert found.index(before) < found.index(after)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("nope", "nope"),
        ("0001:nope", "nope"),
        ("nope:0001", "nope"),
        ("0003:0001", "does not come before"),
        ("0002:side", "does not come before"),
        ("head:", "Multiple head"),
        ("0", "0"),
        ("0001:0002:0003", "0002:0003"),
        ("0001:+1", "no range"),
        ("-1", "no range"),
        ("", "no range"),
    ],
)
def test_what_is_no_range_is_an_error_with_its_cure(ini: Path, asked: str, said: str) -> None:
    with pytest.raises(MigrationError) as raised:
        History(ini).asked(asked)
    assert said in raised.value.cause
    assert "START:END" in raised.value.cure


@pytest.mark.parametrize("script", ["merge", "depends"])
def test_revisions_with_several_parents_are_written(project: Project, script: str) -> None:
    work = "    from alembic import op\n    op.execute('DROP TABLE x')\n"
    sources = {
        "merge": [revision("a", "0001"), revision("b", "0001"), revision("c", ("a", "b"))],
        "depends": [revision("a", "0001"), revision("c", None, needs="a", labels="billing")],
    }[script]
    ini = project(*sources[:-1], sources[-1].replace("upgrade(): pass", f"upgrade():\n{work}"))
    found = lint(ini, "c")
    assert [each.rule for each in found] == ["missing-downgrade", "squawk:ban-drop-table"]


@pytest.fixture
def at(
    empty_database_url: URL,
    connect: Callable[[URL], psycopg.Connection],
    named: Callable[[URL], None],
) -> Callable[..., None]:
    """Name a database that has these heads."""

    def write(*heads: str) -> None:
        database = connect(empty_database_url)
        if heads:
            database.execute("CREATE TABLE alembic_version (version_num text)")
        for head in heads:
            database.execute("INSERT INTO alembic_version VALUES (%s)", [head])
        named(empty_database_url)

    return write


@pytest.mark.parametrize(
    ("heads", "expected"),
    [
        ((), ["0001", "0002", "side", "0003", "other"]),
        (("0002",), ["side", "0003", "other"]),
        (("0002", "side"), ["0003", "other"]),
        (("other",), ["side", "0003"]),
        (("0003", "other"), []),
    ],
)
def test_pending_is_what_the_database_lacks(
    ini: Path, at: Callable[..., None], heads: tuple[str, ...], expected: list[str]
) -> None:
    at(*heads)
    assert sorted(script.revision for script in History(ini).pending()[0]) == sorted(expected)


@pytest.mark.quick
def test_the_database_is_only_read(
    ini: Path,
    at: Callable[..., None],
    empty_database_url: URL,
    connect: Callable[[URL], psycopg.Connection],
) -> None:
    at()
    lint(ini)
    tables = connect(empty_database_url).execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    )
    assert tables.fetchall() == []


def test_a_database_that_is_elsewhere_is_an_error(ini: Path, at: Callable[..., None]) -> None:
    at("of another project")
    with pytest.raises(MigrationError, match="of another project"):
        lint(ini)


def test_a_database_that_cannot_be_reached_is_an_error(ini: Path) -> None:
    with pytest.raises(DatabaseUnavailable):
        lint(ini)


def test_no_configuration_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.ini"):
        lint(tmp_path / "nowhere.ini", "base:head")


@pytest.mark.quick
@pytest.mark.parametrize(
    ("source", "said"),
    [("import nowhere", "No module named 'nowhere'"), ("def", "invalid syntax"), ("x = 1", "x.py")],
)
def test_a_file_that_python_or_alembic_cannot_read_is_an_error(
    ini: Path, source: str, said: str
) -> None:
    (ini.parent / "migrations" / "versions" / "x.py").write_text(source)
    with pytest.raises(MigrationError, match=said) as raised:
        lint(ini, "base:heads")
    assert "x.py" in raised.value.cause


@pytest.mark.quick
def test_a_configuration_that_is_none_is_an_error(tmp_path: Path) -> None:
    ini = tmp_path / "alembic.ini"
    ini.write_text("nothing")
    with pytest.raises(MigrationError, match="no section headers"):
        lint(ini, "base:head")


def test_a_relative_script_location_is_found(
    ini: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ini.write_text("[alembic]\nscript_location = migrations\n")
    monkeypatch.chdir(tmp_path)
    history = History(Path("alembic.ini"))
    (script,) = history.asked("0001")
    revision = with_script(Revision("0001", Path(script.path), ""), history, script)
    assert [each.line for each in revision.statements] == [11]
