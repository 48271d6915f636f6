"""Profiles that are kept in the process, and changed by somebody else."""

import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import URL, Engine

from pgmodern.engine import create_async_engine, create_engine
from pgmodern.notifications import Listener
from pgmodern.reference.chat import AsyncProfiles, Profile, Profiles
from pgmodern.testing.databases import database
from tests.waiting import until

Connect = Callable[[URL], psycopg.Connection]
INSERT = """
    INSERT INTO ai_influencers (name, display_name, system_instructions, personality_traits)
    VALUES (%s, 'Luna', 'Be kind.', '{"energy": "calm"}') RETURNING id
"""
LONG = 3600.0


@pytest.fixture
def database_url(postgres_url: URL, template_database: str) -> Iterator[URL]:
    """A migrated database of the test's own, as what it does is committed."""
    with database(postgres_url, template_database) as url:
        yield url


@pytest.fixture
def writer(database_url: URL, connect: Connect) -> psycopg.Connection:
    """Another session of the application."""
    return connect(database_url)


@pytest.fixture
def engine(database_url: URL) -> Iterator[Engine]:
    """The engine that profiles are read through."""
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


def _insert(writer: psycopg.Connection, name: str) -> uuid.UUID:
    row = writer.execute(INSERT, [name]).fetchone()
    assert row is not None
    return uuid.UUID(str(row[0]))


@pytest.mark.quick
def test_a_profile_is_what_the_row_says(engine: Engine, writer: psycopg.Connection) -> None:
    key, profiles = _insert(writer, "luna"), Profiles(engine)
    luna = Profile(key, "luna", "Luna", "Be kind.", {"energy": "calm"}, [], is_active=True)
    assert profiles.by_id.get(key) == profiles.by_name.get("luna") == luna
    assert profiles.by_id.get(uuid.uuid4()) is None
    assert profiles.by_name.get("' OR true --") is None


@pytest.mark.quick
def test_it_is_read_once_until_somebody_changes_it(
    database_url: URL, engine: Engine, writer: psycopg.Connection
) -> None:
    key, profiles = _insert(writer, "luna"), Profiles(engine, ttl=LONG)
    with Listener(database_url, profiles.channels):
        first = profiles.by_name.get("luna")
        assert profiles.by_name.get("luna") is first
        assert profiles.by_name.get("selene") is None
        writer.execute("UPDATE ai_influencers SET name = 'selene' WHERE id = %s", [key])
        until(lambda: profiles.by_name.get("luna") is None)
        renamed = profiles.by_name.get("selene")
        assert renamed is not None
        assert renamed.id == key
        until(lambda: profiles.by_id.get(key) == renamed)
        writer.execute("DELETE FROM ai_influencers")
        until(lambda: profiles.by_id.get(key) is None)


def test_without_a_listener_it_is_no_older_than_its_time(
    engine: Engine, writer: psycopg.Connection
) -> None:
    key, profiles = _insert(writer, "luna"), Profiles(engine, ttl=0.2)
    assert profiles.by_id.get(key) is not None
    writer.execute("DELETE FROM ai_influencers")
    until(lambda: profiles.by_id.get(key) is None)


@pytest.mark.quick
async def test_the_asynchronous_twin_does_the_same(
    database_url: URL, writer: psycopg.Connection
) -> None:
    key, engine = _insert(writer, "luna"), create_async_engine(database_url)
    profiles = AsyncProfiles(engine, ttl=LONG)
    with Listener(database_url, profiles.channels):
        luna = await profiles.by_id.get(key)
        assert luna is not None
        assert await profiles.by_name.get("luna") == luna
        assert await profiles.by_id.get(key) is luna
        writer.execute("UPDATE ai_influencers SET display_name = 'Selene'")
        until(lambda: len(profiles.by_id) == 0)
        changed = await profiles.by_id.get(key)
        assert changed is not None
        assert changed.display_name == "Selene"
    await engine.dispose()
