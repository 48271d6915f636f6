"""The pytest plugin, as a user's project meets it."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import psutil
import pytest
from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from pgmodern.settings import parse_url
from pgmodern.testing.server import Choice, choose, docker_answers
from tests.waiting import until

pytest_plugins = ["pytester"]


def _docker_is_there() -> None:
    return None


def _docker_is_away() -> str:
    return "Docker does not answer"


def _docker_is_not_asked() -> str:
    raise AssertionError


@pytest.mark.quick
@pytest.mark.parametrize(
    ("asked", "docker", "expected"),
    [
        ("auto", _docker_is_there, Choice("container", "auto: Docker answers")),
        ("auto", _docker_is_away, Choice("embedded", "auto: Docker does not answer")),
        ("container", _docker_is_not_asked, Choice("container", "--postgres says so")),
        ("embedded", _docker_is_not_asked, Choice("embedded", "--postgres says so")),
        (
            "postgres://ann:pw@h/db",
            _docker_is_not_asked,
            Choice("postgres://ann:pw@h/db", "--postgres says so"),
        ),
    ],
)
def test_the_server_is_chosen_for_a_reason(
    asked: str, docker: Callable[[], str | None], expected: Choice
) -> None:
    assert choose(asked, docker) == expected


@pytest.mark.parametrize(
    ("asked", "named", "docker", "expected"),
    [
        (
            "auto",
            (parse_url("postgresql://ann:pw@h/db"), "DATABASE_URL, as CI is set"),
            _docker_is_not_asked,
            Choice("postgresql+psycopg://ann:pw@h/db", "auto: DATABASE_URL, as CI is set"),
        ),
        (
            "auto",
            (None, "DATABASE_URL leads to another machine"),
            _docker_is_there,
            Choice("container", "auto: Docker answers; DATABASE_URL leads to another machine"),
        ),
        (
            "auto",
            (None, "DATABASE_URL leads to another machine"),
            _docker_is_away,
            Choice(
                "embedded",
                "auto: Docker does not answer; DATABASE_URL leads to another machine",
            ),
        ),
        (
            "embedded",
            (parse_url("postgresql://h/db"), "DATABASE_URL, as CI is set"),
            _docker_is_not_asked,
            Choice("embedded", "--postgres says so"),
        ),
    ],
)
def test_what_the_environment_names_goes_before_docker_and_after_the_option(
    asked: str, named: tuple[URL | None, str], docker: Callable[[], str | None], expected: Choice
) -> None:
    assert choose(asked, docker, named) == expected


@pytest.mark.parametrize(
    "asked", ["", "Auto", "contaner", "geheim", "mysql://ann:geheim@h/db", "postgresql://h:geheim/"]
)
def test_what_is_no_choice_is_a_usage_error_that_names_the_choices(asked: str) -> None:
    with pytest.raises(pytest.UsageError) as raised:
        choose(asked, _docker_is_not_asked)
    message = str(raised.value)
    assert "--postgres" in message
    assert all(each in message for each in ("auto", "container", "embedded", "postgresql://"))
    assert "geheim" not in message


def test_docker_that_is_away_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert docker_answers() == "Docker does not answer"
    monkeypatch.setenv("DOCKER_HOST", "nonsense://")
    assert docker_answers() == "Docker does not answer"


@pytest.mark.quick
@pytest.mark.parametrize("module", ["docker", "testcontainers"])
def test_without_testcontainers_docker_is_of_no_use(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert docker_answers() == "testcontainers is not installed"


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A user's project: three lines of env.py, one table, one revision, its own pytest.ini."""
    files = {
        "pytest.ini": """
            [pytest]
            asyncio_mode = auto
            asyncio_default_fixture_loop_scope = function
            filterwarnings = error
        """,
        "alembic.ini": "[alembic]\nscript_location = %(here)s/alembic\npath_separator = os\n",
        "models.py": """
            from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

            class Base(DeclarativeBase):
                pass

            class Note(Base):
                __tablename__ = "notes"
                id: Mapped[int] = mapped_column(primary_key=True)
                words: Mapped[str]
        """,
        "alembic/env.py": """
            import models
            from pgmodern import environment
            environment.run(models.Base.metadata)
        """,
        "alembic/versions/0001_notes.py": """
            from alembic import op
            revision, down_revision = "0001", None

            def upgrade():
                op.execute("CREATE TABLE notes (id integer PRIMARY KEY, words text NOT NULL)")

            def downgrade():
                op.execute("DROP TABLE notes")
        """,
    }
    for name, content in files.items():
        path = pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(content).lstrip())
    pytester.syspathinsert()
    return pytester


def _databases(server: URL) -> set[str]:
    with create_engine(server, poolclass=NullPool).connect() as connection:
        return set(connection.scalars(text("SELECT datname FROM pg_database")))


def _plain(url: URL) -> str:
    return url.render_as_string(hide_password=False)


TESTS_OF_A_USER = """
    import pytest
    from models import Note
    from sqlalchemy import func, select, text

    COUNT = select(func.count()).select_from(Note)

    @pytest.mark.parametrize("_", range(3))
    def test_each_test_has_a_database_of_its_own(session, _):
        assert session.scalar(COUNT) == 0
        session.add(Note(id=1, words="mine"))
        session.commit()
        assert session.scalar(COUNT) == 1

    @pytest.mark.parametrize("_", range(2))
    async def test_so_has_each_asynchronous_one(async_session, _):
        assert await async_session.scalar(COUNT) == 0
        async_session.add(Note(id=1, words="mine"))
        await async_session.commit()

    def test_both_kinds_see_the_same_database(session, engine, database_url):
        session.add(Note(id=2, words="seen"))
        session.commit()
        with engine.connect() as connection:
            assert connection.execute(COUNT).scalar_one() == 1
        assert engine.url == database_url

    def test_an_empty_database_has_no_table(empty_database_url):
        from sqlalchemy import create_engine, inspect
        with create_engine(empty_database_url).connect() as connection:
            assert inspect(connection).get_table_names() == []
            connection.detach()

    def test_a_failure_is_a_failure(session):
        session.execute(text("SELECT pg_advisory_lock(1)"))
        assert False
"""


def test_a_user_s_tests_get_migrated_databases_and_leave_none(
    project: pytest.Pytester, guarded_server: URL
) -> None:
    before = _databases(guarded_server)
    project.makepyfile(dedent(TESTS_OF_A_USER))
    result = project.runpytest_subprocess(f"--postgres={_plain(guarded_server)}")
    result.assert_outcomes(passed=7, failed=1)
    assert _databases(guarded_server) == before


def test_the_configuration_may_lie_elsewhere(project: pytest.Pytester, postgres_url: URL) -> None:
    (project.path / "db").mkdir()
    (project.path / "alembic.ini").rename(project.path / "db" / "alembic.ini")
    (project.path / "alembic").rename(project.path / "db" / "alembic")
    (project.path / "pytest.ini").write_text("[pytest]\npgmodern_alembic_ini = db/alembic.ini\n")
    project.makepyfile("def test_it(session): session.connection()")
    result = project.runpytest_subprocess(f"--postgres={_plain(postgres_url)}")
    result.assert_outcomes(passed=1)


def test_a_revision_that_fails_is_an_error_of_each_test_and_leaves_nothing(
    project: pytest.Pytester, guarded_server: URL
) -> None:
    before = _databases(guarded_server)
    revision = project.path / "alembic" / "versions" / "0001_notes.py"
    revision.write_text(revision.read_text().replace("integer PRIMARY KEY", "nonsense"))
    project.makepyfile("def test_it(session): pass")
    result = project.runpytest_subprocess(f"--postgres={_plain(guarded_server)}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(['*type "nonsense" does not exist*'])
    assert _databases(guarded_server) == before


TEST_THAT_NOTES_ITS_DATABASES = """
    import os
    from pathlib import Path
    import pytest
    from sqlalchemy import text

    @pytest.mark.parametrize("number", range(8))
    def test_it(session, template_database, postgres_url, number):
        data = session.scalar(text("SHOW data_directory"))
        pid = Path(data, "postmaster.pid").read_text().split()[0]
        worker = os.environ["PYTEST_XDIST_WORKER"]
        seen = f"{worker} {data} {pid} {template_database}"
        Path(f"seen-{number}").write_text(seen)
"""


def test_workers_of_xdist_share_a_server_and_migrate_once(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(temporary))
    environment = project.path / "alembic" / "env.py"
    with environment.open("a") as file:
        file.write("with open('migrated', 'a') as file:\n    print('once', file=file)\n")
    project.makepyfile(dedent(TEST_THAT_NOTES_ITS_DATABASES))
    result = project.runpytest_subprocess("--postgres=embedded", "-n2", "--dist=each")
    result.assert_outcomes(passed=16)
    seen = [path.read_text().split() for path in project.path.glob("seen-*")]
    ((data, pid),) = {(data, pid) for _, data, pid, _ in seen}
    assert len({template for *_, template in seen}) == len({worker for worker, *_ in seen})
    assert (project.path / "migrated").read_text() == "once\n"
    assert not Path(data).exists()
    assert _ends(int(pid))


OVERRIDES = """
    import pytest
    from pgmodern.settings import parse_url
    from sqlalchemy import create_engine, text

    @pytest.fixture(scope="session")
    def postgres_url():
        return parse_url({url!r})

    @pytest.fixture(scope="session")
    def template_database(template_database, postgres_url):
        engine = create_engine(postgres_url.set(database=template_database))
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO notes VALUES (1, 'seeded')"))
        engine.dispose()
        return template_database
"""


@pytest.mark.parametrize("options", [[], ["-n2"]], ids=["one process", "workers of xdist"])
def test_a_project_may_have_a_server_and_a_filled_template_of_its_own(
    project: pytest.Pytester, guarded_server: URL, options: list[str]
) -> None:
    before = _databases(guarded_server)
    project.makeconftest(dedent(OVERRIDES.format(url=_plain(guarded_server))))
    project.makepyfile(
        dedent("""
        import pytest
        from models import Note

        @pytest.mark.parametrize("number", range(6))
        def test_it(session, number):
            assert session.get(Note, 1).words == "seeded"
        """)
    )
    result = project.runpytest_subprocess("--postgres=embedded", *options)
    result.assert_outcomes(passed=6)
    assert _databases(guarded_server) == before


def test_a_project_without_migrations_is_opened_no_socket(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile("def test_it(): pass")
    pytester.makeconftest(
        dedent("""
        def pytest_sessionfinish(session):
            import threading
            assert not [t for t in threading.enumerate() if "_serve" in t.name]
        """)
    )
    pytester.runpytest_subprocess("-n1").assert_outcomes(passed=1)


def test_workers_of_xdist_leave_nothing_on_a_server_that_is_named(
    project: pytest.Pytester, guarded_server: URL
) -> None:
    before = _databases(guarded_server)
    project.makepyfile(dedent(TESTS_OF_A_USER))
    result = project.runpytest_subprocess(f"--postgres={_plain(guarded_server)}", "-n2")
    result.assert_outcomes(passed=7, failed=1)
    assert _databases(guarded_server) == before


def test_workers_of_xdist_tell_of_a_server_that_does_not_start(project: pytest.Pytester) -> None:
    project.makepyfile("def test_it(session): pass")
    result = project.runpytest_subprocess("--postgres=postgresql://nobody@127.0.0.1:1/no", "-n2")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*127.0.0.1*"])


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder outside pytest's own, which every session of pytest closes to other users."""
    with tempfile.TemporaryDirectory(prefix="pgmodern-test-") as folder:
        yield Path(folder)


def _ends(pid: int) -> bool:
    """Whether a process that is no child of ours ends within seconds, be it reaped or not."""
    for _ in range(100):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


TEST_THAT_NOTES_THE_SERVER = """
    from pathlib import Path
    from sqlalchemy import text

    def test_it(session):
        data = session.scalar(text("SHOW data_directory"))
        pid = Path(data, "postmaster.pid").read_text().split()[0]
        Path("server").write_text(f"{data} {pid} {session.scalar(text('SHOW fsync'))}")
"""


def test_an_embedded_server_is_started_and_gone_with_its_data(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    project.makepyfile(dedent(TEST_THAT_NOTES_THE_SERVER))
    result = project.runpytest_subprocess()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["postgres: embedded (auto: Docker does not answer)"])
    data, pid, waits_for_the_disk = (project.path / "server").read_text().split()
    assert waits_for_the_disk == "off"
    assert temporary in Path(data).parents
    assert not Path(data).exists()
    assert _ends(int(pid))


TEST_THAT_WAITS = """
    import time
    from pathlib import Path
    from sqlalchemy import text

    def test_it(session):
        data = session.scalar(text("SHOW data_directory"))
        pid = Path(data, "postmaster.pid").read_text().split()[0]
        Path("server.new").write_text(f"{data} {pid}")
        Path("server.new").rename("server")
        time.sleep(60)
"""


@pytest.mark.parametrize("options", [[], ["-n1"]], ids=["alone", "xdist"])
def test_a_run_that_is_terminated_leaves_no_server(
    options: list[str], project: pytest.Pytester, temporary: Path, environ: dict[str, str]
) -> None:
    project.makepyfile(dedent(TEST_THAT_WAITS))
    run, data, pid = _running(project, temporary, environ, *options)
    run.terminate()
    run.wait(30)
    assert _ends(pid)
    assert not data.exists()
    assert list(temporary.glob("pgmodern-*")) == []


def test_what_a_killed_run_left_is_removed_by_the_next(
    project: pytest.Pytester, temporary: Path, environ: dict[str, str]
) -> None:
    project.makepyfile(dedent(TEST_THAT_WAITS))
    killed, data, pid = _running(project, temporary, environ)
    killed.kill()
    killed.wait()
    assert psutil.pid_exists(pid)
    other, _, _ = _running(project, temporary, environ)  # removes it, and not what is alive
    assert _ends(pid)
    assert not data.exists()
    third, _, third_pid = _running(project, temporary, environ)
    assert len(list(temporary.glob("pgmodern-*"))) == 2
    for run in (other, third):
        run.terminate()
        run.wait(30)
    assert _ends(third_pid)


def _running(
    project: pytest.Pytester, temporary: Path, environ: dict[str, str], *options: str
) -> tuple[subprocess.Popen[bytes], Path, int]:
    """Start a run, on an embedded server without options; return it and the two words it notes."""
    noted = project.path / "server"
    noted.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "--postgres=embedded", *options]
    log = (project.path / "log").open("wb")
    run = subprocess.Popen(
        command, cwd=project.path, env={**environ, "TMPDIR": str(temporary)}, stdout=log, stderr=log
    )
    log.close()
    until(noted.exists)
    data, pid = noted.read_text().split()
    return run, Path(data), int(pid)


TEST_THAT_GOES_ON_WHEN_TOLD = """
    import time
    from pathlib import Path
    from sqlalchemy import text

    def test_first(session):
        session.execute(text("SELECT FROM notes"))
        session.close()
        Path("server.new").write_text(f"{session.bind.url.database} 0")
        Path("server.new").rename("server")
        deadline = time.monotonic() + 60
        while not Path("go").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        session.execute(text("SELECT FROM notes"))

    def test_that_takes_what_was_made_ahead(session):
        session.execute(text("SELECT FROM notes"))

    def test_that_takes_another_clone(session):
        session.execute(text("SELECT FROM notes"))
"""


def test_databases_that_a_killed_run_left_on_a_named_server_are_dropped_by_the_next(
    project: pytest.Pytester, guarded_server: URL, temporary: Path, environ: dict[str, str]
) -> None:
    foreign = {"pgmodern_shop", f"pgmodern_{'0' * 32}", f"pgmodern_test_{'0' * 16}_mine"}
    server = create_engine(guarded_server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        for name in foreign:
            connection.execute(text(f"CREATE DATABASE {name}"))
    before = _databases(guarded_server)
    project.makepyfile(dedent(TEST_THAT_GOES_ON_WHEN_TOLD))
    named = f"--postgres={_plain(guarded_server)}"
    alive, _, _ = _running(project, temporary, environ, named)
    of_the_living = _databases(guarded_server) - before
    killed, _, _ = _running(project, temporary, environ, named, "-n1")
    # A worker lives on for a while, and so does its run.
    for process in [*psutil.Process(killed.pid).children(), killed]:
        process.kill()
        process.wait()
    until(lambda: _is_used_by_nobody(server, of_the_living))
    left = _databases(guarded_server) - before - of_the_living
    assert left

    (project.path / "go").touch()
    project.runpytest_subprocess(named).assert_outcomes(passed=3)
    assert not _databases(guarded_server) & left
    assert alive.wait(60) == 0
    assert _databases(guarded_server) == before
    with server.connect() as connection:
        for name in foreign:
            connection.execute(text(f"DROP DATABASE {name}"))


def _is_used_by_nobody(server: Engine, but: set[str]) -> bool:
    """Tell whether nobody is connected to databases of the plugin's, but for some."""
    query = text(
        "SELECT datname FROM pg_stat_activity WHERE datname LIKE 'pgmodern\\_test%' "
        "AND usesysid IS NOT NULL"
    )
    with server.connect() as connection:
        return set(connection.scalars(query)) <= but


def test_a_server_that_was_named_keeps_its_settings(
    project: pytest.Pytester, guarded_server: URL
) -> None:
    project.makepyfile(dedent(TEST_THAT_NOTES_THE_SERVER))
    project.runpytest(f"--postgres={_plain(guarded_server)}").assert_outcomes(passed=1)
    assert (project.path / "server").read_text().endswith(" on")


def test_the_server_of_ci_is_taken_and_named(
    project: pytest.Pytester, guarded_server: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _databases(guarded_server)
    monkeypatch.setenv("DATABASE_URL", _plain(guarded_server.set(password="geheim")))
    monkeypatch.setenv("CI", "true")
    project.makepyfile(dedent(TEST_THAT_NOTES_THE_SERVER))
    result = project.runpytest_subprocess()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["postgres: postgresql+*postgres* (auto: DATABASE_URL, as CI *)"])
    assert "geheim" not in result.stdout.str() + result.stderr.str()
    assert (project.path / "server").read_text().endswith(" on")
    assert _databases(guarded_server) == before


@pytest.mark.parametrize(
    "url", ["postgresql://ann:geheim@h/db", "postgresql://h/db?user=ann&password=geheim"]
)
def test_the_header_shows_the_server_and_no_password(url: str, project: pytest.Pytester) -> None:
    project.makepyfile("def test_nothing(): pass")
    result = project.runpytest_subprocess(f"--postgres={url}")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["postgres: postgresql+psycopg://*h/db* (--postgres says so)"])
    assert "geheim" not in result.stdout.str() + result.stderr.str()


def test_a_bad_url_ends_the_run_before_it_begins(project: pytest.Pytester) -> None:
    project.makepyfile("def test_nothing(): pass")
    result = project.runpytest_subprocess("--postgres=mysql://ann:geheim@h/db")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *--postgres*"])
    assert "geheim" not in result.stdout.str() + result.stderr.str()
    assert "Traceback" not in result.stderr.str()


def test_without_pytest_asyncio_only_asynchronous_fixtures_fail(
    project: pytest.Pytester, postgres_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (project.path / "pytest.ini").write_text("[pytest]\n")
    project.makepyfile(
        "def test_one(session): session.connection()\ndef test_other(async_session): pass"
    )
    program = (
        "import sys, pytest; sys.modules['pytest_asyncio'] = None\n"
        "sys.exit(pytest.main(['-p', 'pgmodern.pytest_plugin', *sys.argv[1:]]))"
    )
    url = f"--postgres={_plain(postgres_url)}"
    result = project.run(sys.executable, "-c", program, url)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*install pytest-asyncio for this fixture*"])


def test_the_documented_options_are_in_the_help(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--help")
    result.stdout.fnmatch_lines(["*--postgres=auto|container|embedded|URL*"])
    result.stdout.fnmatch_lines(["*pgmodern_alembic_ini*"])
    result.stdout.fnmatch_lines(["*pgmodern_image*"])
    result.stdout.fnmatch_lines(["*pgmodern_tmpfs*"])


def test_a_project_without_migrations_is_asked_for_no_server(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1)
    assert "postgres:" not in result.stdout.str()
    result = pytester.runpytest_subprocess("--postgres=contaner")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
