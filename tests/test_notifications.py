"""Listening goes on whatever becomes of the connection, and says when it was interrupted."""

import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

from pgmodern import embedded
from pgmodern.errors import SettingsError
from pgmodern.notifications import Listener
from tests.waiting import until
from tests.wire import wired

Connect = Callable[[URL], psycopg.Connection]
LISTENING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN %'
"""


class Heard:
    """A subscriber that remembers; `missed` counts."""

    def __init__(self) -> None:
        self.payloads: list[str] = []
        self.interruptions = 0

    def notified(self, payload: str) -> None:
        """Remember it."""
        self.payloads.append(payload)

    def missed(self) -> None:
        """Count it."""
        self.interruptions += 1


@pytest.fixture
def database(empty_database_url: URL, connect: Connect) -> psycopg.Connection:
    """A connection of somebody who notifies."""
    return connect(empty_database_url)


def test_it_hears_what_is_committed_in_that_order_on_its_channels(
    empty_database_url: URL, database: psycopg.Connection
) -> None:
    songs, odd = Heard(), Heard()
    channels = {"songs": [songs], 'It\'s "odd"': [odd]}
    with Listener(empty_database_url, channels):
        assert (songs.interruptions, odd.interruptions) == (1, 1)
        database.execute("NOTIFY songs, 'first'")
        with database.transaction(force_rollback=True):
            database.execute("NOTIFY songs, 'never'")
        database.execute("NOTIFY other, 'nobody'")
        database.execute("SELECT pg_notify(%s, %s)", ['It\'s "odd"', "é, 雪"])
        database.execute("NOTIFY songs")
        until(lambda: len(songs.payloads) == 2)
    assert songs.payloads == ["first", ""]
    assert odd.payloads == ["é, 雪"]
    assert (songs.interruptions, odd.interruptions) == (1, 1)


@pytest.mark.quick
def test_it_takes_the_url_of_an_application_on_asyncpg(
    empty_database_url: URL, database: psycopg.Connection
) -> None:
    heard = Heard()
    parameters = {"ssl": "prefer", "prepared_statement_cache_size": "0", "pgbouncer": "false"}
    url = empty_database_url.set(drivername="postgresql+asyncpg").update_query_dict(parameters)
    with Listener(url, {"songs": [heard]}):
        database.execute("NOTIFY songs, 'x'")
        until(lambda: heard.payloads == ["x"])


def test_it_ends_when_it_is_closed(empty_database_url: URL, database: psycopg.Connection) -> None:
    threads = threading.active_count()
    with Listener(empty_database_url, {"songs": []}):
        assert database.execute(LISTENING).fetchone() == (1,)
        assert threading.active_count() == threads + 1
    assert threading.active_count() == threads
    until(lambda: database.execute(LISTENING).fetchone() == (0,))


@pytest.mark.quick
def test_it_asks_a_silent_server_whether_it_is_there(
    empty_database_url: URL, database: psycopg.Connection
) -> None:
    heard, asked = Heard(), "SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    with Listener(empty_database_url, {"songs": [heard]}, heartbeat=0.05):
        until(lambda: ("SELECT",) in database.execute(asked).fetchall())
        database.execute("NOTIFY songs, 'x'")
        until(lambda: heard.payloads == ["x"])
    assert heard.interruptions == 1


def test_a_lost_connection_is_told_once_and_replaced(
    empty_database_url: URL, database: psycopg.Connection
) -> None:
    heard = Heard()
    with Listener(empty_database_url, {"songs": [heard]}):
        for _ in range(2):
            before = heard.interruptions
            database.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            until(lambda: heard.interruptions > before)  # noqa: B023
            database.execute("NOTIFY songs, 'x'")
            until(lambda: len(heard.payloads) == before)  # noqa: B023
    assert heard.interruptions == 3


def test_a_server_that_restarts_is_listened_to_again(binaries: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="pgmodern-restarted-") as home:
        url, heard = embedded.start(Path(home), keep=False), Heard()
        owner = Path(str(url.query["host"])).owner()
        as_owner = ["runuser", "-u", owner, "--"] if owner != Path(home).owner() else []
        restart = [str(binaries / "pg_ctl"), "-D", f"{home}/postgres", "-s", "-m", "immediate"]
        with Listener(url, {"songs": [heard]}):
            subprocess.run(
                [*as_owner, *restart, "-l", f"{home}/postgres/log", "restart"], check=True
            )
            until(lambda: heard.interruptions == 2)
            with psycopg.connect(
                host=str(url.query["host"]), user=url.username, dbname=url.database
            ) as session:
                session.execute("NOTIFY songs, 'back'")
            until(lambda: heard.payloads == ["back"])


@pytest.mark.parametrize("how", ["silent", "mute"])
def test_a_network_that_swallows_everything_is_noticed(
    how: str,
    empty_database_url: URL,
    database: psycopg.Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard = Heard()
    with (
        wired(empty_database_url) as wire,
        Listener(wire.url, {"songs": [heard]}, heartbeat=0.2),
    ):
        database.execute("NOTIFY songs, 'before'")
        until(lambda: heard.payloads == ["before"])
        setattr(wire, how, True)
        database.execute("NOTIFY songs, 'unheard'")
        until(lambda: caplog.text.count("not listening to songs") >= 2)  # also while it connects
        assert heard.interruptions == 1
        setattr(wire, how, False)
        until(lambda: heard.interruptions == 2)
        database.execute("NOTIFY songs, 'after'")
        until(lambda: heard.payloads[-1] == "after")


@pytest.mark.quick
def test_a_server_that_is_not_there_yet_is_waited_for(
    empty_database_url: URL, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()
    with wired(empty_database_url) as wire:
        wire.mute = True
        with Listener(wire.url, {"songs": [heard]}, heartbeat=0.2):
            assert "not listening to songs yet" in caplog.text
            assert heard.interruptions == 0
            wire.mute = False
            until(lambda: heard.interruptions == 1)


@pytest.mark.quick
def test_a_subscriber_that_fails_does_not_end_it(
    empty_database_url: URL, database: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Heard):
        def notified(self, payload: str) -> None:
            """Fail once."""
            super().notified(payload)
            if payload == "bad":
                raise ValueError(payload)

    heard = Failing()
    with Listener(empty_database_url, {"songs": [heard]}):
        database.execute("NOTIFY songs, 'bad'")
        until(lambda: heard.interruptions == 2)
        database.execute("NOTIFY songs, 'good'")
        until(lambda: heard.payloads == ["bad", "good"])
    assert "not listening to songs: bad" in caplog.text


@pytest.mark.quick
def test_behind_a_pooler_it_is_refused(empty_database_url: URL, pooled: Callable[..., URL]) -> None:
    url, threads = pooled(empty_database_url), threading.active_count()
    with (
        pytest.raises(SettingsError, match=r"(?s)pooler, such as PgBouncer.*direct connection"),
        Listener(url.update_query_dict({"pgbouncer": "true"}), {"songs": []}),
    ):
        pass
    assert threading.active_count() == threads
