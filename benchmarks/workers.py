"""How long eight tests take in four workers of pytest-xdist, and in one process."""

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.report import Figure
from pgmodern.project.new import lay_down

TURNS = 3
TESTS = """
import time

import pytest


@pytest.mark.parametrize("number", range(8))
def test_it({fixture}, number):
    time.sleep({seconds})
"""
# What each test asks for, and how many seconds it works on.
KINDS = {
    "8 tests without a database": ("request", 0),
    "8 tests with a database each": ("database_url", 0),
    "8 tests with a database each, of a second": ("database_url", 1),
}


def figures() -> list[Figure]:
    """Return the seconds in four workers beside those in one process, and how many times as long.

    The first kind asks for no database: its times are those of pytest-xdist itself.
    """
    found = []
    with TemporaryDirectory() as folder:
        lay_down(Path(folder))
        for what, (fixture, seconds) in KINDS.items():
            test = Path(folder, "test_eight.py")
            test.write_text(TESTS.format(fixture=fixture, seconds=seconds))
            turns = [[_seconds(folder, options) for options in ([], ["-n4"])] for _ in range(TURNS)]
            alone, workers = (statistics.median(each) for each in zip(*turns, strict=True))
            goal = 1.0 if fixture == "database_url" else None
            found += [
                Figure(f"{what}, in 4 workers", workers, "s", alone),
                Figure(f"{what}, in 4 workers: times", workers / alone, "x", at_most=goal),
            ]
    return found


def _seconds(folder: str, options: Sequence[str]) -> float:
    command = [sys.executable, "-m", "pytest", "-q", "--postgres=embedded", *options]
    started = time.perf_counter()
    subprocess.run([*command, "test_eight.py"], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started
