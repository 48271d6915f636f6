"""Upgrades and downgrades killed at any instant: the next run ends as an undisturbed one."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

from tests.kills import How, Selection
from tests.legacy import Rows
from tests.legacy.applications import APPLICATIONS

Connect = Callable[[URL], psycopg.Connection]
Dump = Callable[..., str]
ReadRows = Callable[[URL], Rows]
Modern = Callable[[Rows], Rows]
Wrong = Callable[[URL], int]
Alembic = Callable[..., subprocess.CompletedProcess[str]]
StartAlembic = Callable[..., subprocess.Popen[str]]
Migrate = Callable[..., None]
Clone = Callable[[URL], URL]
Struck = Callable[..., Iterator[URL]]

WITHOUT_VERSION = "--exclude-table=*.alembic_version"


@pytest.mark.parametrize(("how", "parts"), [("SIGKILL", 16), ("terminate", 4)])
def test_an_upgrade_killed_at_any_statement_is_finished_by_the_next(
    legacy_url: URL,
    head: str,
    how: How,
    parts: int,
    struck: Struck,
    migrate: Migrate,
    dump: Dump,
    rows: ReadRows,
    modern: Modern,
    wrong: Wrong,
) -> None:
    expected = modern(rows(legacy_url))
    for url in struck("alembic upgrade head", legacy_url, migrate, parts, how):
        migrate(url)
        assert dump(url) == head
        assert rows(url) == expected
        assert wrong(url) == 0


@pytest.mark.parametrize(("how", "parts"), [("SIGKILL", 8), ("terminate", 3)])
def test_a_downgrade_killed_at_any_statement_is_finished_by_the_next(
    legacy_url: URL,
    how: How,
    parts: int,
    struck: Struck,
    migrate: Migrate,
    dump: Dump,
    rows: ReadRows,
) -> None:
    schema = dump(legacy_url)
    migrate(legacy_url)
    before, down = rows(legacy_url), partial(migrate, revision="base")
    for url in struck("alembic downgrade base", legacy_url, down, parts, how):
        down(url)
        assert dump(url, WITHOUT_VERSION) == schema
        assert rows(url) == before


@pytest.mark.parametrize("how", ["SIGKILL", "terminate"])
def test_a_revision_killed_at_any_statement_is_finished_by_the_next_run(
    legacy_url: URL,
    alembic_ini: Path,
    how: How,
    selection: Selection,
    struck: Struck,
    clone: Clone,
    migrate: Migrate,
    dump: Dump,
    rows: ReadRows,
) -> None:
    scripts = ScriptDirectory.from_config(Config(alembic_ini)).walk_revisions()
    revisions = ["base", *reversed([script.revision for script in scripts])]
    up = list(pairwise(revisions))
    down = [(after, before) for before, after in reversed(up)]
    for number in selection.steps(len(up + down), "a revision", how):
        before, after = (up + down)[number]
        is_down = number >= len(up)
        step = partial(migrate, revision=after, down=is_down)
        template = clone(legacy_url)
        if is_down:
            migrate(template)
        if before != "base":
            migrate(template, before, down=is_down)
        undisturbed = clone(template)
        step(undisturbed)
        schema, stored = dump(undisturbed), rows(undisturbed)
        name = f"alembic {'downgrade' if is_down else 'upgrade'} {after}"
        for url in struck(name, template, step, None, how):
            step(url)
            assert dump(url) == schema
            assert rows(url) == stored


def test_a_killed_upgrade_is_undone_by_stamping_and_downgrading_it(
    legacy_url: URL,
    alembic_ini: Path,
    connect: Connect,
    struck: Struck,
    migrate: Migrate,
    dump: Dump,
) -> None:
    schema = dump(legacy_url)
    migrate(legacy_url, "0006")
    up = partial(migrate, revision="0007")
    for url in struck("alembic upgrade 0007, undone", legacy_url, up, 4):
        engine = create_engine(url, poolclass=NullPool)
        command.stamp(Config(alembic_ini, attributes={"connection": engine}), "0007")
        migrate(url, "base")
        assert dump(url, WITHOUT_VERSION) == schema
        with connect(url) as application:
            application.execute("INSERT INTO artists (name) VALUES ('still writable')")


def test_an_upgrade_whose_client_is_killed_is_finished_by_the_next(
    legacy_url: URL,
    head: str,
    connect: Connect,
    clone: Clone,
    alembic: Alembic,
    start_alembic: StartAlembic,
    dump: Dump,
    rows: ReadRows,
    modern: Modern,
    wrong: Wrong,
    selection: Selection,
) -> None:
    chance, parts = selection.chance("alembic upgrade head, a client"), selection.parts(4)
    with connect(legacy_url) as database:
        for legacy in APPLICATIONS:
            database.execute(legacy.many.encode())
    expected = modern(rows(legacy_url))
    started = time.monotonic()
    assert alembic("upgrade", "head", url=clone(legacy_url)).returncode == 0
    whole = time.monotonic() - started
    for part in range(parts):
        url = clone(legacy_url)
        process = start_alembic("upgrade", "head", url=url)
        instant = whole * (0.3 + 0.65 * (part + chance.random()) / parts)
        with suppress(subprocess.TimeoutExpired):
            process.wait(instant)
        process.kill()
        process.communicate()
        again = alembic("upgrade", "head", url=url)
        assert again.returncode == 0, f"killed after {instant:.3f} s: {again.stderr}"
        assert dump(url) == head, f"killed after {instant:.3f} s"
        assert wrong(url) == 0, f"killed after {instant:.3f} s"
        assert rows(url) == expected, f"killed after {instant:.3f} s"
