"""The server under measure: embedded, fresh, migrated to head."""

import atexit
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Engine, Index, text
from sqlalchemy import create_engine as sa_create_engine
from sqlalchemy.pool import NullPool

from benchmarks.dataset import Song
from pgmodern import embedded
from pgmodern.engine import create_engine
from pgmodern.locks import driver
from pgmodern.quoting import quoted, string
from pgmodern.settings import parse_url
from tests.pg_dump import binaries

ROOT = Path(__file__).parents[1]
ALEMBIC_INI, DOCKERFILE = ROOT / "alembic.ini", ROOT / "Dockerfile.postgres"
# For a migration that builds graphs: one that does not fit takes many times as long.
BUILD_MEMORY = {"options": "-c maintenance_work_mem=1GB"}


def start() -> Engine:
    """Start a server of our own and return an engine on it, as applications use it.

    It has the settings of the project's image. It and its data are gone when the process ends.
    """
    home = tempfile.mkdtemp(prefix="pgmodern-bench-")
    # Registered before the server's own clean-up, so that it runs after it.
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    url = embedded.start(Path(home), keep=False)
    _set_up(url, Path(home) / "postgres")
    return at(url)


def _set_up(url: URL, data: Path) -> None:
    settings = re.findall(r"^ +\"(\w+) = '?([^'\"]+)", DOCKERFILE.read_text(), re.MULTILINE)
    setting = (f"ALTER SYSTEM SET {name} = {string(value)}" for name, value in settings)
    administer(sa_create_engine(url, poolclass=NullPool), *setting)
    restart: list[str | Path] = [binaries() / "pg_ctl", "restart", "-w", "-s", "-D", data]
    subprocess.run(
        [*restart, "-l", data / "log"], check=True, user=data.owner(), group=data.group()
    )


def at(url: URL | str) -> Engine:
    """Migrate an empty database to head and return an engine on it, as applications use it."""
    url = parse_url(url)
    migrate(url)
    return create_engine(url)


def migrate(url: URL, revision: str = "head", **connect_args: str) -> float:
    """Upgrade as a deploy does, or downgrade to base; return how many seconds it took."""
    engine = sa_create_engine(url, poolclass=NullPool, connect_args=connect_args)
    run = command.downgrade if revision == "base" else command.upgrade
    started = time.perf_counter()
    run(Config(ALEMBIC_INI, attributes={"connection": engine}), revision)
    return time.perf_counter() - started


def without(engine: Engine, *scans: str) -> Engine:
    """Return an engine on which the planner does without some kinds of scan, as a baseline does.

    It has connections of its own: a plan that is kept with a connection outlives a SET.
    """
    options = " ".join(f"-c enable_{scan}=off" for scan in scans)
    return create_engine(engine.url, connect_args={"options": options})


def version(engine: Engine) -> str:
    """Return what the server is, such as "PostgreSQL 18.1, pgvector 0.8.1, pg_trgm 1.6"."""
    with engine.connect() as connection:
        server = str(connection.scalar(text("SHOW server_version"))).partition(" ")[0]
        extensions = connection.execute(
            text(
                "SELECT extname, extversion FROM pg_extension WHERE extname IN ('vector','pg_trgm')"
            )
        )
        return ", ".join([f"PostgreSQL {server}", *(" ".join(each) for each in extensions)])


def copy(engine: Engine, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Load rows by COPY."""
    names = ", ".join(map(quoted, columns))
    statement = f"COPY {quoted(table)} ({names}) FROM STDIN".encode()
    with (
        engine.begin() as connection,
        driver(connection).cursor() as cursor,
        cursor.copy(statement) as stream,
    ):
        for row in rows:
            stream.write_row(row)


def administer(engine: Engine, *statements: str) -> None:
    """Execute statements that no transaction may hold."""
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def build(engine: Engine, index: Index, memory: str) -> float:
    """Build an index in so much memory; return how many seconds that took."""
    started = time.perf_counter()
    with engine.begin() as connection:
        connection.execute(text(f"SET LOCAL maintenance_work_mem = '{memory}'"))
        index.create(connection)
    return time.perf_counter() - started


def settle(engine: Engine, *tables: str) -> None:
    """Leave nothing of a load to be done during the measurement.

    VACUUM also empties the pending lists of GIN indexes.
    """
    administer(engine, *(f"VACUUM (ANALYZE) {quoted(table)}" for table in tables), "CHECKPOINT")


def megabytes(engine: Engine, relation: str) -> float:
    """Return the size of a table (TOAST and maps included, indexes not), or of an index."""
    with engine.connect() as connection:
        size = connection.scalar(text("SELECT pg_table_size(:name)"), {"name": quoted(relation)})
    return int(size or 0) / 1e6


def load_tracks(engine: Engine, songs: Sequence[Song]) -> None:
    """Load artists and tracks, unless another question has."""
    with engine.connect() as connection:
        if connection.scalar(text("SELECT EXISTS (SELECT FROM tracks)")):
            return
    artists = {
        artist: number for number, artist in enumerate(dict.fromkeys(s.artist for s in songs))
    }
    copy(engine, "artists", ["id", "name"], ((number, name) for name, number in artists.items()))
    tracks = ((number, artists[song.artist], song.title) for number, song in enumerate(songs))
    copy(engine, "tracks", ["id", "artist_id", "title"], tracks)
    settle(engine, "artists", "tracks")
