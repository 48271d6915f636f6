"""What a revision allows itself, and what is none of a rule's names."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pgmodern.lint import lint
from pgmodern.lint.allowed import allowed

Upgrade = Callable[..., Path]

BODY = 'op.create_index("ix", "songs", ["id"])\nop.drop_table("songs")'


def rules(ini: Path, *, squawk: bool = True) -> list[str]:
    return [each.rule for each in lint(ini, "0002", squawk=squawk)]


@pytest.mark.parametrize(
    ("comment", "left"),
    [
        ("", ["index-not-online", "squawk:ban-drop-table"]),
        ("# pgmodern: allow index-not-online", ["squawk:ban-drop-table"]),
        ("# pgmodern: allow squawk:ban-drop-table", ["index-not-online"]),
        ("# pgmodern: allow index-not-online, squawk:ban-drop-table", []),
        ("#pgmodern:allow index-not-online\n# pgmodern: allow squawk:ban-drop-table", []),
        ("x = 1  # pgmodern: allow index-not-online", ["squawk:ban-drop-table"]),
        ('x = "# pgmodern: allow two"', ["index-not-online", "squawk:ban-drop-table"]),
        ("# of pgmodern: allow me", ["index-not-online", "squawk:ban-drop-table"]),
    ],
)
def test_a_comment_allows_what_it_names(upgrade: Upgrade, comment: str, left: list[str]) -> None:
    assert rules(upgrade(BODY, more=comment)) == left


@pytest.mark.quick
@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ("# pgmodern: allow index-not-onlin", "'index-not-onlin'"),
        ("# pgmodern: allow", "''"),
        ("# pgmodern: allow index-not-online squawk:ban-drop-table", "no rule"),
        ("# pgmodern: allow unknown-rule", "'unknown-rule'"),
        ("# pgmodern: disable two-heads", "'disable'"),
        ("# pgmodern: allow squawk:ban-drop-tabel", "squawk has no rule 'ban-drop-tabel'"),
        ("# pgmodern: allow squawk:ban-drop-table (meant)", "(meant)"),
        ("# pgmodern: allow squawk:", "'squawk:'"),
    ],
)
def test_a_name_that_no_rule_has_is_an_error(upgrade: Upgrade, comment: str, said: str) -> None:
    found = lint(upgrade(BODY, more=comment), "0002")
    (unknown,) = (each for each in found if each.rule == "unknown-rule")
    assert (unknown.severity, unknown.line) == ("error", 10)
    assert said in unknown.message
    assert "index-not-online" in unknown.cure
    assert {"index-not-online", "squawk:ban-drop-table"} <= {each.rule for each in found}


def test_lines_are_those_of_the_comments() -> None:
    assert allowed("x = 1\n# pgmodern: allow a, b\n\n  # pgmodern: allow c\n") == {
        "a": 2,
        "b": 2,
        "c": 4,
    }
