"""Runs all that must hold, and says how long each part took: `python -m tools.suite`.

The suite runs on the embedded server and, where Docker answers, on PostgreSQL in a container, side
by side: each mostly waits for its own server. The second half runs only the tests that ask a
server. What they report, as JUnit's XML, is left in the folder `.suite`.
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
SLOWEST = "--durations=10"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the suite that has ended, and what it took."""

    name: str
    seconds: float
    exit_code: int


def run() -> list[Part]:
    """Run every part; return them in order, the whole last. Without lint nothing else is run."""
    started = time.monotonic()
    shutil.rmtree(REPORTS, ignore_errors=True)
    REPORTS.mkdir()
    parts = [_part("lint", ["make", "--no-print-directory", "lint"])]
    if not parts[0].exit_code:
        # What a run that was interrupted measured is of other code.
        subprocess.run([PYTHON, "-m", "coverage", "erase"], cwd=ROOT, check=True)
        parts += [*_tests(), *_coverage()]
    failed = any(part.exit_code for part in parts)
    return [*parts, Part("all", time.monotonic() - started, int(failed))]


def _tests() -> list[Part]:
    # Two workers, as the other half is done long before this one, and both wait for locks.
    embedded = [PYTHON, "-m", "coverage", "run", "-m", *_pytest("embedded", "-n", "2")]
    if not _docker_answers():
        print("Docker does not answer: the half of the suite on a container is not run.")
        return [_part("tests, embedded", embedded)]
    log = REPORTS / "container.log"
    # Each has its output to itself.
    container = [PYTHON, "-m", *_pytest("container", "-m", "server")]
    with ThreadPoolExecutor() as pool:
        second = pool.submit(_part, "tests, container", container, log)
        parts = [_part("tests, embedded", embedded), second.result()]
    print(log.read_text())
    return parts


def _pytest(server: str, *options: str) -> list[str]:
    report = f"--junit-xml={REPORTS / server}.xml"
    return ["pytest", f"--postgres={server}", SLOWEST, report, *options]


def _coverage() -> list[Part]:
    coverage = [PYTHON, "-m", "coverage"]
    return [
        _part("coverage: combine", [*coverage, "combine", "--quiet"]),
        _part("coverage: report", [*coverage, "report"]),
    ]


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
