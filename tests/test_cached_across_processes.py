"""Profiles of the chat application, kept in one process and changed in another."""

import asyncio
import random
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from psycopg.rows import class_row
from sqlalchemy import URL, create_engine, text
from sqlalchemy.pool import NullPool

from pgmodern.cached import AsyncCached, Cached
from pgmodern.engine import create_async_engine
from pgmodern.notifications import Listener, Subscriber
from pgmodern.operations import register
from tests.kills import libpq
from tests.waiting import until
from tests.wire import Wire, wired

Connect = Callable[[URL], psycopg.Connection]
CHANNEL, LONG = "ai_influencers_changed", 3600.0
TABLE = """
    CREATE TABLE ai_influencers (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        name text NOT NULL UNIQUE,
        display_name text NOT NULL
    )
"""
# Runs what it is told, each its own transaction, and says when it is committed.
WRITER = """
import psycopg, sys
with psycopg.connect(sys.argv[1], autocommit=True) as session:
    for line in sys.stdin:
        with session.transaction():
            session.execute(line)
        print("committed", flush=True)
"""


@dataclass(frozen=True, slots=True)
class Profile:
    """A row."""

    id: uuid.UUID
    name: str
    display_name: str


ById = Cached[uuid.UUID, Profile | None]
ByName = Cached[str, Profile | None]


class Profiles:
    """The rows as an application reads them, by each of their keys."""

    def __init__(self, url: URL, ttl: float = LONG) -> None:
        self.url = url
        self.by_id = Cached[uuid.UUID, Profile | None](
            partial(self.load, "id"), column="id", ttl=ttl
        )
        self.by_name = Cached[str, Profile | None](
            partial(self.load, "name"), column="name", ttl=ttl
        )

    @property
    def channels(self) -> dict[str, list[Subscriber]]:
        """What a listener hands on to whom."""
        return {CHANNEL: [self.by_id, self.by_name]}

    def load(self, column: str, key: object) -> Profile | None:
        """Read a row."""
        query = f"SELECT id, name, display_name FROM ai_influencers WHERE {column} = %s"
        with psycopg.connect(libpq(self.url)) as session:
            cursor = session.cursor(row_factory=class_row(Profile))
            return cursor.execute(query.encode(), [key]).fetchone()


class Writer:
    """Another process, that commits one statement after the other."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, statement: str) -> None:
        """Commit a statement."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{statement}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "committed\n"


@pytest.fixture
def url(empty_database_url: URL) -> URL:
    """A database with the table and its triggers."""
    register()
    with create_engine(empty_database_url, poolclass=NullPool).begin() as connection:
        connection.exec_driver_sql(TABLE)
        op = Operations(MigrationContext.configure(connection))
        op.create_change_notification("ai_influencers", ["id", "name"])  # type: ignore[attr-defined]
    return empty_database_url


@pytest.fixture
def write(url: URL) -> Iterator[Writer]:
    """Commit a statement in another process."""
    command = [sys.executable, "-c", WRITER, libpq(url)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Writer(process)
        process.kill()


def shown(profile: Profile | None) -> str | None:
    """Return what a user sees of a profile."""
    return None if profile is None else profile.display_name


async def test_what_is_changed_over_asyncpg_is_loaded_anew_over_asyncpg(url: URL) -> None:
    engine = create_async_engine(url.set(drivername="postgresql+asyncpg"))

    async def execute(statement: str, **values: str) -> Any:
        async with engine.begin() as connection:
            found = await connection.execute(text(statement), values)
            return found.scalar() if found.returns_rows else None

    async def load(name: str) -> Any:
        query = "SELECT display_name FROM ai_influencers WHERE name = :name"
        return await execute(query, name=name)

    cached = AsyncCached[str, Any](load, column="name", ttl=LONG)
    with Listener(engine.url, {CHANNEL: [cached]}):
        assert await cached.get("luna") is None
        await execute("INSERT INTO ai_influencers (name, display_name) VALUES ('luna', 'Luna')")
        until(lambda: not len(cached))
        assert await cached.get("luna") == "Luna"
    await engine.dispose()


def test_a_profile_that_another_process_changes_is_new_at_once(url: URL, write: Writer) -> None:
    profiles = Profiles(url)
    with Listener(url, profiles.channels):
        assert profiles.by_name.get("luna") is None
        write("INSERT INTO ai_influencers (name, display_name) VALUES ('luna', 'Luna')")
        until(lambda: shown(profiles.by_name.get("luna")) == "Luna")
        luna = profiles.by_name.get("luna")
        assert luna is not None
        assert profiles.by_id.get(luna.id) == luna
        write("UPDATE ai_influencers SET display_name = 'Luna M.'")
        until(lambda: shown(profiles.by_id.get(luna.id)) == "Luna M.")
        until(lambda: shown(profiles.by_name.get("luna")) == "Luna M.")
        write("UPDATE ai_influencers SET name = 'moon'")
        until(lambda: profiles.by_name.get("luna") is None)
        assert shown(profiles.by_name.get("moon")) == "Luna M."
        write("DELETE FROM ai_influencers")
        until(lambda: profiles.by_id.get(luna.id) is None)
        write("INSERT INTO ai_influencers (name, display_name) VALUES ('moon', 'Moon')")
        until(lambda: shown(profiles.by_name.get("moon")) == "Moon")
        write("TRUNCATE ai_influencers")
        until(lambda: profiles.by_name.get("moon") is None)


def test_what_others_change_or_a_writer_rolls_back_stays(
    url: URL, connect: Connect, write: Writer
) -> None:
    profiles, database = Profiles(url), connect(url)
    database.execute("INSERT INTO ai_influencers (name, display_name) VALUES ('a', ''), ('b', '')")
    with Listener(url, profiles.channels):
        kept = profiles.by_name.get("a")
        profiles.by_name.get("b")
        with database.transaction(force_rollback=True):
            database.execute("UPDATE ai_influencers SET display_name = 'never'")
        write("UPDATE ai_influencers SET display_name = 'B' WHERE name = 'b'")
        until(lambda: shown(profiles.by_name.get("b")) == "B")
        assert profiles.by_name.get("a") is kept


def test_in_silence_nothing_is_older_than_the_ttl_and_then_all_is_new(
    url: URL, write: Writer
) -> None:
    write("INSERT INTO ai_influencers (name, display_name) VALUES ('luna', 'old')")
    brief, long = Profiles(url, ttl=0.5), Profiles(url)
    channels = {CHANNEL: [brief.by_name, long.by_name]}
    with wired(url) as wire, Listener(wire.url, channels, heartbeat=0.2):
        assert shown(long.by_name.get("luna")) == "old"
        wire.silent = True
        assert shown(brief.by_name.get("luna")) == "old"
        write("UPDATE ai_influencers SET display_name = 'new'")
        time.sleep(0.5)
        assert shown(brief.by_name.get("luna")) == "new"
        assert shown(long.by_name.get("luna")) == "old"  # it is kept, as nothing was heard
        wire.silent = False
        until(lambda: shown(long.by_name.get("luna")) == "new")


class Faults:
    """Writers, readers and everything that may become of a connection, for a while."""

    keys, ttl = ("a", "b", "c"), 0.4

    def __init__(self, url: URL, wire: Wire) -> None:
        self.url, self.wire = url, wire
        self.over = threading.Event()
        # When each version was committed, at the latest.
        self.commits: dict[str, list[float]] = {key: [time.monotonic()] for key in self.keys}
        self.brief, self.long = Profiles(url, self.ttl).by_name, Profiles(url).by_name

    def write(self) -> None:
        """Commit one version after the other, some of them only after a rollback."""
        chance = random.Random(1)
        with psycopg.connect(libpq(self.url), autocommit=True) as session:
            while not self.over.wait(0.003):
                key = chance.choice(self.keys)
                update = "UPDATE ai_influencers SET display_name = %s WHERE name = %s"
                version = len(self.commits[key])
                with session.transaction(force_rollback=True):
                    session.execute(update, ["never", key])
                session.execute(update, [str(version), key])
                self.commits[key].append(time.monotonic())

    def read(self) -> int:
        """Ask again and again; return how often the answer was not of the newest version."""
        chance, old = random.Random(2), 0
        while not self.over.wait(0.001):
            key = chance.choice(self.keys)
            asked = time.monotonic()
            version = int(shown(self.brief.get(key)) or -1)
            self.long.get(key)
            successor = self.commits[key][version + 1 : version + 2]
            assert not successor or successor[0] > asked - self.ttl
            old += bool(successor)
        return old

    def disturb(self) -> None:
        """End the listener's sessions, or have the network swallow everything."""
        chance = random.Random(3)
        with psycopg.connect(libpq(self.url), autocommit=True) as session:
            while not self.over.wait(0.1):
                self.wire.silent, self.wire.mute = chance.choice(
                    [(False, False), (True, False), (False, True)]
                )
                if chance.random() < 0.5:
                    session.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND query LIKE 'LISTEN %'"
                    )
        self.wire.silent = self.wire.mute = False


def test_whatever_fails_nothing_is_older_than_the_ttl(url: URL, connect: Connect) -> None:
    database = connect(url)
    with wired(url) as wire:
        faults = Faults(url, wire)
        for key in faults.keys:
            row = "INSERT INTO ai_influencers (name, display_name) VALUES (%s, '0')"
            database.execute(row, [key])
        channels = {CHANNEL: [faults.brief, faults.long]}
        with Listener(wire.url, channels, heartbeat=0.1), ThreadPoolExecutor() as threads:
            old = threads.submit(faults.read)
            others = [threads.submit(each) for each in (faults.write, faults.disturb)]
            time.sleep(4)
            faults.over.set()
            for each in others:
                each.result()
            assert old.result() > 0, "nothing was disturbed"
            for key in faults.keys:
                newest = str(len(faults.commits[key]) - 1)
                until(lambda key=key, newest=newest: shown(faults.long.get(key)) == newest)  # type: ignore[misc]


async def test_asynchronous_code_hears_the_same(url: URL, write: Writer) -> None:
    async def load(name: str) -> str | None:
        async with await psycopg.AsyncConnection.connect(libpq(url)) as session:
            cursor = await session.execute(
                "SELECT display_name FROM ai_influencers WHERE name = %s", [name]
            )
            row = await cursor.fetchone()
            return None if row is None else str(row[0])

    names = AsyncCached(load, column="name", ttl=LONG)
    with Listener(url, {CHANNEL: [names]}):
        assert await names.get("luna") is None
        write("INSERT INTO ai_influencers (name, display_name) VALUES ('luna', 'Luna')")
        await asyncio.to_thread(until, lambda: len(names) == 0)
        assert await names.get("luna") == "Luna"
