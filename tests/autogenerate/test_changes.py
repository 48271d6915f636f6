"""Every change of a catalogue: seen, written, run and taken back, from either end to the other."""

import importlib.util
from collections import Counter
from pathlib import Path

import pytest

from pgmodern.indexes import required_extensions
from tests.autogenerate.changes import CHANGES, Change
from tests.autogenerate.conftest import Project, unformatted


def _marks(change: Change) -> list[pytest.MarkDecorator]:
    needed = {extension.name for extension in required_extensions([change.before, change.after])}
    marks = {"vector" if name == "vector" else "contrib" for name in needed}
    return [getattr(pytest.mark, mark) for mark in sorted(marks)]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=_marks(change)) for name, change in CHANGES.items()]
)
def test_change(project: Project, name: str, tried: Counter[str]) -> None:
    change = CHANGES[name]
    project.drop_undeclared = change.drop_undeclared
    project.revise(change.before)
    project.upgrade(change.before)
    assert project.differences(change.before) == []
    if change.rows:
        project.execute(change.rows)

    assert project.differences(change.after), "nothing was seen"
    there = project.revise(change.after)
    assert unformatted(there) == ""
    assert importable(there)
    project.upgrade(change.after)
    assert project.differences(change.after) == []
    project.downgrade(change.after, len(there))
    assert project.differences(change.before, without=there) == []

    project.upgrade(change.after)
    if change.one_way:
        assert project.differences(change.before) == []
        tried["changes of the catalogue, one way"] += 1
        return
    assert project.differences(change.before), "nothing was seen on the way back"
    back = project.revise(change.before)
    assert unformatted(back) == ""
    assert importable(back)
    project.upgrade(change.before)
    assert project.differences(change.before) == []
    project.downgrade(change.before, len(back))
    assert project.differences(change.after, without=back) == []
    tried["changes of the catalogue, both ways"] += 1


def importable(paths: list[Path]) -> bool:
    for path in paths:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return True
