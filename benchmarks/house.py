"""Whether the suite is quick enough, and proves no less than it must."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from benchmarks.dataset import Dataset
from benchmarks.report import Figure, Report
from tools import reports, suite
from tools.reports import Proved

# What the suite proved on each of its two servers, and how many minutes it took, when each half
# ran every test, and each proof compared schemas by pg_dump.
FLOOR: Mapping[str, Any] = json.loads(Path(__file__).with_name("house_floor.json").read_text())
SERVERS = ("embedded", "container")


def ask(_engine: Engine, _dataset: Dataset) -> Report:
    """Run `pytest -m quick` and the whole suite, and compare what was proved."""
    seconds, failed = _quick()
    *parts, whole = suite.run(everything=True)
    figures = [
        Figure("pytest -m quick", seconds, "s", at_most=90),
        *(Figure(f"make test: {part.name}", part.seconds / 60, "min") for part in parts),
        Figure("make test", whole.seconds / 60, "min", FLOOR["minutes"], at_most=18),
        Figure("what failed", failed + sum(bool(part.exit_code) for part in parts), "", at_most=0),
    ]
    notes = []
    for server in SERVERS:
        found, missing = compared(server, _proved(server))
        figures += found
        notes += [f"{server}: not proved: {name}" for name in missing]
    return Report("The suite: how long it takes, and what it proves", "before", figures, notes)


def _proved(server: str) -> Proved:
    """Return what is proved on a server; the quick tests run apart, on the embedded one."""
    names = [server, "quick"] if server == "embedded" else [server]
    found = [suite.REPORTS / f"{name}.xml" for name in names]
    return reports.together([reports.read(each) for each in found if each.exists()])


def _quick() -> tuple[float, bool]:
    """Return how many seconds the quick tests take, and whether they fail."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "--postgres=embedded", "-m", "quick", "-q"]
    done = subprocess.run(command, cwd=suite.ROOT, check=False)
    return time.perf_counter() - started, done.returncode != 0


def compared(server: str, proved: Proved) -> tuple[list[Figure], list[str]]:
    """Return how much of what must be proved is proved on a server, and what is not."""
    killed = {what for what, (survived, kills) in proved.survived.items() if survived == kills > 0}
    functions: dict[str, int] = {**FLOOR["contract"]}
    if server == "embedded":
        functions |= FLOOR["asks no server"]  # which runs once
    contract = {name: min(proved.passed[name], count) for name, count in functions.items()}
    kinds = {
        "operations x kinds of kills": (set(FLOOR["survived"]), killed),
        "changes of the catalogue": (set(FLOOR["changes"]), proved.changes),
    }
    figures = [
        *(_figure(f"{server}: {what}", len(a & b), len(a)) for what, (a, b) in kinds.items()),
        _figure(f"{server}: random models", proved.random_models, FLOOR["random models"]),
        _figure(f"{server}: contract of queries", sum(contract.values()), sum(functions.values())),
    ]
    missing = [name for must, can in kinds.values() for name in sorted(must - can)]
    missing += [name for name, count in functions.items() if contract[name] < count]
    return figures, missing


def _figure(what: str, proved: int, floor: int) -> Figure:
    return Figure(what, proved, "", floor, at_least=floor)
