"""Every rule finds its bad example, at the marked line, and nothing in its good one."""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pgmodern.lint import RULES, lint
from pgmodern.lint.rule import MARK, Rule

Project = Callable[..., Path]


def marked(files: Sequence[str]) -> list[int]:
    return [
        number
        for source in files
        for number, line in enumerate(source.splitlines(), start=1)
        if line.endswith(MARK)
    ]


def of(rule: Rule) -> str:
    return rule.name


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Have Python find the application, which a bad example imports; forget it afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


@pytest.mark.quick
@pytest.mark.parametrize("rule", RULES, ids=of)
def test_the_bad_example_is_found_at_its_marks(
    rule: Rule, project: Project, only: Callable[[Rule], None]
) -> None:
    only(rule)
    found = lint(project(*rule.bad), "0001:heads", squawk=False)
    assert {(each.rule, each.severity) for each in found} == {(rule.name, rule.severity)}
    assert [each.line for each in found] == marked(rule.bad)
    assert all(each.message and each.cure for each in found)
    assert [each.path.name for each in found] == [f"{each.revision}.py" for each in found]


@pytest.mark.parametrize("rule", RULES, ids=of)
def test_neither_squawk_nor_any_rule_finds_anything_in_the_good_example(
    rule: Rule, project: Project
) -> None:
    assert lint(project(*rule.good), "0001:heads") == []


def test_rules_are_explained_and_their_names_are_their_own() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        title, empty, *why = rule.why.splitlines()
        assert title.endswith(".")
        assert empty == ""
        assert why
