"""What runs of the suite report, as JUnit's XML."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, parse

_CHANGE = "tests.autogenerate.test_changes::test_change["


@dataclass(frozen=True, slots=True)
class Proved:
    """What a run has proved.

    `survived` are kills, as "operation: kind": how many were survived, and how many there were.
    `changes` are those of autogenerate's catalogue; `passed` counts the tests that passed by their
    functions.
    """

    survived: dict[str, tuple[int, int]]
    changes: set[str]
    random_models: int
    passed: Counter[str]


def together(parts: Iterable[Proved]) -> Proved:
    """Return what several runs have proved."""
    whole = Proved({}, set(), 0, Counter())
    for part in parts:
        whole = Proved(
            whole.survived | part.survived,
            whole.changes | part.changes,
            whole.random_models + part.random_models,
            whole.passed + part.passed,
        )
    return whole


def read(report: Path) -> Proved:
    """Read a report; tests that did not pass prove nothing."""
    tests = [test for test in parse(report).iter("testcase") if _passed(test)]
    properties = [
        (each.get("name", ""), each.get("value", ""))
        for test in tests
        for each in test.iter("property")
    ]
    names = [f"{test.get('classname')}::{test.get('name')}" for test in tests]
    survived = (value.rpartition(": ") for name, value in properties if name == "survived")
    return Proved(
        survived={what: _counts(counts) for what, _, counts in survived},
        changes={
            name.removeprefix(_CHANGE).removesuffix("]")
            for name in names
            if name.startswith(_CHANGE)
        },
        random_models=sum(int(value) for name, value in properties if name == "random models"),
        passed=Counter(re.sub(r"\[.*", "", name, flags=re.DOTALL) for name in names),
    )


def _counts(written: str) -> tuple[int, int]:
    survived, _, kills = written.partition(" of ")
    return int(survived), int(kills)


def _passed(test: Element) -> bool:
    return all(test.find(outcome) is None for outcome in ("failure", "error", "skipped"))
