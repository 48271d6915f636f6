"""`alembic` as a deploy pipeline runs it: each failure is one message, and nothing half done."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

from pgmodern.engine import MINIMUM_SERVER, require_server
from pgmodern.errors import (
    DatabaseUnavailable,
    ExtensionError,
    ServerTooOld,
    SettingsError,
)
from tests.environment.outcome import SECRET, assert_one_message, tables

Completed = subprocess.CompletedProcess[str]
Alembic = Callable[..., Completed]
Connect = Callable[[URL], psycopg.Connection]


HISTORY = list(ScriptDirectory(str(Path(__file__).parents[2] / "alembic")).walk_revisions())
HEAD, BEFORE = HISTORY[0].revision, str(HISTORY[0].down_revision)


@pytest.fixture
def upgrade(
    alembic_ini: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[str], None]:
    """Upgrade the database that a URL in the environment names, as a program does."""
    for name in os.environ.keys() - environ.keys():
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(url: str) -> None:
        monkeypatch.setenv("DATABASE_URL", url)
        command.upgrade(Config(alembic_ini), "head")

    return run


@pytest.mark.quick
@pytest.mark.parametrize(
    ("url", "cause"),
    [
        (f"mysql://user:{SECRET}@localhost/db", "not one of PostgreSQL"),
        (f"sqlite:///{SECRET}.db", "not one of PostgreSQL"),
        (f"user:{SECRET}@localhost", "no URL"),
        ("localhost", "no URL"),
        (f"postgresql://user:{SECRET}@localhost:port/db", "no URL"),
        (f"postgresql://user:{SECRET}", "no URL"),
        (f"postgresql://user:{SECRET}@[::1/db", "no URL"),
        (f"postgresql+asyncpg://user:{SECRET}@127.0.0.1:99999/db", "port"),
        (f"postgresql://user:part@{SECRET}@localhost/db", "host"),
    ],
)
def test_a_wrong_url_is_refused(upgrade: Callable[[str], None], url: str, cause: str) -> None:
    with pytest.raises(SettingsError, match=cause) as caught:
        upgrade(url)
    assert "Write it as postgresql://user:password@host:5432/database" in caught.value.cure
    assert "horse" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        (f"postgresql://user:{SECRET}@127.0.0.1:1/db", "refused"),
        (f"postgresql://user@127.0.0.1:1/db?password={SECRET}", "refused"),
        (f"postgresql:///db?host=127.0.0.1&port=1&user=me&password={SECRET}", "refused"),
        (f"postgresql://user:{SECRET}@127.0.0.1:1/db?sslpassword={SECRET}", "refused"),
        (f"postgres://user:{SECRET}@/db?host=/nowhere", "No such file"),
        (f"postgresql://user:{SECRET}@no-such-host.invalid/db", "no-such-host"),
        (f"postgresql://user:{SECRET}@{'a' * 70}.example/db", "No connection"),
        (f"postgresql://user:{SECRET}@.example/db", "No connection"),
        (f"postgresql://user:{SECRET}@127.0.0.1:1/db?nonsense=1", "nonsense"),
        (f"postgresql://user:{SECRET}@127.0.0.1:1/db?sslmode=bogus", "sslmode"),
        (f"postgresql://user:{SECRET}@/db?service=nothing-such", "nothing-such"),
    ],
)
def test_an_unreachable_server_is_named_without_the_password(
    upgrade: Callable[[str], None], url: str, cause: str
) -> None:
    with pytest.raises(DatabaseUnavailable, match=cause) as caught:
        upgrade(url)
    assert "Check DATABASE_URL" in caught.value.cure
    assert "horse" not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "cause", "cure"),
    [
        (
            {"DATABASE_URL": f"mysql://user:{SECRET}@localhost/db"},
            "not one of PostgreSQL",
            "Write it as",
        ),
        ({"DATABASE_URL": f"user:{SECRET}@localhost"}, "no URL", "Write it as"),
        (
            {"DATABASE_URL": f"postgresql://user:{SECRET}@127.0.0.1:1/db"},
            "refused",
            "Check DATABASE_URL",
        ),
        (
            {
                "POSTGRES_HOST": "127.0.0.1",
                "POSTGRES_PORT": "1",
                "POSTGRES_PASSWORD": SECRET,
            },
            "refused",
            "Check DATABASE_URL",
        ),
        (
            {"POSTGRES_PORT": "first", "POSTGRES_PASSWORD": SECRET},
            "POSTGRES_PORT",
            "number",
        ),
    ],
)
def test_a_pipeline_gets_one_message(
    alembic: Alembic, variables: dict[str, str], cause: str, cure: str
) -> None:
    assert_one_message(alembic("upgrade", "head", **variables), cause, cure)


@pytest.fixture
def application(guarded_server: URL, connect: Connect) -> Iterator[URL]:
    """A database owned by a role that must give a password and may not create extensions."""
    admin = connect(guarded_server)
    admin.execute(f"CREATE ROLE application LOGIN PASSWORD '{SECRET}'".encode())
    admin.execute("CREATE DATABASE application")
    url = guarded_server.set(username="application", password=SECRET, database="application")
    try:
        with connect(guarded_server.set(database="application")) as own:
            own.execute("GRANT CREATE ON SCHEMA public TO application")
        yield url
    finally:
        admin.execute("DROP DATABASE application WITH (FORCE)")
        admin.execute("DROP ROLE application")


@pytest.fixture
def administrator(application: URL, connect: Connect) -> psycopg.Connection:
    """A superuser's connection to the application's database."""
    return connect(application._replace(username="postgres", password=None))


@pytest.mark.parametrize("password", [f"not-{SECRET}", None])
def test_a_wrong_password_is_told_and_not_shown(
    application: URL, alembic: Alembic, password: str | None
) -> None:
    ran = alembic("upgrade", "head", url=application._replace(password=password))
    assert_one_message(ran, r"password", "Check DATABASE_URL")


def test_an_unknown_database_is_named(application: URL, alembic: Alembic) -> None:
    ran = alembic("upgrade", "head", url=application.set(database="nothing_such"))
    assert_one_message(ran, "nothing_such", "Check DATABASE_URL")


def test_a_role_that_may_not_create_extensions_needs_an_administrator_once(
    application: URL, administrator: psycopg.Connection, alembic: Alembic
) -> None:
    ran = alembic("upgrade", "head", url=application)
    cure = re.search(r"CREATE EXTENSION .*;", ran.stderr)
    assert_one_message(ran, "may not create the extension", "administrator")
    assert tables(administrator) == set()
    while cure:
        administrator.execute(cure[0].encode())
        ran = alembic("upgrade", "head", url=application)
        cure = re.search(r"CREATE EXTENSION .*;", ran.stderr)
    assert ran.returncode == 0, ran.stderr
    assert SECRET not in ran.stderr
    ran = alembic("downgrade", "base", url=application)
    assert ran.returncode == 0, ran.stderr
    extensions = administrator.execute("SELECT count(*) FROM pg_extension").fetchone()
    assert extensions == (4,)


def test_a_role_that_may_not_create_tables_is_told_so(
    application: URL, administrator: psycopg.Connection, alembic: Alembic
) -> None:
    administrator.execute("REVOKE CREATE ON SCHEMA public FROM application")
    for name in ("vector", "pg_trgm", "unaccent"):
        administrator.execute(f"CREATE EXTENSION {name}".encode())
    ran = alembic("upgrade", "head", url=application)
    assert_one_message(ran, "permission denied for schema public", "GRANT")
    assert tables(administrator) == set()


def test_a_role_that_does_not_own_the_tables_is_told_so(
    application: URL, administrator: psycopg.Connection, legacy_schema: str, alembic: Alembic
) -> None:
    administrator.execute(legacy_schema.encode())
    for name in ("vector", "pg_trgm", "unaccent"):
        administrator.execute(f"CREATE EXTENSION {name}".encode())
    ran = alembic("upgrade", "head", url=application)
    assert_one_message(ran, "archives", "own")


@pytest.fixture
def offering(
    guarded_server: URL, binaries: Path, connect: Connect
) -> Iterator[Callable[[dict[str, str]], URL]]:
    """Return a new database of a server that offers these extensions in these versions."""
    (folder,) = {path.parent for path in binaries.parent.rglob("vector.control")}
    admin = connect(guarded_server)
    with tempfile.TemporaryDirectory(prefix="pgmodern-extensions-") as home:
        offered = Path(home) / "extension"

        def offer(versions: dict[str, str]) -> URL:
            offered.mkdir()
            for name, version in versions.items():
                for path in folder.glob(f"{name}*"):
                    shutil.copy(path, offered)
                control = offered / f"{name}.control"
                text = control.read_text()
                control.write_text(
                    re.sub(r"default_version = '.*'", f"default_version = '{version}'", text)
                )
            for path in (offered.parent, offered):
                path.chmod(0o755)
            admin.execute("CREATE DATABASE bare")
            options = f"-c extension_control_path={home}"
            return guarded_server.set(database="bare").update_query_dict({"options": options})

        yield offer
        admin.execute("DROP DATABASE IF EXISTS bare WITH (FORCE)")


CONTRIB = {"pg_trgm": "1.6", "unaccent": "1.1"}


@pytest.mark.parametrize(
    ("offered", "cause", "cure"),
    [
        (CONTRIB, "does not have the extension 'vector'", "pgvector/pgvector"),
        ({}, "does not have the extension 'pg_trgm'", "postgresql-contrib"),
        (CONTRIB | {"vector": "0.4.0"}, r"'vector' is 0\.4\.0; 0\.7\.0 or later", "Upgrade vector"),
        (CONTRIB | {"vector": "0.6.2"}, r"'vector' is 0\.6\.2; 0\.7\.0 or later", "Upgrade vector"),
    ],
)
def test_a_server_without_the_extensions_is_refused_before_anything_is_done(
    offering: Callable[[dict[str, str]], URL],
    alembic: Alembic,
    alembic_ini: Path,
    connect: Connect,
    offered: dict[str, str],
    cause: str,
    cure: str,
) -> None:
    url = offering(offered)
    assert_one_message(alembic("upgrade", "head", url=url), cause, cure)
    config = Config(alembic_ini, attributes={"connection": create_engine(url, poolclass=NullPool)})
    with pytest.raises(ExtensionError, match=cause):
        command.upgrade(config, "head")
    database = connect(url)
    assert tables(database) == set()
    names = database.execute("SELECT extname FROM pg_extension").fetchall()
    assert names == [("plpgsql",)]


def test_a_server_that_lost_its_extensions_can_still_be_downgraded(
    offering: Callable[[dict[str, str]], URL], alembic: Alembic, connect: Connect
) -> None:
    url = offering({})
    whole = url.difference_update_query(["options"])
    assert alembic("upgrade", "head", url=whole).returncode == 0
    ran = alembic("downgrade", "base", url=url)
    assert ran.returncode == 0, ran.stderr
    assert tables(connect(url)) == {"alembic_version"}


@pytest.mark.parametrize("version", [9, 13, MINIMUM_SERVER - 1])
def test_an_old_server_is_refused(version: int) -> None:
    with pytest.raises(ServerTooOld, match=f"is PostgreSQL {version}; pgmodern needs"):
        require_server(version)


@pytest.mark.parametrize("version", [MINIMUM_SERVER, 17, 18, 99])
def test_a_supported_server_is_not(version: int) -> None:
    require_server(version)


def test_with_nothing_named_the_embedded_server_is_used(alembic: Alembic) -> None:
    with tempfile.TemporaryDirectory(prefix="pgmodern-home-") as home:
        for arguments in (("upgrade", "head"), ("upgrade", "head"), ("current",), ("check",)):
            ran = alembic(*arguments, PGMODERN_HOME=home)
            assert ran.returncode == 0, ran.stderr
        assert (Path(home) / "postgres" / "PG_VERSION").is_file()
        ran = alembic("current", PGMODERN_HOME=home)
        assert ran.stdout.strip() == f"{HEAD} (head)"


def test_a_dotenv_names_the_database(
    empty_database_url: URL, alembic: Alembic, connect: Connect, tmp_path: Path
) -> None:
    named = empty_database_url.set(drivername="postgres").render_as_string(hide_password=False)
    (tmp_path / ".env").write_text(f"DATABASE_URL={named}\n")
    assert alembic("upgrade", "0001").returncode == 0
    assert "artists" in tables(connect(empty_database_url))


def test_alembic_s_other_commands_work(database_url: URL, alembic: Alembic) -> None:
    ran = alembic("check", url=database_url)
    assert ran.returncode == 0, ran.stderr
    assert "No new upgrade operations detected" in ran.stdout + ran.stderr
    assert alembic("current", url=database_url).stdout.strip() == f"{HEAD} (head)"
    ran = alembic("history", url=database_url)
    assert len(re.findall(r"^(?:<base>|\d{4}) -> \d{4}", ran.stdout, re.MULTILINE)) == len(HISTORY)
    assert alembic("history").returncode == 0
    assert alembic("heads").stdout.startswith(HEAD)
    ran = alembic("upgrade", BEFORE, url=database_url)
    assert ran.returncode == 0


def test_check_finds_what_is_missing(database_url: URL, connect: Connect, alembic: Alembic) -> None:
    connect(database_url).execute("DROP INDEX ix_tracks_title_trgm")
    ran = alembic("check", url=database_url)
    assert ran.returncode != 0
    assert "ix_tracks_title_trgm" in ran.stdout + ran.stderr
