"""`make demo` works on no database that somebody works with, unless it is told to."""

from pathlib import Path

import pytest
from sqlalchemy import URL

from pgmodern.errors import SettingsError
from pgmodern.settings import parse_url
from tools import demo

DEMO = {"DEMO_URL": "postgres://ann:geheim@h/demo"}
MINE = {"DATABASE_URL": "postgresql://ann:geheim@prod/shop"}
EMBEDDED = parse_url("postgresql://embedded/")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where an embedded server was started; none really is."""
    homes: list[Path] = []

    def start(home: Path) -> URL:
        homes.append(home)
        return EMBEDDED

    monkeypatch.setattr("pgmodern.embedded.start", start)
    return homes


@pytest.mark.parametrize(
    ("environ", "dotenv"),
    [
        (MINE, ""),
        ({"DATABASE_URL": "mysql://ann:geheim@prod/shop"}, ""),
        ({"POSTGRES_HOST": "prod", "POSTGRES_PASSWORD": "geheim"}, ""),
        ({}, "DATABASE_URL=postgresql://ann:geheim@prod/shop"),
    ],
)
def test_a_database_that_is_named_is_left_alone_and_it_says_so(
    environ: dict[str, str],
    dotenv: str,
    started: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / ".env").write_text(dotenv)
    assert demo.database(environ, tmp_path) == EMBEDDED
    assert started == [tmp_path / ".pgmodern"]
    said = capsys.readouterr().out
    assert "geheim" not in said
    assert all(each in said for each in ("DATABASE_URL", "embedded", "DEMO_URL"))


def test_where_none_is_named_it_says_nothing(
    started: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.database({"PGMODERN_HOME": "/other"}, tmp_path) == EMBEDDED
    assert started == [Path("/other")]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("environ", [DEMO, DEMO | MINE])
def test_what_the_demo_is_told_it_takes(
    environ: dict[str, str], started: list[Path], tmp_path: Path
) -> None:
    assert demo.database(environ, tmp_path) == parse_url(DEMO["DEMO_URL"])
    assert started == []


def test_a_url_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        demo.database({"DEMO_URL": "mysql://ann:geheim@h/demo"}, tmp_path)
