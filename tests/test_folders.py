"""Folders that are opened for a server get their modes back when no server needs them any more."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgmodern import folders
from pgmodern.folders import close, opening

OPEN = 0o755


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is its owner's alone; the record is one of this test's."""
    monkeypatch.setattr(folders, "RECORD", tmp_path / "record" / "folders.json")
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def running() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for a server."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def mode(folder: Path) -> int:
    """Return who may do what in a folder."""
    return folder.stat().st_mode & 0o777


def data_of(home: Path, server: subprocess.Popen[bytes]) -> Path:
    """Lay down what the data of a server that runs looks like."""
    data = home / "postgres"
    data.mkdir(parents=True)
    (data / "postmaster.pid").write_text(f"{server.pid}\n{data}\n")
    return data


@pytest.mark.quick
def test_a_folder_is_closed_again_when_its_server_has_stopped(
    closed: Path, running: subprocess.Popen[bytes]
) -> None:
    data = data_of(closed / "home", running)
    with opening(data, [closed]):
        closed.chmod(OPEN)
    close()
    assert mode(closed) == OPEN
    (data / "postmaster.pid").unlink()
    close()
    assert mode(closed) == 0o700


def test_of_two_servers_the_last_one_has_it_closed(
    closed: Path, running: subprocess.Popen[bytes]
) -> None:
    one, other = (data_of(closed / name, running) for name in ("one", "other"))
    for data in (one, other):
        with opening(data, [closed]):
            closed.chmod(OPEN)
    (one / "postmaster.pid").unlink()
    close()
    assert mode(closed) == OPEN
    (other / "postmaster.pid").unlink()
    close()
    assert mode(closed) == 0o700


def test_a_server_that_was_killed_needs_it_no_more(
    closed: Path, running: subprocess.Popen[bytes]
) -> None:
    with opening(data_of(closed, running), [closed]):
        closed.chmod(OPEN)
    running.kill()
    running.wait()
    close()
    assert mode(closed) == 0o700


def test_what_was_open_and_what_somebody_changed_since_stay(
    closed: Path, running: subprocess.Popen[bytes]
) -> None:
    public, changed = closed / "public", closed / "changed"
    public.mkdir(mode=OPEN)
    changed.mkdir(mode=0o700)
    with opening(data_of(closed, running), [public, changed, closed / "missing"]):
        changed.chmod(OPEN)
    changed.chmod(0o777)
    (closed / "postgres" / "postmaster.pid").unlink()
    close()
    assert (mode(public), mode(changed)) == (OPEN, 0o777)


def test_a_record_that_cannot_be_written_stops_nobody(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "RECORD", Path("/proc/nothing/folders.json"))
    with opening(closed / "postgres", [closed]):
        pass
    close()
    assert mode(closed) == 0o700


def test_two_processes_take_turns(closed: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from pgmodern import folders\n"
        "folders.RECORD = Path(sys.argv[1]); folders.close(); print('done')"
    )
    command = [sys.executable, "-c", program, str(folders.RECORD)]
    with opening(closed / "postgres", [closed]):
        other = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(1)
    assert other.communicate(timeout=30)[0] == b"done\n"
