"""What an application notices of pgmodern, beside the libraries that it has already."""

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Engine

from benchmarks import workers
from benchmarks.dataset import Dataset
from benchmarks.report import Figure, Report
from tools import dialect_suite, matrix

PACKAGE = Path(__file__).parents[1] / "src" / "pgmodern"
BIN = Path(sys.executable).parent
PROCESSES = 11
_WRITES_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
# What is started, and what it is compared with; the goal is how many times as long it may take.
STARTS: dict[str, tuple[Sequence[str], Sequence[str], float]] = {
    "import pgmodern": (
        [sys.executable, "-c", "import pgmodern"],
        [sys.executable, "-c", "import sqlalchemy.orm"],
        1.3,
    ),
    "import pgmodern, its types and indexes": (
        [sys.executable, "-c", "from pgmodern import Vector, HnswIndex, create_engine"],
        [sys.executable, "-c", "import sqlalchemy.orm"],
        3.0,
    ),
    "pgmodern --help": ([str(BIN / "pgmodern"), "--help"], [str(BIN / "alembic"), "--help"], 1.3),
    "pytest with the plugin": (
        [sys.executable, "-m", "pytest", "-q", "test_it.py"],
        [sys.executable, "-m", "pytest", "-q", "-p", "no:pgmodern", "test_it.py"],
        1.1,
    ),
}


def ask(_engine: Engine, _dataset: Dataset) -> Report:
    """Run SQLAlchemy's tests over both engines, start what people start, and run our own elsewhere.

    Tests of a user's are run in workers of pytest-xdist, and without. On the older servers all is
    asked that can be.
    """
    notes = [
        f"Medians of {PROCESSES} processes, in turns. The dialect suite deselects nothing.",
        f"Tests in workers: medians of {workers.TURNS} runs, in turns, beside one process.",
    ]
    figures = [*_suites(), *_starts(), *workers.figures(), *_corners()]
    return Report("Compatibility: what others notice of pgmodern", "theirs", figures, notes)


def _suites() -> Iterator[Figure]:
    for result in dialect_suite.compared():
        stock, ours = (Counter(found.values())["passed"] for found in (result.stock, result.ours))
        yield Figure(f"dialect suite, {result.driver}: passed", ours, "", stock)
        yield Figure(f"dialect suite, {result.driver}: worse", len(result.worse), "", at_most=0)


def _starts() -> Iterator[Figure]:
    for cached in (True, False):
        how = "with bytecode" if cached else "without bytecode of ours"
        for what, (command, other, at_most) in STARTS.items():
            taken, baseline = _medians(command, other, cached=cached)
            yield Figure(f"{what}, {how}", taken * 1000, "ms", baseline * 1000)
            yield Figure(f"{what}, {how}: times", taken / baseline, "x", at_most=at_most)


def _corners() -> Iterator[Figure]:
    for name, corner in matrix.CORNERS.items():
        if corner.needs():
            yield Figure(f"{name}: not to be had on this machine", 1, "", at_most=0)
            continue
        outcome = matrix.outcome(name, everything=True)
        yield Figure(f"{name}: passed", outcome.passed, "", at_least=1)
        yield Figure(f"{name}: exit code", outcome.exit_code, "", at_most=0)


def _medians(ours: Sequence[str], theirs: Sequence[str], *, cached: bool) -> tuple[float, float]:
    """Return the seconds of both commands, started in turns."""
    with TemporaryDirectory() as folder:
        Path(folder, "test_it.py").write_text("def test_nothing(): pass\n")
        for command in (ours, theirs):
            _start(command, folder, cached=True)  # so that all bytecode is there
        times = [
            [_start(command, folder, cached=cached) for command in (ours, theirs)]
            for _ in range(PROCESSES)
        ]
    first, second = zip(*times, strict=True)
    return statistics.median(first), statistics.median(second)


def _start(command: Sequence[str], folder: str, *, cached: bool) -> float:
    env = {name: value for name, value in os.environ.items() if name != _WRITES_NO_BYTECODE}
    if not cached:
        env[_WRITES_NO_BYTECODE] = "1"
        for cache in PACKAGE.rglob("__pycache__"):
            shutil.rmtree(cache)
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)
    return time.perf_counter() - started
