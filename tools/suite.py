"""Runs all that must hold, and says how long each part took: `python -m tools.suite`.

After lint, the quick tests run on the embedded server, and their coverage is measured: to measure
that of all tests would double their time. Then the others run. Side by side with all of it, where
Docker answers, the tests that ask a server run on PostgreSQL in a container: the quick ones and
half of the others, drawn anew each time, or with `--all` every one. Then SQLAlchemy's own tests of
a dialect run over our engines, and the quick tests on other versions. What the tests report, as
JUnit's XML, is left in the folder `.suite`.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tools.matrix import docker_missing

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / ".suite"
PYTHON = sys.executable
# Much of a test is waiting, for a lock or for the server: four processes keep two cores busy. A
# file stays in one worker, which makes the databases of its fixtures once.
_WORKERS = ("-n", "2", "--dist=loadfile")


def _pytest(server: str, report: str, *options: str) -> list[str]:
    xml = f"--junit-xml={REPORTS / report}.xml"
    return ["pytest", f"--postgres={server}", "--durations=10", xml, *options]


_COVERAGE = [PYTHON, "-m", "coverage"]
_LINT = ["make", "--no-print-directory", "lint"]
_QUICK = [
    # What an interrupted run measured is of other code.
    ("coverage: erase", [*_COVERAGE, "erase"]),
    ("tests, quick", [*_COVERAGE, "run", "-m", *_pytest("embedded", "quick", "-m", "quick")]),
    ("coverage: combine", [*_COVERAGE, "combine", "--quiet"]),
    ("coverage: report", [*_COVERAGE, "report"]),
]
_ELSEWHERE = [
    ("dialect suite", [PYTHON, "-m", "tools.dialect_suite"]),
    ("resolver", [PYTHON, "-m", "tools.resolver"]),
    ("other versions", [PYTHON, "-m", "tools.matrix"]),
]
_OTHERS = [PYTHON, "-m", *_pytest("embedded", "embedded", "-m", "not quick", *_WORKERS)]
_CONTAINER = [PYTHON, "-m", *_pytest("container", "container", "-m", "server", *_WORKERS)]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the suite that has ended, and what it took."""

    name: str
    seconds: float
    exit_code: int


def run(*, everything: bool = False) -> list[Part]:
    """Run every part; return them in order, the whole last. What fails lint is not tested."""
    started = time.monotonic()
    shutil.rmtree(REPORTS, ignore_errors=True)
    REPORTS.mkdir()
    if docker_missing() is None:
        parts = _side_by_side([] if everything else ["--sample=2"])
    else:
        print("Docker does not answer: the half of the suite on a container is not run.")
        is_lint_clean = Future[bool]()
        parts = _embedded(is_lint_clean)
        if is_lint_clean.result():
            parts += [_part(name, command) for name, command in _ELSEWHERE]
    failed = any(part.exit_code for part in parts)
    return [*parts, Part("all", time.monotonic() - started, int(failed))]


def _side_by_side(sample: Sequence[str]) -> list[Part]:
    log = REPORTS / "container.log"
    with log.open("w") as output, ThreadPoolExecutor() as pool:
        process = subprocess.Popen([*_CONTAINER, *sample], cwd=ROOT, stdout=output, stderr=output)
        is_lint_clean = Future[bool]()
        others = pool.submit(_elsewhere, process, output, is_lint_clean)
        parts = _embedded(is_lint_clean)
        if not is_lint_clean.result():
            process.send_signal(signal.SIGINT)  # it removes its container then
        parts += others.result()
    print(log.read_text())
    return parts


def _elsewhere(
    container: subprocess.Popen[bytes], output: IO[str], is_lint_clean: Future[bool]
) -> list[Part]:
    parts = [_ended("tests, container", container)]
    if is_lint_clean.result():
        parts += [_part(name, command, output) for name, command in _ELSEWHERE]
    return parts


def _embedded(is_lint_clean: Future[bool]) -> list[Part]:
    parts = [_part("lint", _LINT)]
    is_lint_clean.set_result(not parts[0].exit_code)
    if is_lint_clean.result():
        parts += [_part(name, command) for name, command in _QUICK]
        parts.append(_part("tests, embedded", _OTHERS))
    return parts


def _part(name: str, command: Sequence[str], output: IO[str] | None = None) -> Part:
    sys.stdout.flush()
    return _ended(name, subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output))


def _ended(name: str, process: subprocess.Popen[bytes]) -> Part:
    started = time.monotonic()
    exit_code = process.wait()
    return Part(name, time.monotonic() - started, exit_code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite; return 1 where a part failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="every test in the container, too")
    parts = run(everything=parser.parse_args(arguments).all)
    print(f"{'part':<24}{'minutes':>8}  exit code")
    for part in parts:
        print(f"{part.name:<24}{part.seconds / 60:>8.1f}  {part.exit_code}")
    return int(any(part.exit_code for part in parts))


if __name__ == "__main__":
    sys.exit(main())
