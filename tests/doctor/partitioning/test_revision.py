"""The revision that is written, and that it runs."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config

from pgmodern.doctor.partitioning import catalogue, revision
from pgmodern.doctor.partitioning.advice import Advice, advise
from pgmodern.doctor.reading import reading
from pgmodern.errors import MigrationError, SettingsError
from tests.doctor.conftest import ENV
from tests.doctor.partitioning.conftest import FLUSH

YES = Advice(
    "public", "plays", "yes", "it is large", column="at", interval="1 week",
    upgrade="op.partition_table_online('plays', 'at', interval='1 week', ahead=3)",
    downgrade="op.unpartition_table_online('plays')",
)  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An Alembic project as `alembic init` makes it, but for its env.py."""
    ini = tmp_path / "alembic.ini"
    command.init(Config(ini, stdout=io.StringIO()), str(tmp_path / "migrations"))
    (tmp_path / "migrations" / "env.py").write_text(ENV)
    return ini


def test_what_is_written_divides_the_table_and_goes_back(
    plays: Any, advised: Callable[[Any], Any], project: Path
) -> None:
    path = revision.write(advised(plays).of("plays"), project)
    assert path.parent == project.parent / "migrations" / "versions"
    assert path.name.endswith("_partition_plays_by_at.py")
    config = Config(project, attributes={"connection": plays.engine})
    command.upgrade(config, "head")
    parts = plays.database.execute(
        "SELECT count(*) FROM pg_inherits WHERE inhparent = 'plays'::regclass"
    )
    assert parts.fetchone() == (4,)
    plays.execute("INSERT INTO plays (at) VALUES (now() + interval '3 weeks')")
    assert advised(plays).of("plays").reason == "it is partitioned already"
    plays.execute("DELETE FROM plays WHERE at > now() + interval '1 week'")
    command.downgrade(config, "base")
    assert plays.database.execute("SELECT count(*) FROM plays").fetchone() == (100_000,)


def test_a_number_s_interval_divides_too(
    patient: Any, advised: Callable[[Any], Any], project: Path
) -> None:
    patient.execute(
        "CREATE TABLE plays (id bigint PRIMARY KEY, song text)",
        "INSERT INTO plays SELECT i * 10, md5(i::text) FROM generate_series(1, 50000) AS i",
        FLUSH,
        "ANALYZE plays",
        *["SELECT * FROM plays WHERE id = 7"] * 9,
        FLUSH,
        "SELECT 1",
    )
    assert "do not tell how fast" in advised(patient).of("plays").reason
    with patient.engine.connect() as connection, reading(connection):
        server, age = catalogue.server(connection, 2**20)
        (named,) = catalogue.tables(connection, "plays")
        table = catalogue.table(connection, named, [], age)
    path = revision.write(advise(table, replace(server, days=30)), project)
    command.upgrade(Config(project, attributes={"connection": patient.engine}), "head")
    assert "op.partition_table_online('plays', 'id', interval='20000', ahead=3)" in path.read_text()
    patient.execute("INSERT INTO plays VALUES (599999)")


def test_it_stands_on_the_head_under_the_id_that_is_given(project: Path) -> None:
    first = revision.write(YES, project, "0001")
    second = revision.write(YES, project, "0002").read_text()
    assert first.name == "0001_partition_plays_by_at.py"
    assert re.search(r"down_revision\b.* = '0001'", second)
    assert 'def upgrade() -> None:\n    """Upgrade schema."""\n    op.partition_table_' in second


def test_what_is_not_advised_is_not_written(project: Path) -> None:
    no = Advice("public", "plays", "no", "it is small")
    with pytest.raises(MigrationError, match="for plays the advice is no, as it is small"):
        revision.write(no, project)
    assert list((project.parent / "migrations" / "versions").iterdir()) == []


@pytest.mark.quick
def test_a_project_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="There is no Alembic configuration"):
        revision.write(YES, tmp_path / "alembic.ini")
    (tmp_path / "alembic.ini").write_text("[alembic]\n")
    with pytest.raises(MigrationError, match="Alembic wrote no revision"):
        revision.write(YES, tmp_path / "alembic.ini")


@pytest.mark.quick
def test_several_heads_are_an_error(project: Path) -> None:
    for name in ("a", "b"):
        path = revision.write(YES, project, name)
        path.write_text(f"revision = {name!r}\ndown_revision = None\n")
    with pytest.raises(MigrationError, match="Multiple heads"):
        revision.write(YES, project, "c")
