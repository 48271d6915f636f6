"""Commands in processes of their own, which start in a fraction of the time."""

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

Completed = subprocess.CompletedProcess[str]
PROGRAM = Path(__file__).with_name("fork_server.py")
_LOCK = threading.Lock()
_SERVERS: list["_ForkServer"] = []


def run(
    arguments: Sequence[str],
    *,
    module: str | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 120,
) -> Completed:
    """Run a module as `python -m` does, or a script of Python, to its end.

    Its exit code is the test's to judge. While one command runs, others are started the slow way.
    """
    cwd, env = cwd or Path.cwd(), os.environ if env is None else env
    if not _LOCK.acquire(blocking=False):
        command = [sys.executable, "-m", module, *arguments] if module else list(arguments)
        return subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False
        )
    try:
        if not _SERVERS:
            _SERVERS.append(_ForkServer())
            atexit.register(_SERVERS[0].close)
        return _SERVERS[0].run(arguments, module, cwd, env, timeout)
    finally:
        _LOCK.release()


class _ForkServer:
    """A process of `fork_server.py`, of which each command is a fork."""

    def __init__(self) -> None:
        # Coverage is started by each command that is to be measured.
        env = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_PROCESS")}
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answered = self._process.stdin, self._process.stdout
        self._answers = self._answered.fileno()
        self._read = b""

    def run(
        self,
        arguments: Sequence[str],
        module: str | None,
        cwd: Path,
        env: Mapping[str, str],
        timeout: float,
    ) -> Completed:
        """Have a command run; the test fails when it does not end."""
        with tempfile.TemporaryDirectory() as folder:
            stdout, stderr = Path(folder, "stdout"), Path(folder, "stderr")
            stdout.touch()
            stderr.touch()
            request = {
                "argv": [module, *arguments] if module else list(arguments),
                "module": module,
                "cwd": str(cwd.absolute()),
                "env": dict(env),
                "stdout": str(stdout),
                "stderr": str(stderr),
            }
            self._requests.write(json.dumps(request).encode() + b"\n")
            self._requests.flush()
            pid = self._answer(timeout)
            assert pid is not None
            exit_code = self._answer(timeout)
            if exit_code is None:
                os.kill(pid, signal.SIGKILL)
                self._answer(timeout)
                pytest.fail(f"{arguments} did not end within {timeout:g} s")
            return subprocess.CompletedProcess(
                arguments, exit_code, stdout.read_text(), stderr.read_text()
            )

    def close(self) -> None:
        """End the process."""
        self._requests.close()
        self._process.wait(10)
        self._answered.close()

    def _answer(self, timeout: float) -> int | None:
        while b"\n" not in self._read:
            if not select.select([self._answers], [], [], timeout)[0]:
                return None
            received = os.read(self._answers, 4096)
            assert received, "the server of forks has ended"
            self._read += received
        line, _, self._read = self._read.partition(b"\n")
        return int(line)
