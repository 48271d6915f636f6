"""Runs all that must hold, and says how long each part took: `python -m tools.suite`.

The quick tests run first, on the embedded server, and their coverage is measured: to measure that
of all tests would double their time. Then the others run on the embedded server and, side by side
where Docker answers, every test that asks a server runs on PostgreSQL in a container. What the
tests report, as JUnit's XML, is left in the folder `.suite`.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / ".suite"
PYTHON = sys.executable
# Where two halves run side by side they keep two cores busy; one alone does not. A file stays in
# one worker, which makes the databases of its fixtures once.
TWO_WORKERS = ("-n", "2", "--dist=loadfile")


def _pytest(server: str, report: str, *options: str) -> list[str]:
    xml = f"--junit-xml={REPORTS / report}.xml"
    return ["pytest", f"--postgres={server}", "--durations=10", xml, *options]


_COVERAGE = [PYTHON, "-m", "coverage"]
# What an interrupted run measured is of other code.
_BEFORE = [
    ("lint", ["make", "--no-print-directory", "lint"]),
    ("coverage: erase", [*_COVERAGE, "erase"]),
    ("tests, quick", [*_COVERAGE, "run", "-m", *_pytest("embedded", "quick", "-m", "quick")]),
    ("coverage: combine", [*_COVERAGE, "combine", "--quiet"]),
    ("coverage: report", [*_COVERAGE, "report"]),
]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the suite that has ended, and what it took."""

    name: str
    seconds: float
    exit_code: int


def run() -> list[Part]:
    """Run every part; return them in order, the whole last.

    Without lint, and without the quick tests, nothing else is run.
    """
    started = time.monotonic()
    shutil.rmtree(REPORTS, ignore_errors=True)
    REPORTS.mkdir()
    parts: list[Part] = []
    for name, command in _BEFORE:
        parts.append(_part(name, command))
        if parts[-1].exit_code:
            break
    else:
        parts += _halves()
    failed = any(part.exit_code for part in parts)
    return [*parts, Part("all", time.monotonic() - started, int(failed))]


def _halves() -> list[Part]:
    embedded = [PYTHON, "-m", *_pytest("embedded", "embedded", "-m", "not quick")]
    if not _docker_answers():
        print("Docker does not answer: the half of the suite on a container is not run.")
        return [_part("tests, embedded", [*embedded, *TWO_WORKERS])]
    log = REPORTS / "container.log"
    container = [PYTHON, "-m", *_pytest("container", "container", "-m", "server")]
    with ThreadPoolExecutor() as pool:
        second = pool.submit(_part, "tests, container", container, log)
        parts = [_part("tests, embedded", embedded), second.result()]
    print(log.read_text())
    return parts


def _part(name: str, command: Sequence[str], log: Path | None = None) -> Part:
    started = time.monotonic()
    sys.stdout.flush()
    if log is None:
        exit_code = subprocess.run(command, cwd=ROOT, check=False).returncode
    else:
        with log.open("w") as output:
            exit_code = subprocess.run(
                command, cwd=ROOT, check=False, stdout=output, stderr=output
            ).returncode
    return Part(name, time.monotonic() - started, exit_code)


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    asked = subprocess.run(["docker", "info"], cwd=ROOT, check=False, capture_output=True)
    return asked.returncode == 0


def main() -> int:
    """Run the suite; return 1 where a part failed."""
    parts = run()
    print(f"{'part':<24}{'minutes':>8}  exit code")
    for part in parts:
        print(f"{part.name:<24}{part.seconds / 60:>8.1f}  {part.exit_code}")
    return int(any(part.exit_code for part in parts))


if __name__ == "__main__":
    sys.exit(main())
