"""A real PgBouncer in transaction mode, before a server of ours."""

import os
import resource
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import URL

COMMAND = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
_PORT = 6432
_FILES = 100  # of a process, beside its connections
_INI = """
[databases]
* = {server}
[pgbouncer]
listen_addr =
unix_socket_dir = {home}
listen_port = {port}
listen_backlog = 1024
pool_mode = transaction
auth_type = any
max_client_conn = {clients}
default_pool_size = {servers}
"""


@contextmanager
def started(url: URL, *, clients: int = 100, servers: int = 20) -> Iterator[URL]:
    """Start PgBouncer before the server of a URL, and yield the way through it.

    It takes so many client connections, over so many server connections to a database.
    """
    assert COMMAND is not None, "pgbouncer is not installed"
    may_open(clients + servers + _FILES)
    with ExitStack() as stack:
        # It does not run as root; whom it runs as must reach its folder and the server's socket.
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pgmodern-pooled-")))
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        host = str(url.query.get("host") or url.host)
        for folder in (home, Path(host), *Path(host).parents) if host[0] == "/" else (home,):
            folder.chmod(folder.stat().st_mode | 0o011)
        home.chmod(0o777)
        parts = {"host": host, "port": url.port, "user": url.username, "password": url.password}
        server = " ".join(f"{name}={value}" for name, value in parts.items() if value)
        ini = home / "pgbouncer.ini"
        ini.write_text(
            _INI.format(server=server, home=home, port=_PORT, clients=clients, servers=servers)
        )
        process = subprocess.Popen([COMMAND, "-q", *user, str(ini)], stderr=subprocess.PIPE)
        stack.enter_context(process)
        stack.callback(process.kill)
        while not _accepts(home / f".s.PGSQL.{_PORT}"):
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.01)
        yield url.set(host=None, port=_PORT, query={"host": str(home)})


def _accepts(path: Path) -> bool:
    """Tell whether somebody listens there; the socket is a file before anybody does."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def may_open(files: int) -> None:
    """Let this process and its children have so many files open, or say what to do about it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= files or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < files:
        raise RuntimeError(
            f"A process may have {hard} files open here, and {files} are needed: run "
            f"`ulimit -n {files}` as root first, or raise nofile in /etc/security/limits.conf."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))


def version() -> str:
    """Return which PgBouncer it is, such as "PgBouncer 1.25.1"."""
    assert COMMAND is not None, "pgbouncer is not installed"
    said = subprocess.run([COMMAND, "--version"], capture_output=True, text=True, check=True)
    return said.stdout.splitlines()[0]


def keeps_prepared_statements() -> bool:
    """Tell whether it does so as it is configured here, which is the default from 1.24 on."""
    major, minor = version().split()[1].split(".")[:2]
    return (int(major), int(minor)) >= (1, 24)
