"""A wire between client and server that counts, slows down, and can go silent without being cut."""

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from sqlalchemy import URL

from tests.kills import libpq, through

_QUERIES = b"QP"  # of the frontend's messages: Query and Parse
_PAUSE_SECONDS = 0.01


class Wire:
    """Relays sessions to a server; `url` leads through it.

    When it is `silent` nothing passes, in either direction, and nothing is closed; when it is
    `mute` new sessions begin, and no query of theirs arrives. It counts `round_trips`: how often
    a client spoke and then had an answer, which comes `delay_seconds` late.
    """

    def __init__(self, url: URL) -> None:
        with psycopg.connect(libpq(url)) as session:
            self._server = session.info.host, session.info.port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = through(url, self._listener.getsockname()[1])
        self.silent = self.mute = False
        self.round_trips, self.delay_seconds = 0, 0.0
        self._over = threading.Event()
        self._relays: list[threading.Thread] = []

    def _accept(self) -> None:
        while not self._over.is_set():
            if select.select([self._listener], [], [], _PAUSE_SECONDS)[0]:
                client, _ = self._listener.accept()
                relay = threading.Thread(target=self._relay, args=[client])
                relay.start()
                self._relays.append(relay)

    def _relay(self, client: socket.socket) -> None:
        host, port = self._server
        is_folder = host.startswith("/")
        server = socket.socket(socket.AF_UNIX if is_folder else socket.AF_INET)
        server.connect(f"{host}/.s.PGSQL.{port}" if is_folder else (host, port))
        with client, server, suppress(ConnectionError):
            asked = False
            while not self._over.is_set():
                for each in select.select([client, server], [], [], _PAUSE_SECONDS)[0]:
                    if self.silent:
                        time.sleep(_PAUSE_SECONDS)
                        continue
                    if not (data := each.recv(65_536)):
                        return
                    if asked and each is server:
                        self.round_trips += 1
                        time.sleep(self.delay_seconds)
                    asked = each is client
                    if not (self.mute and each is client and data[:1] in _QUERIES):
                        (server if each is client else client).sendall(data)


@contextmanager
def wired(url: URL) -> Iterator[Wire]:
    """Lay a wire to a server."""
    wire = Wire(url)
    accepting = threading.Thread(target=wire._accept)
    accepting.start()
    try:
        yield wire
    finally:
        wire._over.set()
        for thread in (accepting, *wire._relays):
            thread.join()
        wire._listener.close()
