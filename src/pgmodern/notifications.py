"""Listening to channels (LISTEN, NOTIFY) in a thread that connects again for as long as it runs."""

import logging
import os
import random
import select
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Protocol, Self

import psycopg
from psycopg import sql
from sqlalchemy import URL
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from pgmodern.engine import is_pooled
from pgmodern.errors import SettingsError
from pgmodern.settings import parse_url, without_pgbouncer

log = logging.getLogger("pgmodern")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0


class Subscriber(Protocol):
    """What hears of a channel's notifications, in the listener's thread."""

    def notified(self, payload: str) -> None:
        """Somebody has committed a transaction that sent this."""

    def missed(self) -> None:
        """Anything may have been sent unheard: we listen anew."""


class Listener:
    """Listens to channels over one connection of its own, and connects again when it is lost.

    A thread serves synchronous and asynchronous code alike. It begins with the `with` block, or
    with `start()`, and ends with `close()`; after a fork a process starts its own.

    `url` must lead to the server itself: PgBouncer would listen for somebody else. `heartbeat` is
    after how many silent seconds the server is asked whether it is there, and how many it has to
    answer: a network that swallows everything is noticed after twice that time, at most. When the
    connection is lost the listener tries again after pauses of a tenth to ten seconds, and tells
    every subscriber what it `missed()`, each time anew, as soon as it listens.

    Notifications come in the order of their commits, after them (manual, NOTIFY): whoever reads
    because of one sees what its sender wrote.
    """

    def __init__(
        self,
        url: URL | str,
        channels: Mapping[str, Iterable[Subscriber]],
        *,
        heartbeat: float = 10.0,
    ) -> None:
        self._url = without_pgbouncer(parse_url(url))
        self._channels = {name: list(subscribers) for name, subscribers in channels.items()}
        self._heartbeat = heartbeat
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen, or at least begin to try: a server that is down is only logged.

        Raises SettingsError when the URL leads to a pooler such as PgBouncer.
        """
        connection = None
        try:
            connection = self._connect()
        except psycopg.OperationalError as error:
            log.warning("not listening to %s yet: %s", self._names, error)
        self._woken, self._wake = os.pipe()
        self._thread = threading.Thread(
            target=self._run, args=[connection], name="pgmodern listener", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening; returns when it is done, in a silent network after two heartbeats."""
        self._closing.set()
        os.write(self._wake, b".")
        if self._thread is not None:
            self._thread.join()
        os.close(self._woken)
        os.close(self._wake)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _names(self) -> str:
        return ", ".join(self._channels)

    def _run(self, connection: psycopg.Connection | None) -> None:
        pauses = _pauses()
        while not self._closing.is_set():
            try:
                with connection or self._connect() as listening:
                    pauses = _pauses()
                    self._listen(listening)
            except Exception as error:  # noqa: BLE001  (whatever it is, it must not end the thread)
                log.warning("not listening to %s: %s", self._names, error)
            connection = None
            self._closing.wait(next(pauses))

    def _connect(self) -> psycopg.Connection:
        """Return a connection that listens; what was sent before it did was missed."""
        _, options = PGDialect_psycopg().create_connect_args(self._url)  # type: ignore[no-untyped-call]
        connection = psycopg.connect(
            **{"connect_timeout": max(2, round(self._heartbeat))} | options,
            autocommit=True,
            client_encoding="utf8",
        )
        try:
            with self._answering(connection):
                _require_direct(connection)
                for name in self._channels:
                    connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(name)))
            for subscriber in chain.from_iterable(self._channels.values()):
                subscriber.missed()
        except BaseException:
            connection.close()
            raise
        return connection

    def _listen(self, connection: psycopg.Connection) -> None:
        """Hand on what comes until we close, or raise when the server is gone."""
        while not self._closing.is_set():
            if not self._ready(connection):
                with self._answering(connection):
                    connection.execute("SELECT")  # the shortest statement there is
            for notify in connection.notifies(timeout=0):
                for subscriber in self._channels.get(notify.channel, []):
                    subscriber.notified(notify.payload)

    def _ready(self, connection: psycopg.Connection) -> bool:
        """Wait until something comes or we close, for a heartbeat at most."""
        waiting = [connection.fileno(), self._woken]
        return bool(select.select(waiting, [], [], self._heartbeat)[0])

    @contextmanager
    def _answering(self, connection: psycopg.Connection) -> Iterator[None]:
        """Give a connection up whose server does not answer in time, though nobody closed it."""
        with socket.socket(fileno=os.dup(connection.fileno())) as ours:
            give_up = threading.Timer(self._heartbeat, _shut, [ours])
            give_up.start()
            try:
                yield
            finally:
                give_up.cancel()
                give_up.join()


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # the other side was first
        connection.shutdown(socket.SHUT_RDWR)


def _require_direct(connection: psycopg.Connection) -> None:
    if is_pooled(connection):
        raise SettingsError(
            "Between this connection and the server stands a pooler, such as PgBouncer.",
            "LISTEN needs a direct connection: give the listener a URL that names the server "
            "itself. Everything else may go through the pooler.",
        )


def _pauses() -> Iterator[float]:
    """Yield how long to wait before each attempt, none of all processes at once."""
    pause = _FIRST_PAUSE
    while True:
        yield random.uniform(pause / 2, pause)  # noqa: S311
        pause = min(2 * pause, _LONGEST_PAUSE)
