"""Heads that are meant, and heads that are not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pgmodern.lint import lint

Project = Callable[..., Path]

REVISION = """
revision: str = {revision!r}
down_revision: str | tuple[str, ...] | None = {follows!r}
branch_labels = {labels!r}
def upgrade(): pass
"""


def revision(
    revision: str, follows: str | tuple[str, ...] | None, labels: str | None = None
) -> str:
    return REVISION.format(revision=revision, follows=follows, labels=labels)


def heads(ini: Path, asked: str = "base:head") -> list[tuple[str, int, str]]:
    found = lint(ini, asked, squawk=False)
    return [(each.revision, each.line, each.message) for each in found if each.rule == "two-heads"]


def test_each_head_names_the_others(project: Project) -> None:
    ini = project(revision("a", "0001"), revision("b", "0001"), revision("c", "0001"))
    found = {name: (line, message) for name, line, message in heads(ini)}
    assert found.keys() == {"a", "b", "c"}
    assert all(line == 3 for line, _ in found.values())
    assert all(other in found["b"][1].partition("another:")[2] for other in "ac")


def test_only_the_heads_of_the_range_are_found(project: Project) -> None:
    ini = project(revision("a", "0001"), revision("b", "0001"))
    assert [name for name, *_ in heads(ini, "0001:a")] == ["a"]
    assert heads(ini, "base:0001") == []


@pytest.mark.parametrize(
    "second",
    [
        (revision("b", "0001", "billing"),),
        (revision("b", None, "billing"), revision("c", "b")),
        (revision("b", "0001"), revision("c", ("a", "b"))),
    ],
)
def test_heads_of_labelled_branches_and_merged_ones_are_meant(
    project: Project, second: tuple[str, ...]
) -> None:
    assert heads(project(revision("a", "0001"), *second)) == []


def test_two_heads_of_one_labelled_branch_are_not(project: Project) -> None:
    ini = project(
        revision("a", "0001"),
        revision("b", None, "billing"),
        revision("c", "b"),
        revision("d", "b"),
    )
    assert {name for name, *_ in heads(ini)} == {"c", "d"}
