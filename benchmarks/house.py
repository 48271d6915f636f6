"""Whether the suite is quick enough, and proves no less than it did before it was made quick."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from benchmarks.dataset import Dataset
from benchmarks.report import Figure, Report
from tools import reports, suite
from tools.reports import Proved

# What the suite of the commit named in it proved on each of its two servers, and how long
# `.ci/run` took on 2 cores.
BEFORE: dict[str, Any] = json.loads(Path(__file__).with_name("house_before.json").read_text())


def ask(_engine: Engine, _dataset: Dataset) -> Report:
    """Run `pytest -m quick` and the whole suite, and compare what was proved."""
    seconds = _quick()
    parts = suite.run()
    figures = [
        Figure("pytest -m quick", seconds, "s", at_most=90),
        *(Figure(f"make test: {part.name}", part.seconds / 60, "min") for part in parts[:-1]),
        Figure("make test", parts[-1].seconds / 60, "min", BEFORE["minutes"], at_most=18),
        Figure(
            "make test: parts that failed",
            sum(bool(part.exit_code) for part in parts),
            "",
            at_most=0,
        ),
    ]
    notes = [f"before: commit {BEFORE['commit']}, .ci/run on 2 cores"]
    for report in sorted(suite.REPORTS.glob("*.xml")):
        found, missing = compared(report.stem, reports.read(report))
        figures += found
        notes += [f"{report.stem}: not proved any more: {name}" for name in missing]
    return Report("The suite: how long it takes, and what it proves", "before", figures, notes)


def _quick() -> float:
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pytest", "--postgres=embedded", "-m", "quick", "-q"],
        cwd=suite.ROOT,
        check=True,
    )
    return time.perf_counter() - started


def compared(server: str, proved: Proved) -> tuple[list[Figure], list[str]]:
    """Return how much of what was proved before is proved on a server, and what is not."""
    kills = {what for what, count in proved.survived.items() if _all(count)}
    contract = {
        function: min(proved.passed[function], count)
        for function, count in BEFORE["contract"].items()
    }
    asked = {
        "operations x kinds of kills": (set(BEFORE["survived"]), kills),
        "changes of the catalogue": (set(BEFORE["changes"]), proved.changes),
    }
    figures = [_figure(f"{server}: {what}", len(a & b), len(a)) for what, (a, b) in asked.items()]
    models, before = min(proved.random_models, BEFORE["random models"]), BEFORE["random models"]
    figures += [
        _figure(f"{server}: random models", models, before),
        _figure(
            f"{server}: contract of queries",
            sum(contract.values()),
            sum(BEFORE["contract"].values()),
        ),
    ]
    missing = [name for before_, now in asked.values() for name in sorted(before_ - now)]
    missing += [name for name, count in BEFORE["contract"].items() if contract[name] < count]
    return figures, missing


def _all(count: str) -> bool:
    """Tell whether "3 of 3" is all, and not of none."""
    survived, _, total = count.partition(" of ")
    return survived == total != "0"


def _figure(what: str, now: int, before: int) -> Figure:
    return Figure(what, now, "", before, at_least=before)
